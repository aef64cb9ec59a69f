"""ONNX by ONNX Runtime's tools, with the very functions of the ladder."""

from __future__ import annotations

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from edgerig.errors import ModelError
from model_zoo.ladder import graph
from model_zoo.ladder import static as qdq
from model_zoo.quantizing.task import Task


def static(task: Task, keep: tuple[str, ...] = ()) -> None:
    """Write QDQ: activations by their least and largest value, weights per channel."""
    qdq.quantize(task.prepared, task.target, task.calibration, "minmax", keep)


def dynamic(task: Task) -> None:
    """Write ConvInteger and MatMulInteger; only these, so activations between them are float."""
    model = onnx.load(task.prepared)
    del model.graph.value_info[:]  # shapes that the exporter wrote, which the quantizer's own inference stumbles over
    # Unsigned weights: ONNX Runtime on ARM has no ConvInteger for signed ones.
    quantize_dynamic(model, str(task.target), weight_type=QuantType.QUInt8)


def weights(task: Task) -> None:
    """Write int8 weights per channel, multiplied back to float when the model is loaded."""
    if not graph.weights_as_int8(task.prepared, task.target):
        raise ModelError("it has no weights of convolutions or matrix products.")


def half(task: Task) -> None:
    """Write float16 throughout, with input and output in float32."""
    graph.half(task.prepared, task.target)
