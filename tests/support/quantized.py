"""A small int8 model whose arithmetic is whole numbers from the pixels on, so that every processor must agree on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.support.models import IR, OPSET, write_manifest

SIZE = 24
CHANNELS = 8
# Sums of two products stay below 2^15: processors without VNNI add pairs of them in 16 bits and saturate.
LARGEST_WEIGHT = 60


def quantized_model(folder: Path, name: str, size: int = SIZE, **keys: Any) -> Path:
    """Write a convolution, a mean and a matrix product in ONNX's QDQ form, with random weights, and its manifest.

    Args:
        folder: made where it is missing.
        name: of the variant and its file.
        size: of the pictures.
        keys: more keys for the manifest, e.g. parent="teacher".
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = helper.make_model(_graph(size), opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    onnx.checker.check_model(model)
    path = folder / f"{name}.onnx"
    onnx.save(model, str(path))
    output = {"kind": "logits", "index": 1}
    write_manifest(path, input={"size": [size, size]}, output=output, techniques=["int8"], **keys)
    return path


def _graph(size: int) -> onnx.GraphProto:
    draw = np.random.default_rng(7)
    weights = draw.integers(-LARGEST_WEIGHT, LARGEST_WEIGHT, (CHANNELS, 3, 3, 3)).astype(np.int8)
    columns = draw.integers(-LARGEST_WEIGHT, LARGEST_WEIGHT, (CHANNELS, 2)).astype(np.int8)
    constants: dict[str, NDArray[Any]] = {
        "weights": weights,
        "columns": columns,
        "none": np.array(0, np.int8),
        "first": np.array(0, np.uint8),
        "middle": np.array(128, np.uint8),
        "s_weights": np.array(1 / 128, np.float32),
        "s_pixels": np.array(1 / 255, np.float32),
        "s_features": np.array(6 / 255, np.float32),
        "s_means": np.array(2 / 255, np.float32),
        "s_logits": np.array(1 / 255, np.float32),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["weights", "s_weights", "none"], ["w"]),
        helper.make_node("DequantizeLinear", ["columns", "s_weights", "none"], ["c"]),
        *_rounded("x", "s_pixels", "first"),
        helper.make_node("Conv", ["x_", "w"], ["conv"]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        *_rounded("relu", "s_features", "first"),
        helper.make_node("GlobalAveragePool", ["relu_"], ["mean"]),
        *_rounded("mean", "s_means", "first"),
        helper.make_node("Flatten", ["mean_"], ["flat"]),
        *_rounded("flat", "s_means", "first"),
        helper.make_node("MatMul", ["flat_", "c"], ["logits"]),
        *_rounded("logits", "s_logits", "middle", "y"),
    ]
    shape: list[str | int | None] = ["batch", 3, size, size]
    return helper.make_graph(
        nodes,
        "quantized",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )


def _rounded(tensor: str, scale: str, zero: str, name: str = "") -> list[onnx.NodeProto]:
    """Return the nodes that quantize a tensor and dequantize it again, to `name` or to its own name with a "_"."""
    return [
        helper.make_node("QuantizeLinear", [tensor, scale, zero], [f"{tensor}_q"]),
        helper.make_node("DequantizeLinear", [f"{tensor}_q", scale, zero], [name or f"{tensor}_"]),
    ]
