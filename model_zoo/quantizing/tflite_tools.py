"""TensorFlow Lite by ai-edge-quantizer."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx

from edgerig.errors import ModelError
from model_zoo.defakeq import executable
from model_zoo.ladder import graph
from model_zoo.quantizing.task import Task, Tensors

ARGUMENT, SIGNATURE = "args_0", "serving_default"  # as litert-torch names them
LAYERS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})


def static(task: Task, keep: tuple[str, ...] = ()) -> None:
    """Write full integer: weights per channel, input and output int8 too."""
    from ai_edge_quantizer import recipe  # noqa: PLC0415 - seconds

    stay = _kept(task, keep)
    plan = [*recipe.static_wi8_ai8(), *([_left_alone(stay)] if stay else [])]
    _quantize(task, plan, Tensors(task.calibration, ARGUMENT))


def dynamic(task: Task) -> None:
    """Write int8 weights; kernels round activations while they run, where they can."""
    from ai_edge_quantizer import recipe  # noqa: PLC0415

    _quantize(task, recipe.dynamic_wi8_afp32())


def weights(task: Task) -> None:
    """Write int8 weights per channel, turned back to float where they are used."""
    from ai_edge_quantizer import recipe  # noqa: PLC0415

    _quantize(task, recipe.weight_only_wi8_afp32())


def planned(task: Task) -> None:
    """Write weights in the bits that a plan gave them; kernels round activations while they run."""
    executable.quantize(task.source, task.target, task.bits)


def half(task: Task) -> None:
    """Write weights as float16, turned back to float32 where they are used."""
    from ai_edge_quantizer import qtyping, quantizer, recipe_manager  # noqa: PLC0415

    manager = recipe_manager.RecipeManager()
    manager.add_quantization_config(
        regex=".*",
        operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
        algorithm_key=quantizer.AlgorithmName.FLOAT_CASTING,
        op_config=qtyping.OpQuantizationConfig(
            weight_tensor_config=qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT),
            compute_precision=qtyping.ComputePrecision.FLOAT,
        ),
    )
    _quantize(task, manager.get_quantization_recipe())


def _quantize(task: Task, plan: Sequence[Any], calibration: Tensors | None = None) -> None:
    from ai_edge_quantizer import quantizer  # noqa: PLC0415

    tool = quantizer.Quantizer(str(task.source), list(plan))
    found = tool.calibrate({SIGNATURE: calibration}, num_threads=1) if calibration else None
    task.target.write_bytes(tool.quantize(found).quantized_model)


def _left_alone(outputs: Sequence[str]) -> dict[str, Any]:
    """Return what leaves operators in float, named by their outputs."""
    names = "|".join(re.escape(name) for name in outputs)
    return {"regex": f"^({names});?$", "operation": "*", "algorithm_key": "no_quantize", "op_config": {}}


def _kept(task: Task, keep: tuple[str, ...]) -> list[str]:
    """Return the outputs of the operators of some layers.

    Names are lost between torch and TensorFlow Lite, so layers are told by their place in the order of the graph, and
    their weights must be as many.
    """
    if not keep:
        return []
    model = onnx.load(task.prepared)
    size = {entry.name: math.prod(entry.dims) for entry in model.graph.initializer}
    theirs = [(node.name, size.get(node.input[1])) for node in model.graph.node if node.op_type in graph.QUANTIZABLE]
    ours, operators = _graph(task.source)
    if [count for _, count in theirs] != [count for _, count in ours]:
        raise ModelError("the layers of the TensorFlow Lite graph are not in the order of the net's.", "Try ONNX.")
    place = {name: output for (name, _), (output, _) in zip(theirs, ours, strict=True)}
    return sorted(graph.in_float(operators, [place[layer] for layer in keep]))


def _graph(path: Path) -> tuple[list[tuple[str, int]], dict[str, graph.Layer]]:
    """Return output and number of weights of each layer, and the layers by their outputs."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType  # noqa: PLC0415

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    net = Interpreter(model_path=str(path), experimental_op_resolver_type=plain)
    tensors = {int(entry["index"]): entry for entry in net.get_tensor_details()}
    operators = net._get_ops_details()
    names = {int(entry["index"]): str(tensors[int(entry["outputs"][0])]["name"]) for entry in operators}
    layers = [
        (names[int(entry["index"])], math.prod(map(int, tensors[int(entry["inputs"][1])]["shape"])))
        for entry in operators
        if entry["op_name"] in LAYERS
    ]
    nodes = (
        (names[int(entry["index"])], entry["op_name"] in LAYERS, list(entry["inputs"]), list(entry["outputs"]))
        for entry in operators
    )
    return layers, graph.divided(nodes)
