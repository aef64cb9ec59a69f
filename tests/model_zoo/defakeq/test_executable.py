"""What LiteRT runs of a plan: the same weights in few bits, whatever the operators can take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import litert_torch
import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils

from edgerig.errors import ConfigError, ModelError
from model_zoo.building.faces import TrainingFaces
from model_zoo.building.recipe import Defakeq, Quantize
from model_zoo.building.trained import Context, Trained
from model_zoo.defakeq import executable, packing, plan, step
from model_zoo.exporting.export import Exporter, Order
from model_zoo.exporting.quiet import quiet
from tests.support import exportable

FILE = "few.tflite"
ROUNDED = {"veft": True, "kept": 0.2, "epochs": 1, "calibration": 16, "haq": False, "bits": 2}


class Wider(exportable.Small):
    """With a convolution that is neither 1 x 1 nor depthwise."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = torch.nn.Conv2d(3, 3, 3, 1, 1)
        self.first = torch.nn.Conv2d(3, 3, 1)

    def forward(self, x: Any) -> Any:
        return super().forward(torch.relu(self.wide(self.first(x))))


@pytest.fixture(scope="module")
def made(small: TrainingFaces, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    torch.manual_seed(5)
    trained = Trained(Wider().eval(), "mobilenetv3-small", exportable.INPUT)
    context = Context(small, None, 3, "cpu", tmp_path_factory.mktemp("work"), lambda _: trained)
    return step.apply(Defakeq.model_validate({"do": "defakeq", **ROUNDED}), trained, context)


def rows(made: Trained) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(made.extras[plan.FILE].read_text())["layers"]
    return found


def test_the_rendered_net_answers_the_same(made: Trained) -> None:
    assert sum(len(row["kept"]) > 0 for row in rows(made)) >= 3
    net, bits = executable.rendered(made.model, rows(made))
    pictures = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(net(pictures), made.model(pictures), rtol=1e-4, atol=1e-5)
    assert sorted(bits.values()).count(4) == 2, "wide convolutions of 2 bits have 4"
    assert len(bits) == len(rows(made))


@pytest.fixture(scope="module")
def planned(
    made: Trained, small: TrainingFaces, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """Return the folder of the exported variant, and its manifest's table."""
    # Without a training, a score lies so close to .5 that rounding turns it.
    table = Quantize.model_validate({"do": "quantize", "method": "planned", "auc_drop": 1.0, "flips": 1.0})
    folder = tmp_path_factory.mktemp("planned")
    with Exporter(made, Order(folder, small, quantization=table)) as exporter:
        exporter._workshop.__dict__["_prepared"] = folder / "an ONNX file that nobody needs here"
        return folder, exporter.write("few", "tflite")


def _stored(path: Path) -> dict[bytes, int]:
    """Return the bits of each quantized weight of a file, by the values that it stands for."""
    model = flatbuffer_utils.read_model(str(path))
    widths = {getattr(schema_py_generated.TensorType, f"INT{bits}"): bits for bits in (2, 4, 8)}
    found = {}
    for operator in model.subgraphs[0].operators:
        kind = executable.OPERATORS.get(model.operatorCodes[operator.opcodeIndex].builtinCode)
        tensor = model.subgraphs[0].tensors[operator.inputs[1]] if kind else None
        if tensor is None or tensor.type not in widths:
            continue
        bits = widths[tensor.type]
        data = np.frombuffer(bytes(model.buffers[tensor.buffer].data), np.uint8)
        codes = packing._unpacked(data, bits, int(np.prod(tensor.shape))).reshape(tensor.shape)
        ordered = np.moveaxis(codes, tensor.quantization.quantizedDimension, 0).astype(np.float32)
        scales = np.asarray(tensor.quantization.scale, np.float32)
        found[(ordered * scales.reshape(-1, *[1] * (codes.ndim - 1)) + np.float32(0)).tobytes()] = bits
    return found


def test_litert_holds_exactly_the_weights_that_were_packed(made: Trained, planned: tuple[Path, dict[str, Any]]) -> None:
    bits = executable.rendered(made.model, rows(made))[1]
    assert set(bits.values()) == {2, 4, 8}
    wanted = {len(values): (np.frombuffer(values, np.float32), few) for values, few in bits.items()}
    stored = {
        len(values): (np.frombuffer(values, np.float32), few) for values, few in _stored(planned[0] / FILE).items()
    }
    assert len(wanted) == len(bits), "layers of this net are told by their sizes"
    assert wanted.keys() == stored.keys()
    for size, (values, few) in wanted.items():
        assert stored[size][1] == few
        # Where 4 bits hold a weight of 2, its scale is a seventh, which float32 rounds.
        np.testing.assert_allclose(stored[size][0], values, rtol=2e-7 if few == 4 else 0, atol=0)


def test_its_answers_are_near(made: Trained, planned: tuple[Path, dict[str, Any]], small: TrainingFaces) -> None:
    net = Interpreter(model_path=str(planned[0] / FILE))
    net.allocate_tensors()
    fed, read = net.get_input_details()[0]["index"], net.get_output_details()[0]["index"]
    for picture in torch.randn(4, 3, 32, 32).clamp(-1, 1):
        net.set_tensor(fed, picture.permute(1, 2, 0)[None].numpy())
        net.invoke()
        with torch.no_grad():
            wanted = made.model(picture[None]).numpy()
        assert np.abs(net.get_tensor(read) - wanted).max() < 0.05 * np.abs(wanted).max()


def test_the_executed_size_is_that_of_the_file(made: Trained, planned: tuple[Path, dict[str, Any]]) -> None:
    folder, table = planned
    assert table["bytes"] == (folder / FILE).stat().st_size != made.figures["packed_bytes"]
    assert table["techniques"][-1] == "2/4/8-bit weights"


def test_depthwise_layers_of_few_bits_are_refused(made: Trained) -> None:
    narrow = [{**row, "bits": 4} if row["layer"] == "depthwise" else row for row in rows(made)]
    with pytest.raises(ConfigError, match="depthwise convolutions with 8 bits alone, and depthwise has 4"):
        executable.rendered(made.model, narrow)


def test_weights_that_the_converter_changed_are_told(made: Trained, tmp_path: Path) -> None:
    source, pixels = tmp_path / "float.tflite", torch.zeros(1, 8)
    with quiet("a linear layer"):
        litert_torch.convert(made.model.head, (pixels,)).export(str(source))
    with pytest.raises(ModelError, match="1 layers are not in the TensorFlow Lite file"):
        executable.quantize(source, tmp_path / "out.tflite", {b"other": 2})
