"""What an ONNX file says of itself: parameters, multiply-accumulates, and how it is quantized."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edgerig.errors import ModelError
from harness.models.model_facts import ModelFacts

# Operators that only a quantized graph has, and the technique that they show.
_STATIC = frozenset({"QLinearConv", "QLinearMatMul", "QuantizeLinear"})
_DYNAMIC = frozenset({"DynamicQuantizeLinear", "ConvInteger", "MatMulInteger"})


def read(path: Path) -> ModelFacts:
    """Return the facts of an ONNX file; raises ModelError where it is none."""
    import onnx  # noqa: PLC0415 - .3 s that only this needs

    try:
        model = onnx.load(str(path), load_external_data=False)
        if not model.graph.node:
            raise ValueError("it has no operators")
    except Exception as error:  # protobuf's and onnx's errors share no base
        raise ModelError(f"{path} is not an ONNX model that can be read: {error}.") from error
    return ModelFacts(_parameters(model), _macs(model), _techniques(model), _beside(model))


# Where operators have scales and zero points among their inputs.
_HELPERS = {
    "QuantizeLinear": (1, 2),
    "DequantizeLinear": (1, 2),
    "QLinearConv": (1, 2, 4, 5, 6, 7),
    "QLinearMatMul": (1, 2, 4, 5, 6, 7),
    "ConvInteger": (2, 3),
    "MatMulInteger": (2, 3),
}


def _beside(model: Any) -> tuple[str, ...]:
    """Return the files that hold weights: PyTorch's exporter writes NAME.onnx.data unless it is told not to."""
    import onnx  # noqa: PLC0415

    external = [weight for weight in model.graph.initializer if weight.data_location == onnx.TensorProto.EXTERNAL]
    named = (entry.value for weight in external for entry in weight.external_data if entry.key == "location")
    return tuple(dict.fromkeys(named))


def _parameters(model: Any) -> int:
    """Count elements of the weights: neither scales and zero points nor shapes and indices, which are int64."""
    import onnx  # noqa: PLC0415

    helpers = {
        node.input[place]
        for node in model.graph.node
        for place in _HELPERS.get(node.op_type, ())
        if place < len(node.input)
    }
    # In a dynamically quantized graph the scales of input and weights are multiplied by an operator of its own.
    scales = {node.output[1] for node in model.graph.node if node.op_type == "DynamicQuantizeLinear"}
    helpers |= {name for node in model.graph.node if scales.intersection(node.input) for name in node.input}
    weights = (weight for weight in model.graph.initializer if weight.data_type != onnx.TensorProto.INT64)
    return sum(math.prod(weight.dims) for weight in weights if weight.name not in helpers)


def _techniques(model: Any) -> tuple[str, ...]:
    import onnx  # noqa: PLC0415

    operators = Counter(node.op_type for node in model.graph.node)
    found = []
    if any(operators[name] for name in _DYNAMIC):
        found.append("dynamic int8")
    elif any(operators[name] for name in _STATIC):
        found.append("static int8 (QDQ)" if operators["QuantizeLinear"] else "static int8 (QOperator)")
    if any(weight.data_type == onnx.TensorProto.FLOAT16 for weight in model.graph.initializer):
        found.append("fp16")
    return tuple(found)


def _macs(model: Any) -> int | None:
    import onnx  # noqa: PLC0415

    _one_picture(model)
    try:
        graph = onnx.shape_inference.infer_shapes(model).graph
    except Exception:  # noqa: BLE001 - shapes are a courtesy; a graph whose shapes are unknown can still be measured
        return None
    shapes = {value.name: _dims(value) for value in (*graph.value_info, *graph.output, *graph.input)}
    shapes |= {weight.name: list(weight.dims) for weight in graph.initializer}
    shapes |= _through_quantization(graph.node, shapes)
    counts = [_node_macs(node, shapes) for node in graph.node if node.op_type in _COUNTED]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _one_picture(model: Any) -> None:
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        if dims and not dims[0].dim_value:
            dims[0].dim_value = 1


def _dims(value: Any) -> list[int]:
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]


def _through_quantization(nodes: Iterable[Any], shapes: dict[str, list[int]]) -> dict[str, list[int]]:
    """Return the shapes behind (de)quantizing, which changes none."""
    found: dict[str, list[int]] = {}
    for node in nodes:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            known = shapes.get(node.input[0]) or found.get(node.input[0])
            if known:
                found[node.output[0]] = known
    return found


def _convolution(weight: list[int], output: list[int]) -> int:
    return math.prod(output) * math.prod(weight[1:])


def _product(weight: list[int], output: list[int]) -> int:
    # The dimension that is summed over: of a matrix, which may be transposed, the one that the output does not have.
    return math.prod(output) * (math.prod(weight) // output[-1] if len(weight) == 2 else weight[-2:][0])


_COUNTED = {
    "Conv": (1, _convolution),
    "QLinearConv": (3, _convolution),
    "ConvInteger": (1, _convolution),
    "Gemm": (1, _product),
    "MatMul": (1, _product),
    "MatMulInteger": (1, _product),
    "QLinearMatMul": (3, _product),
}


def _node_macs(node: Any, shapes: dict[str, list[int]]) -> int | None:
    position, count = _COUNTED[node.op_type]
    weight, output = shapes.get(node.input[position]), shapes.get(node.output[0])
    return count(weight, output) if weight and output and all(output) else None
