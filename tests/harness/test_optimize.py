"""`edgerig optimize`: a trained file in, measured variants out, and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from harness import workflow
from harness.commands import optimize
from harness.config import Config, RunTable, Workspace
from harness.planning import plan
from harness.planning.plan import Plan
from model_zoo import manifest, select
from model_zoo.ladder.fidelity import Bound
from reports.files import read
from reports.records import BudgetCheck, Judgement, Run
from tests.harness.command import Workplace
from tests.model_zoo.test_ladder import net
from tests.reports.test_within import drawn
from tests.support import faces, models


@pytest.fixture(scope="module")
def run() -> Run:
    """Return a run that is long enough for a choice: to measure one would take minutes."""
    return drawn(("net", "", 2.0, None), ("int8", "net", 1.0, 0.004), ("fp16", "net", 1.5, 0.05))


@pytest.fixture
def bench(workplace: Workplace) -> Workplace:
    """Return a workplace with a model and faces in three splits."""
    net(workplace.folder)
    faces.make(workplace.folder / "faces", 80, splits=("train", "val", "test"))
    return workplace


def test_a_ladder_is_built_and_measured(bench: Workplace) -> None:
    found = bench.json("optimize", "net.onnx", "--faces", "faces", "--quick", "--threads", "2")
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
    assert {cell.key.threads for cell in read(bench.folder / found["run"]).cells} == {2}
    [choice] = found["choices"]
    assert (choice["verdict"], choice["reason"]) == ("none", "all times are under-sampled")


def test_budgets_threads_and_rounds_are_measured_by(
    bench: Workplace, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[Plan] = []

    def start(planned: Plan, *_: object) -> tuple[Run, Path]:
        plans.append(planned)
        return run, Path("runs/0")

    monkeypatch.setattr(workflow, "start", start)
    bench.run("optimize", "net.onnx", "--faces", "faces", "--require", "p95_ms<=33.3", "--rounds", "7")
    [planned] = plans
    assert planned.budgets == {"x86": {"p95_ms": 33.3}}
    assert planned.method.rounds_min == 7


def test_with_budgets_the_choice_is_theirs(run: Run) -> None:
    check = BudgetCheck(cell=run.cells[1].id, budget="p50_ms", unit="ms", limit=1, at_most=True, verdict=Judgement.MET)
    budgeted = run.model_copy(update={"budgets": (check,), "choices": ()})
    assert optimize._chosen(budgeted, Bound(0.01)) == ()
    assert len(optimize._chosen(run, Bound(0.01))) == 1


def test_the_choice_is_printed_with_what_is_left_out(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(workflow, "start", lambda *_: (run, Path("runs/0")))
    monkeypatch.setattr(plan, "make", lambda *_, **__: None)
    code = optimize._measured(Workspace(Config(), None), RunTable(), Path("ladder"), [], Bound(0.01), as_json=False)
    shown = " ".join(capsys.readouterr().out.split())
    assert code == 0
    assert "x86: ship int8 on x86, onnxruntime cpu, 1 thread: the best of 2 by p50_ms; auc_drop 0.0040" in shown
    assert "left out: fp16 on x86, onnxruntime cpu, 1 thread: auc_drop 0.0500" in shown


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
    labels = (faces.make(bench.folder / "one-clip", 24, splits=("val", "test")) / "labels.csv").read_text()
    (bench.folder / "one-clip" / "labels.csv").write_text(re.sub("person-[0-9]+,val", "clip,val", labels))
    (bench.folder / "bare.onnx").write_bytes((bench.folder / "net.onnx").read_bytes())
    refused: dict[tuple[str, ...], str] = {
        ("net.onnx", "--faces", "plain"): "has no splits",
        ("net.onnx", "--faces", "nowhere"): "there is no face set at nowhere",
        ("script.null", "--faces", "faces"): "is no ONNX file",
        ("bare.onnx", "--faces", "faces"): "edgerig variants init",
        ("net.onnx", "--faces", "faces", "--out", "."): ". is the folder of net.onnx itself",
        ("net.onnx", "--faces", "one-clip"): "the val split of one-clip has too few groups",
    }
    refused |= {
        ("net.onnx", "--require", "auc<=0.9"): "limits auc from the wrong side",
        ("net.onnx", "--require", "pi4:auc>=0.9"): "there is no target 'pi4'",
        ("net.onnx", "--target", "pi4"): "there is no target 'pi4'",
        ("net.onnx", "--no-measure", "--threads", "2"): "--threads would do nothing",
    }
    for words, said in refused.items():
        assert said in bench.run("optimize", *words, code=2).stderr
    assert not (bench.folder / "net-ladder").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("index = 1", "index = 5"), "cannot be run as its manifest says: index 5 is out of bounds"),
        (("index = 1", 'name = "scores"'), "cannot be run as its manifest says: [ONNXRuntimeError] : 2 : INVALID"),
        (("16,", "24,"), "Expected: 16"),
    ],
    ids=["index", "name", "size"],
)
def test_a_manifest_that_contradicts_its_model_is_told(bench: Workplace, change: tuple[str, str], said: str) -> None:
    path = bench.folder / "net.toml"
    path.write_text(path.read_text().replace(*change))
    told = bench.run("optimize", "net.onnx", "--faces", "faces", "--no-measure", code=2).stderr
    assert said in " ".join(told.split())


def test_a_model_that_answers_no_numbers_is_told(bench: Workplace) -> None:
    net = onnx.load(bench.folder / "net.onnx")
    bias = next(entry for entry in net.graph.initializer if entry.name == "bias")
    bias.CopyFrom(numpy_helper.from_array(np.array([np.nan, 0], np.float32), "bias"))
    onnx.save(net, bench.folder / "net.onnx")
    told = bench.run("optimize", "net.onnx", "--faces", "faces", "--no-measure", code=2).stderr
    assert "net.onnx itself answers NaN or infinity" in told


def test_a_second_ladder_leaves_nothing_of_the_first(workplace: Workplace) -> None:
    net(workplace.folder, drown=1e4)  # int8 breaks it
    faces.make(workplace.folder / "faces", 24, splits=("train", "val", "test"))
    build = ("optimize", "net.onnx", "--faces", "faces", "--no-measure")
    bound = ("--max-auc-drop", "1", "--max-flips", "1")
    for words, kind in ((bound, "net-int8-minmax"), ((), "net-int8-mixed"), (bound, "net-int8-minmax")):
        workplace.run(*build, *words)
        made = select.variants([str(workplace.folder / "net-ladder")])
        assert [variant.name for variant in made if "int8" in variant.name] == [kind]


def test_weights_in_a_file_of_their_own_come_along(bench: Workplace) -> None:
    model = bench.folder / "net.onnx"
    onnx.save(onnx.load(model), model, save_as_external_data=True, location="net.onnx.data", size_threshold=0)
    build = ("optimize", "net.onnx", "--faces", "faces", "--no-measure")
    assert 'Add extra_files = ["net.onnx.data"]' in bench.run(*build, code=2).stderr
    path = bench.folder / "net.toml"
    path.write_text(path.read_text().replace("[input]", 'extra_files = ["net.onnx.data"]\n[input]'))
    rungs = {rung["name"]: rung["kept"] for rung in bench.json(*build)["rungs"]}
    assert rungs["optimized"]
    made = {variant.name: variant for variant in select.variants([str(bench.folder / "net-ladder")])}
    assert [file.name for file in made["net"].files] == ["net.onnx", "net.onnx.data"]
    assert not onnx.load(made["net-optimized"].path, load_external_data=False).graph.initializer[0].external_data
