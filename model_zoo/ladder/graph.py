"""Changes of an ONNX graph that keep its answers, and what the quantizers want to know of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

from edgerig.errors import ModelError
from edgerig.preprocess import InputSpec

QUANTIZABLE = ("Conv", "ConvTranspose", "Gemm", "MatMul")
OPSET = 13  # per-channel DequantizeLinear came with it


def prepared(source: Path, target: Path) -> None:
    """Write a model ready to be quantized: shapes inferred, batch norm folded, nodes named, opset OPSET or newer.

    Raises ModelError where that cannot be done.
    """
    try:
        model = onnx.load(source)
        if next((entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}), 1) < OPSET:
            model = onnx.version_converter.convert_version(model, OPSET)
        for number, node in enumerate(model.graph.node):
            node.name = node.name or f"{node.op_type}_{number}"
        onnx.save(model, target)
        quant_pre_process(str(target), str(target), skip_symbolic_shape=True)
    except Exception as error:  # the quantizer's tools raise whatever they like
        raise ModelError(f"{source.name} cannot be made ready for quantization: {str(error)[:300]}") from error


def optimized(source: Path, target: Path) -> None:
    """Write a model as ONNX Runtime rewrites it for any processor (constants folded, nodes fused); answers stay."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 4
    whole = onnx.load(source).SerializeToString()  # weights in a file of their own would stay there
    onnxruntime.InferenceSession(whole, options, providers=["CPUExecutionProvider"])


@dataclass
class Layer:
    """A node with weights.

    Attributes:
        nodes: itself, and those that work on its output alone.
        fed_by: the layers whose numbers reach it.
    """

    nodes: list[str]
    fed_by: set[str]


def layers(model: Path) -> dict[str, Layer]:
    """Return the layers of a model by the names of their nodes, in the order of the graph."""
    nodes = onnx.load(model).graph.node
    return divided((node.name, node.op_type in QUANTIZABLE, node.input, node.output) for node in nodes)


def divided(nodes: Iterable[tuple[str, bool, Sequence[Any], Sequence[Any]]]) -> dict[str, Layer]:
    """Divide the nodes of a graph among its layers.

    Args:
        nodes: name, whether it is a layer, inputs and outputs, in an order in which each comes after its inputs.
    """
    found: dict[str, Layer] = {}
    owners: dict[Any, set[str]] = {}
    for name, layer, inputs, outputs in nodes:
        above = set().union(*(owners.get(value, set()) for value in inputs))
        if layer:
            found[name] = Layer([], above)
        mine = {name} if layer else above
        owners.update(dict.fromkeys(outputs, mine))
        for owner in mine:
            found[owner].nodes.append(name)
    return found


def given_back(found: Mapping[str, Layer], keep: Iterable[str]) -> set[str]:
    """Return the layers that compute in float where some are to: with each those that feed it.

    What reaches it would be rounded all the same, and nothing would be won.
    """
    return {name for layer in keep for name in (layer, *found[layer].fed_by)}


def in_float(found: Mapping[str, Layer], keep: Iterable[str]) -> set[str]:
    """Return the nodes that compute in float with some layers: their activations, poolings and the like, too."""
    return {node for name in given_back(found, keep) for node in found[name].nodes}


def half(source: Path, target: Path) -> None:
    """Write a model whose weights and activations are float16, and whose input and output stay as they are."""
    onnx.save(convert_float_to_float16(onnx.load(source), keep_io_types=True), target)


def single(source: Path, target: Path, spec: InputSpec) -> None:
    """Write a model whose batch size is one: where it is left open, some tools cannot follow the shapes."""
    model = onnx.load(source)
    shape = model.graph.input[0].type.tensor_type.shape
    sides = (3, spec.height, spec.width) if spec.layout == "NCHW" else (spec.height, spec.width, 3)
    for dimension, size in zip(shape.dim, (1, *sides), strict=True):
        dimension.dim_value = size
    onnx.save(model, target)


def weights_as_int8(source: Path, target: Path) -> int:
    """Write a model whose weights are int8 with a scale per channel, turned back to float when it is loaded.

    It is smaller, not faster: what is multiplied is float. Returns the number of weights so stored.
    """
    model = onnx.load(source)
    stored = {entry.name: entry for entry in model.graph.initializer}
    chosen = [(name, axis) for name, axis in _weights(model) if name in stored]
    for name, axis in chosen:
        small, scales = _per_channel(numpy_helper.to_array(stored[name]), axis)
        model.graph.initializer.remove(stored[name])
        packed = (numpy_helper.from_array(small, f"{name}_int8"), numpy_helper.from_array(scales, f"{name}_scale"))
        model.graph.initializer.extend(packed)
        # Not DequantizeLinear: of a matrix product with it, ONNX Runtime 1.31 rounds the activations too.
        cast = helper.make_node("Cast", [f"{name}_int8"], [f"{name}_cast"], f"{name}_to_float", to=TensorProto.FLOAT)
        model.graph.node.insert(0, helper.make_node("Mul", [f"{name}_cast", f"{name}_scale"], [name], f"{name}_scaled"))
        model.graph.node.insert(0, cast)
    onnx.save(model, target)
    return len(chosen)


def _weights(model: Any) -> Iterator[tuple[str, int]]:
    """Yield the weights of convolutions and matrix products once each, with the axis of their output channels."""
    told = set()
    for node in model.graph.node:
        if node.op_type in QUANTIZABLE and len(node.input) > 1 and node.input[1] not in told:
            told.add(node.input[1])
            transposed = any(entry.name == "transB" and entry.i for entry in node.attribute)
            yield node.input[1], 0 if node.op_type == "Conv" or transposed else 1


def _per_channel(weights: NDArray[Any], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return int8 weights and their symmetric scales, one for each channel of `axis`, in a shape that multiplies."""
    others = tuple(place for place in range(weights.ndim) if place != axis)
    largest = np.maximum(np.abs(weights).max(axis=others, keepdims=True), 1e-12)
    scales = (largest / 127).astype(np.float32)
    return np.clip(np.rint(weights / scales), -127, 127).astype(np.int8), scales
