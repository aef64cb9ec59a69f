"""What OpenVINO and TensorFlow Lite files say of themselves: the same as the ONNX file that they were made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgerig.errors import ModelError
from harness.models import onnx_facts, openvino_facts, tflite_facts
from tests.support import tflite


def net(path: Path) -> Path:
    """Write a convolution, a depthwise one with int8 weights that are scaled, and a product; 8x8 pixels."""
    draw = np.random.default_rng(1)
    weights = {
        "conv": draw.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "depth": draw.integers(-9, 9, (4, 1, 3, 3), np.int8),
        "scale": np.full(4, 0.5, np.float32),
        "zero": np.zeros(4, np.int8),
        "full": draw.normal(size=(4, 2)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "conv"], ["a"], pads=[1] * 4),
        helper.make_node("DequantizeLinear", ["depth", "scale", "zero"], ["d"], axis=0),
        helper.make_node("Conv", ["a", "d"], ["b"], pads=[1] * 4, group=4),
        helper.make_node("ReduceMean", ["b"], ["m"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["m", "full"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(value, key) for key, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


def test_an_openvino_file_counts_as_its_onnx_file_does(tmp_path: Path) -> None:
    source, path = net(tmp_path / "net.onnx"), tmp_path / "net.xml"
    openvino.save_model(openvino.convert_model(source), path, compress_to_fp16=False)
    facts, parent = openvino_facts.read(path), onnx_facts.read(source)
    assert (facts.parameters, facts.macs) == (parent.parameters, parent.macs)
    assert facts.macs == 8 * 8 * 4 * 27 + 8 * 8 * 4 * 9 + 4 * 2
    assert facts.techniques == ("weights int8",)


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.xml"
    path.write_text('<!DOCTYPE net [<!ENTITY a "aaaa">]><net><layers>&a;</layers></net>')
    with pytest.raises(ModelError, match="a document type or markup that OpenVINO does not write"):
        openvino_facts.read(path)


@pytest.mark.parametrize(("quantized", "techniques"), [(False, ()), (True, ("static int8",))])
def test_a_tflite_file(tmp_path: Path, quantized: bool, techniques: tuple[str, ...]) -> None:
    facts = tflite_facts.read(tflite.tflite_model(tmp_path, "net", quantized=quantized))
    assert facts
    assert (facts.parameters, facts.macs, facts.techniques) == (3 + 3 + 1, 3, techniques)
