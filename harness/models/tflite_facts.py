"""What a TensorFlow Lite file says of itself, read by the interpreter's own Python package where that is here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgerig.errors import ModelError
from harness.models.model_facts import ModelFacts

Tensors = Mapping[int, Mapping[str, Any]]


def read(path: Path) -> ModelFacts | None:
    """Return the facts of a .tflite file, None without ai-edge-litert; raises ModelError where it is none."""
    try:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType  # noqa: PLC0415 - an extra, and slow
    except ModuleNotFoundError:
        return None
    try:
        plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        net = Interpreter(model_path=str(path), experimental_op_resolver_type=plain)
    except (ValueError, RuntimeError) as error:
        said = " ".join(str(error).split()).rstrip(".")
        raise ModelError(f"{path} is not a TensorFlow Lite model that can be read: {said}.") from error
    tensors = {int(tensor["index"]): tensor for tensor in net.get_tensor_details()}
    operators = net._get_ops_details()
    computed = {int(number) for operator in operators for number in operator["outputs"]}
    fed = {int(tensor["index"]) for tensor in net.get_input_details()}
    weights = [tensor for number, tensor in tensors.items() if number not in computed | fed and _is_weight(tensor)]
    fixed = all(size > 0 for tensor in net.get_input_details() for size in tensor["shape_signature"][1:])
    return ModelFacts(
        parameters=sum(math.prod(map(int, tensor["shape"])) for tensor in weights),
        macs=sum(_macs(operator, tensors) for operator in operators) if fixed else None,
        techniques=_techniques({_type(tensors[number]) for number in computed}, {_type(each) for each in weights}),
    )


def _type(tensor: Mapping[str, Any]) -> str:
    return str(np.dtype(tensor["dtype"]).name)


def _is_weight(tensor: Mapping[str, Any]) -> bool:
    """Whether a constant is one: axes and shapes are whole numbers without a scale."""
    return len(tensor["shape"]) > 0 and (
        _type(tensor).startswith("float") or len(tensor["quantization_parameters"]["scales"]) > 0
    )


def _techniques(computed: set[str], weights: set[str]) -> tuple[str, ...]:
    narrow = {"int8", "uint8"}
    if computed & narrow:
        return ("static int8",)
    found = ["weights int8"] if weights & narrow else []
    return (*found, *(["fp16"] if "float16" in weights else []))


# Operator -> multiply-accumulates of one element of its answer, from the shape of its second input.
_PRODUCTS: dict[str, Callable[[list[int]], int]] = {
    "CONV_2D": lambda weights: math.prod(weights[1:]),  # [out, rows, columns, in]
    "DEPTHWISE_CONV_2D": lambda weights: math.prod(weights[1:3]),  # [1, rows, columns, out]
    "FULLY_CONNECTED": lambda weights: weights[-1],  # [out, in]
    "BATCH_MATMUL": lambda weights: weights[-2],
}


def _macs(operator: Mapping[str, Any], tensors: Tensors) -> int:
    products = _PRODUCTS.get(operator["op_name"])
    if products is None:
        return 0
    weights, answer = ([*map(int, tensors[int(n)]["shape"])] for n in (operator["inputs"][1], operator["outputs"][0]))
    return math.prod(answer[1:]) * products(weights)
