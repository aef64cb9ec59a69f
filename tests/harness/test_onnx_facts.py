"""Facts of an ONNX file, held against graphs whose numbers are computed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from edgerig.errors import ModelError
from harness.models import onnx_facts
from tests.support import models

Arrays = dict[str, Any]


def saved(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    weights: Arrays,
    x: Sequence[int | str] = ("batch", 3, 8, 8),
    y: Sequence[int | str] = ("batch", 2),
) -> Path:
    graph = helper.make_graph(
        nodes,
        "hand-made",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, y)],
        [numpy_helper.from_array(value, key) for key, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


def test_convolution_and_product_by_hand(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], strides=[2, 2], pads=[1, 1, 1, 1]),  # 3x8x8 -> 4x4x4
        helper.make_node("GlobalAveragePool", ["c"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "v"], ["y"]),
    ]
    weights = {
        "w": np.zeros((4, 3, 3, 3), np.float32),
        "b": np.zeros(4, np.float32),
        "v": np.zeros((4, 2), np.float32),
    }
    facts = onnx_facts.read(saved(tmp_path / "m.onnx", nodes, weights))
    assert facts.parameters == 4 * 27 + 4 + 8
    assert facts.macs == 4 * 4 * 4 * 27 + 4 * 2
    assert facts.techniques == ()


def test_a_depthwise_convolution_sums_over_one_channel(tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=3, pads=[1, 1, 1, 1])
    weights = {"w": np.zeros((3, 1, 3, 3), np.float32)}
    facts = onnx_facts.read(saved(tmp_path / "m.onnx", [node], weights, y=("batch", 3, 8, 8)))
    assert facts.macs == 3 * 8 * 8 * 9


def test_a_transposed_product_sums_over_the_same_dimension(tmp_path: Path) -> None:
    node = helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)
    weights = {"w": np.zeros((2, 10), np.float32)}
    facts = onnx_facts.read(saved(tmp_path / "m.onnx", [node], weights, x=("batch", 10)))
    assert facts.macs == 20


def test_a_batched_product_of_two_activations(tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    weights = {"w": np.zeros((1, 4, 6, 7), np.float32)}
    path = saved(tmp_path / "m.onnx", nodes, weights, x=(1, 4, 5, 6), y=(1, 4, 5, 7))
    assert onnx_facts.read(path).macs == 4 * 5 * 6 * 7


def test_unknown_shapes_are_not_guessed(tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    weights = {"w": np.zeros((4, 3, 3, 3), np.float32)}
    path = saved(tmp_path / "m.onnx", [node], weights, x=("batch", 3, "h", "w"), y=("batch", 4, "a", "b"))
    facts = onnx_facts.read(path)
    assert facts.macs is None
    assert facts.parameters == 108


def quantized(path: Path) -> Path:
    """Write a product whose input and weights go through QuantizeLinear and DequantizeLinear."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"]),
        helper.make_node("Gemm", ["d", "wd"], ["y"]),
    ]
    weights: Arrays = {
        "s": np.float32(0.1),
        "z": np.uint8(3),
        "w": np.ones((10, 2), np.int8),
        "ws": np.ones(2, np.float32),
        "wz": np.zeros(2, np.int8),
    }
    return saved(path, nodes, {key: np.asarray(value) for key, value in weights.items()}, x=("batch", 10))


def test_int8_is_recognised_and_its_scales_are_no_parameters(tmp_path: Path) -> None:
    facts = onnx_facts.read(quantized(tmp_path / "m.onnx"))
    assert facts.techniques == ("static int8 (QDQ)",)
    assert facts.parameters == 20
    assert facts.macs == 20  # the same as before quantizing


def test_what_onnxruntime_quantizes_is_recognised(tmp_path: Path) -> None:
    source = models.onnx_model(tmp_path, "m", manifest=False)
    quantize_dynamic(str(source), str(tmp_path / "q.onnx"), weight_type=QuantType.QInt8)
    before, after = onnx_facts.read(source), onnx_facts.read(tmp_path / "q.onnx")
    assert after.techniques == ("dynamic int8",)
    assert after.macs == before.macs == 6
    assert after.parameters == before.parameters


def test_shapes_are_no_parameters(tmp_path: Path) -> None:
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["r"]), helper.make_node("MatMul", ["r", "w"], ["y"])]
    weights = {"shape": np.array([-1, 192]), "w": np.zeros((192, 2), np.float32)}
    assert onnx_facts.read(saved(tmp_path / "m.onnx", nodes, weights)).parameters == 384


def test_half_precision_is_recognised(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["w"], ["wf"], to=TensorProto.FLOAT),
        helper.make_node("Gemm", ["x", "wf"], ["y"]),
    ]
    path = saved(tmp_path / "m.onnx", nodes, {"w": np.ones((10, 2), np.float16)}, x=("batch", 10))
    assert onnx_facts.read(path).techniques == ("fp16",)


@pytest.mark.parametrize("content", [b"", b"no model", b"\x00" * 100], ids=["empty", "text", "zeros"])
def test_what_is_no_model_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"m\.onnx is not an ONNX model that can be read"):
        onnx_facts.read(path)


def test_half_a_model_is_named(tmp_path: Path) -> None:
    path = models.onnx_model(tmp_path, "m", manifest=False)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ModelError):
        onnx_facts.read(path)
