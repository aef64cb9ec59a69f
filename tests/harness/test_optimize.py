"""`edgerig optimize`: a trained file in, measured variants out, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_zoo import manifest
from tests.harness.command import Workplace
from tests.model_zoo.test_ladder import net
from tests.support import faces, models


@pytest.fixture
def bench(workplace: Workplace) -> Workplace:
    """Return a workplace with a model and faces in three splits."""
    net(workplace.folder)
    faces.make(workplace.folder / "faces", 80, splits=("train", "val", "test"))
    return workplace


def test_a_ladder_is_built_and_measured(bench: Workplace) -> None:
    found = bench.json("optimize", "net.onnx", "--faces", "faces", "--quick")
    kept = {rung["name"] for rung in found["rungs"] if rung["kept"]}
    assert {"fp16", "weights8"} <= kept
    assert len([name for name in kept if name.startswith("int8-")]) == 1
    made = {manifest.load(path).name: manifest.load(path) for path in _manifests(bench.folder / "net-ladder")}
    assert set(made) == {"net", *(f"net-{name}" for name in kept)}
    assert made["net-fp16"].manifest.parent == "net"
    assert made["net-fp16"].manifest.techniques == ("fp16",)
    files = {path.name for path in (bench.folder / "net-ladder").glob("*.onnx")}
    assert files == {variant.path.name for variant in made.values()}
    shown = bench.run("show", found["run"]).stdout
    assert "net-weights8" in shown


def _manifests(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.toml") if not path.name.endswith(manifest.FAMILY_SUFFIX)]


def test_without_measuring_a_table_is_all(bench: Workplace) -> None:
    shown = bench.run("optimize", "net.onnx", "--faces", "faces", "--no-measure", "--out", "rungs").stdout
    assert "loses no more" in shown
    assert not (bench.folder / "runs").exists()
    assert (bench.folder / "rungs" / "net-fp16.toml").is_file()


def test_a_bound_that_nothing_meets_leaves_the_model_itself(bench: Workplace) -> None:
    found = bench.json(
        "optimize", "net.onnx", "--faces", "faces", "--max-auc-drop", "0", "--max-flips", "0", "--no-measure"
    )
    assert {rung["name"]: rung["kept"] for rung in found["rungs"]}["optimized"]
    assert (bench.folder / "net-ladder" / "net.onnx").is_file()


def test_what_is_refused(bench: Workplace) -> None:
    faces.make(bench.folder / "plain", 12)
    models.null_model(bench.folder, "script")
    (bench.folder / "bare.onnx").write_bytes((bench.folder / "net.onnx").read_bytes())
    refused = {
        ("net.onnx", "--faces", "plain"): "has no splits",
        ("net.onnx", "--faces", "nowhere"): "there is no face set at nowhere",
        ("script.null", "--faces", "faces"): "is no ONNX file",
        ("bare.onnx", "--faces", "faces"): "edgerig variants init",
    }
    for words, said in refused.items():
        assert said in bench.run("optimize", *words, code=2).stderr
