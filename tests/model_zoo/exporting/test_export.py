"""Exporting: files that answer as the net does, whole manifests, and nothing where the two disagree."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from edgerig.errors import ModelError, OutputError
from edgerig.preprocess import OutputSpec, postprocess
from harness.models import onnx_facts, openvino_facts, tflite_facts
from model_zoo import family, manifest
from model_zoo.backbones import classical
from model_zoo.building.faces import TrainingFaces
from model_zoo.building.trained import Trained
from model_zoo.exporting import onnx_file, parity, running
from model_zoo.exporting.export import Exporter, Order
from model_zoo.exporting.quiet import quiet
from model_zoo.ladder.fidelity import Faces
from model_zoo.manifest import Input, Variant
from tests.model_zoo.exporting.conftest import NAMES
from tests.support import exportable

Exported = tuple[Path, dict[str, Any]]
WRITE = onnx_file.write
FACTS = {"onnx": onnx_facts.read, "tflite": tflite_facts.read, "openvino": openvino_facts.read}


@pytest.fixture(scope="module")
def variants(exported: Exported) -> dict[str, Variant]:
    folder, tables = exported
    family.write(folder, list(tables.values()))
    return {name: manifest.load(folder / f"{name}.toml") for name in tables}


def test_every_file_answers_as_the_net(
    variants: dict[str, Variant], trained: Trained, training_faces: TrainingFaces
) -> None:
    fed = training_faces.validation(trained.input)
    with torch.no_grad():
        wanted = trained.model(torch.from_numpy(np.concatenate(list(fed.tensors())))).numpy()
    for variant in variants.values():
        faces = Faces(fed.faces, variant.manifest.input.spec())
        assert running.answers(variant.path, faces) == pytest.approx(wanted, abs=1e-4)
        scores = running.scores(variant.path, faces, variant.output_spec())
        assert scores == pytest.approx(postprocess(wanted, OutputSpec()), abs=1e-4)


def test_manifests_are_whole_and_counts_agree_with_the_files(variants: dict[str, Variant]) -> None:
    assert {name: variant.format for name, variant in variants.items()} == NAMES
    for variant in variants.values():
        facts = FACTS[variant.format](variant.path)
        assert facts is not None
        told = variant.manifest
        assert (told.macs, told.techniques, told.note) == (facts.macs, ("pruned",), "Small.")
        # Batch norms, 8 channels twice and 8 once, are folded into the weights: gamma and beta become a bias.
        assert told.parameters == facts.parameters + 24
        assert told.bytes == variant.path.stat().st_size
    assert variants["small-tflite"].manifest.input.layout == "NHWC"
    assert [path.suffix for path in variants["small-openvino"].files] == [".xml", ".bin"]


def test_an_onnx_file_takes_any_batch_and_tells_nothing_of_the_machine(variants: dict[str, Variant]) -> None:
    model = onnx.load(variants["small"].path)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    assert os.fsencode(Path(torch.__file__).parents[1]) not in variants["small"].path.read_bytes()
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)


def doctored(net: Any, path: Path, change: Any) -> None:
    """Export a net that `change` has changed."""
    WRITE(net, exportable.INPUT, path)
    model = onnx.load(path)
    change(model.graph)
    onnx.save(model, path)


def without_activation(graph: Any) -> None:
    swish = next(node for node in graph.node if node.op_type == "HardSwish")
    for node in graph.node:
        node.input[:] = [swish.input[0] if name == swish.output[0] else name for name in node.input]


def other_normalisation(graph: Any) -> None:
    first = next(node for node in graph.node if node.op_type == "Conv")
    weight = next(entry for entry in graph.initializer if entry.name == first.input[1])
    weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) * 1.01, weight.name))


@pytest.mark.parametrize("change", [without_activation, other_normalisation])
def test_what_disagrees_is_refused_and_nothing_is_left(
    change: Any, trained: Trained, training_faces: TrainingFaces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "write", lambda net, _spec, path: doctored(net, path, change))
    with (
        pytest.raises(ModelError, match=r"disagrees .* answers differ by .* was not written"),
        Exporter(trained, Order(tmp_path / "out", training_faces)) as exporter,
    ):
        exporter.write("wrong", "onnx")
    assert not (tmp_path / "out").exists()


def test_parity_sees_what_a_difference_means() -> None:
    net = np.array([[2.0, -2.0], [-1.0, 1.0], [0.0, 1e-5]])
    assert parity.require(net, net, "it").difference == 0
    assert (
        parity.require(net + np.array([[0, 0], [0, 0], [1e-4, 0]]), net, "it").flips == 0
    )  # rounding alone turns that one
    with pytest.raises(ModelError, match="2 of 3 decisions"):
        parity.require(net[:, ::-1], net, "it")
    with pytest.raises(ModelError, match="NaN"):
        parity.require(net * np.nan, net, "it")
    with pytest.raises(ModelError, match="3 numbers"):
        parity.require(np.zeros((3, 3)), net, "it")


def test_a_net_that_cannot_be_exported_is_one_sentence(
    trained: Trained, training_faces: TrainingFaces, tmp_path: Path
) -> None:
    class Branching(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x.mean((2, 3))[:, :2] if float(x.sum()) > 0 else x.mean((2, 3))[:, 1:]

    order = Order(tmp_path / "out", training_faces)
    with Exporter(Trained(Branching(), "own", trained.input), order) as exporter, pytest.raises(ModelError) as refused:
        exporter.write("branching", "onnx")
    assert "cannot be exported to ONNX" in refused.value.message
    assert "\n" not in refused.value.message
    assert len(refused.value.message) < 600


def test_a_folder_that_cannot_be_written_is_told(
    exported: Exported, trained: Trained, training_faces: TrainingFaces, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("a file")
    with Exporter(trained, Order(tmp_path / "out", training_faces)) as exporter, pytest.raises(OutputError):
        exporter._placed(exported[0] / "small.onnx", "small")


def test_quiet_holds_back_chatter_and_tells_what_went_wrong(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet("it cannot be done"):
        print("progress")  # noqa: T201
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        logging.getLogger("exporter").warning("training mode")
        os.write(2, b"compiled chatter\n")
    assert capfd.readouterr() == ("", "")
    with pytest.raises(ModelError, match=r"^it cannot be done: bad shape \| ERROR: no kernel for X\.$"):
        failing()
    sys.stderr.write("heard again")
    assert capfd.readouterr().err == "heard again"


def failing() -> None:
    with quiet("it cannot be done"):
        os.write(2, b"loading\nERROR: no kernel for X\n")
        raise RuntimeError("bad\nshape.")


def test_a_classifier_is_exported_with_its_probabilities(training_faces: TrainingFaces, tmp_path: Path) -> None:
    spec = Input(size=(8, 8))
    fed = [Faces(part, spec.spec()) for part in (training_faces.train, training_faces.val)]
    rows = [np.concatenate([tensor.reshape(1, -1) for tensor in faces.tensors()]) for faces in fed]
    pipeline = classical.create("decision-tree", 0).set_params(components__n_components=4).fit(rows[0], fed[0].labels)
    with Exporter(Trained(pipeline, "decision-tree", spec), Order(tmp_path, training_faces)) as exporter:
        table = exporter.write("tree", "onnx")
    family.write(tmp_path, [table])
    variant = manifest.load(tmp_path / "tree.toml")
    assert (variant.manifest.parameters, variant.manifest.macs) == (None, None)
    assert onnx.load(variant.path).graph.input[0].type.tensor_type.shape.dim[2].dim_value == 8
    scores = running.scores(variant.path, fed[1], variant.output_spec())
    assert scores == pytest.approx(pipeline.predict_proba(rows[1])[:, 1], abs=1e-6)
    assert len(set(scores)) > 1
