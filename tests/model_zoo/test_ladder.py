"""The ladder: rungs that answer as their parent does, one that int8 breaks, and the layers that mend it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from model_zoo import faceset, manifest
from model_zoo.ladder import graph
from model_zoo.ladder.build import Ladder, Rung, best_of
from model_zoo.ladder.fidelity import Bound, Faces, Loss, loss, scores
from model_zoo.manifest import Variant
from tests.support import faces as small_faces
from tests.support import models

CHANNELS = 16


def net(folder: Path, name: str = "net", drown: float = 1.0, at: int = 4) -> Path:
    """Write convolutions that carry green to the answer; one makes another `drown` times larger, the next undoes it.

    One scale for all channels of an activation leaves nothing of green where red is 10,000 times larger.
    """
    identity = np.eye(CHANNELS, dtype=np.float32)[:, :, None, None]
    first = np.zeros((CHANNELS, 3, 1, 1), np.float32)
    first[0, 1], first[1, 0] = 1, 1
    loud, quiet = identity.copy(), identity.copy()
    loud[1, 1], quiet[1, 1] = drown, 1 / drown
    head = np.zeros((CHANNELS, 2), np.float32)
    head[0] = -12, 12
    weights = {"w0": first, "w1": identity, "w2": identity, "w3": identity, "w4": identity, "head": head}
    weights |= {f"w{at}": loud, **({f"w{at + 1}": quiet} if at < 4 else {})}
    weights["bias"] = np.array([6.5, -6.5], np.float32)
    nodes = []
    last = "x"
    for number in range(5):
        nodes += [
            helper.make_node("Conv", [last, f"w{number}"], [f"c{number}"], kernel_shape=[1, 1]),
            helper.make_node("Relu", [f"c{number}"], [f"r{number}"]),
        ]
        last = f"r{number}"
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "head", "bias"], ["y"]),
    ]
    made = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(value, key) for key, value in weights.items()],
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.onnx"
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    models.write_manifest(path, input={"size": [16, 16]}, output={"kind": "logits", "index": 1})
    return path


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_faces.make(tmp_path_factory.mktemp("faces") / "set", 80, splits=("train", "val", "test"))


def variant(model: Path) -> Variant:
    return manifest.load(model.with_suffix(".toml"))


def ladder(model: Path, split: Path, folder: Path, bound: Bound | None = None) -> Ladder:
    everything, spec = faceset.load(split), variant(model).manifest.input.spec()
    calibration, validation = (Faces(everything.split(name), spec) for name in ("train", "val"))
    return Ladder(variant(model), calibration, validation, folder, bound or Bound())


@pytest.fixture(scope="module")
def rungs(tmp_path_factory: pytest.TempPathFactory, split: Path) -> Iterator[dict[str, Rung]]:
    folder = tmp_path_factory.mktemp("ladder")
    built = ladder(net(folder), split, folder / "out")
    yield {rung.name: rung for rung in built.rungs()}
    built.close()


def test_every_rung_answers_as_its_parent_does(rungs: dict[str, Rung]) -> None:
    assert {"fp16", "weights8", "int8-minmax", "int8-entropy", "int8-percentile", "optimized"} == set(rungs)
    assert all(rung.loss is not None and rung.loss.auc_drop < 0.01 for rung in rungs.values())
    assert rungs["optimized"].loss is not None
    assert rungs["optimized"].loss.largest < 1e-5


def test_what_is_stored_is_what_the_rung_says(rungs: dict[str, Rung]) -> None:
    def kinds(name: str) -> set[int]:
        path = rungs[name].path
        assert path is not None
        return {entry.data_type for entry in onnx.load(path).graph.initializer if np.prod(entry.dims) > 4}

    assert kinds("fp16") == {TensorProto.FLOAT16}
    assert kinds("weights8") == {TensorProto.INT8, TensorProto.FLOAT}  # the scales
    path = rungs["int8-minmax"].path
    assert path is not None
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in onnx.load(path).graph.node}


def test_of_the_calibrations_one_is_kept(rungs: dict[str, Rung]) -> None:
    static = [rung for name, rung in rungs.items() if name.startswith("int8-")]
    assert sum(rung.kept for rung in static) == 1
    assert all("loses no more" in rung.reason for rung in static if not rung.kept)


@pytest.mark.parametrize("at", [2, 4])
def test_a_broken_rung_is_thrown_out_and_mended_by_its_worst_layers(tmp_path: Path, split: Path, at: int) -> None:
    built = ladder(net(tmp_path, drown=10_000.0, at=at), split, tmp_path / "out")
    found = {rung.name: rung for rung in built.rungs()}
    assert all(not found[f"int8-{name}"].kept for name in ("minmax", "entropy", "percentile"))
    assert "AUC" in found["int8-minmax"].reason
    mixed = found["int8-mixed"]
    assert mixed.kept
    assert mixed.loss is not None
    assert mixed.loss.auc_drop <= Bound().auc_drop
    count = int(mixed.techniques[1].split()[0])
    assert 1 <= count <= 3
    assert mixed.techniques[1] == f"{count} of 6 layers in float"
    built.close()
    assert not (tmp_path / "out" / ".work").exists()


def test_what_cannot_be_mended_says_so_and_names_its_file(tmp_path: Path, split: Path) -> None:
    built = ladder(net(tmp_path, drown=10_000.0), split, tmp_path / "out")
    built._bound = Bound(auc_drop=-2.0)
    mixed = built._mixed(built._static("minmax"))
    assert mixed.reason == "with 3 of 6 layers in float it still loses too much"
    assert mixed.path is not None  # who throws it out removes it
    assert mixed.path.exists()


def test_a_layer_takes_along_what_works_on_its_output(tmp_path: Path) -> None:
    graph.prepared(net(tmp_path), tmp_path / "ready.onnx")
    found = graph.layers(tmp_path / "ready.onnx")
    kinds = {node.name: node.op_type for node in onnx.load(tmp_path / "ready.onnx").graph.node}
    told = [[kinds[name] for name in layer.nodes] for layer in found.values()]
    assert told == [["Conv", "Relu"]] * 4 + [["Conv", "Relu", "GlobalAveragePool", "Flatten"], ["Gemm"]]
    names = list(found)
    assert [layer.fed_by for layer in found.values()] == [set[str](), *({name} for name in names[:-1])]
    assert graph.given_back(found, [names[2]]) == {names[1], names[2]}
    assert graph.in_float(found, [names[2]]) == {*found[names[1]].nodes, *found[names[2]].nodes}


def rung(name: str, drop: float, reason: str = "") -> Rung:
    return Rung(name, (), Path(name), 10, Loss(0.9, drop, 0, 100, 0.1, reason), reason)


def test_the_best_of_equals_tells_the_others() -> None:
    told = [
        (entry.name, entry.kept) for entry in best_of([rung("a", 0.02, "broken"), rung("b", 0.003), rung("c", 0.001)])
    ]
    assert told == [("a", False), ("b", False), ("c", True)]
    assert [entry.reason for entry in best_of([rung("a", 0.2, "broken")])] == ["broken"]


@pytest.mark.parametrize(
    ("own", "reason"),
    [
        ([0.1, 0.9, 0.2, 0.8], ""),
        ([0.9, 0.1, 0.2, 0.8], "AUC 0.250 instead of 1.000, 2 of 4 decisions flip"),
        ([0.6, 0.9, 0.2, 0.8], "1 of 4 decisions flip"),
        ([0.1, np.nan, 0.2, 0.8], "it answers NaN or infinity"),
    ],
)
def test_what_is_lost(own: list[float], reason: str) -> None:
    labels = np.array([False, True, False, True])
    found = loss(np.array(own), np.array([0.1, 0.9, 0.2, 0.8]), labels, 0.5, Bound())
    assert found.reason == reason


def test_scores_are_those_of_the_measuring_agent(tmp_path: Path, split: Path) -> None:
    model = models.keras_model(tmp_path, "keras", size=24)
    spec = variant(model)
    found = scores(model, Faces(faceset.load(split), spec.manifest.input.spec()), spec.output_spec())
    labels: Any = [face.label == "fake" for face in faceset.load(split).faces]
    assert ((found > 0.5) == np.array(labels)).mean() > 0.95


def test_scores_that_were_turned_round_lost_all() -> None:
    labels, scores = np.array([False, False, True, True]), np.array([0.1, 0.2, 0.8, 0.9])
    lost = loss(1 - scores, scores, labels, 0.5, Bound())
    assert (lost.auc, lost.auc_drop, lost.flips) == (0.0, 1.0, 4)
