"""The user's own benchmark_model beside us: its lines are read, and it is put there, run and reported as theirs.

data/benchmark_model.txt is written after the tool's own code and documentation, not recorded on a phone.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgerig.errors import ConfigError
from harness import config
from harness.config import RunTable
from harness.measuring import peers
from harness.planning import plan
from harness.planning.method import method
from reports.records import Run
from reports.text import as_text
from tests.harness.command import Workplace
from tests.support import devices, faces
from tests.support.tflite import tflite_model

PRINTED = (Path(__file__).parent / "data" / "benchmark_model.txt").read_text(encoding="utf-8")


def read(text: str) -> dict[str, tuple[float, str]]:
    return {entry.figure: (entry.value, entry.unit) for entry in peers.figures(text)}


def test_its_lines_are_read() -> None:
    assert read(PRINTED) == {
        "init": (23415, "us"),
        "first inference": (19238, "us"),
        "warmup avg": (12402.6, "us"),
        "inference avg": (12150.2, "us"),
        "inference count": (21, "1"),
        "inference min": (12021, "us"),
        "inference max": (12411, "us"),
        "inference std": (85, "us"),
        "inference median": (12140, "us"),
        "inference p95": (12300, "us"),
        "memory init": (7.69531, "MB"),
        "memory overall": (11.2734, "MB"),
    }


def test_older_and_slower_ones_are_read_as_well() -> None:
    old = "Init: 5685, First inference: 18535, Warmup (avg): 14462.3, Inference (avg): 1.44752e+06"
    assert read(f"STARTING!\nInference timings in us: {old}\n")["inference avg"] == (1.44752e6, "us")


@pytest.mark.parametrize("text", ["", "STARTING!\ncount=5 first=1 avg=2", PRINTED.partition("Inference timings")[0]])
def test_what_did_not_end_has_no_figures(text: str) -> None:
    assert peers.figures(text) == ()


def test_it_is_asked_for_what_we_do() -> None:
    words = peers.options(method("quick", 60.0), 4)
    assert words == ["--num_threads=4", "--num_runs=16", "--min_secs=0.25", "--warmup_runs=10", "--warmup_min_secs=0.5"]


def tool(folder: Path, script: str) -> Path:
    path = folder / "benchmark_model"
    path.write_text(f"#!/bin/sh\n{script}\n")
    return path


WORKS = f"cat <<'END'\n{PRINTED}END"


@pytest.mark.parametrize(
    ("script", "outcome", "reason"),
    [
        ("echo 'ERROR: no delegate' >&2; exit 1", "failed", "status 1: ERROR: no delegate"),
        ("echo STARTING!", "failed", "it printed no timings"),
        ("sleep 60", "timeout", "no end within 1 s"),
    ],
)
def test_whatever_becomes_of_it_is_a_result(tmp_path: Path, script: str, outcome: str, reason: str) -> None:
    model = tmp_path / "mobile.tflite"
    model.write_bytes(b"model")
    with devices.session(tmp_path) as session:
        peer = peers.measure(session, tool(tmp_path, script), model, ["--num_threads=1"], None, 1.0)
    assert (peer.outcome, peer.figures) == (outcome, ())
    assert reason in peer.reason


@pytest.fixture(scope="module")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    """Return a run with a tool, and its folder."""
    folder = tmp_path_factory.mktemp("native")
    place = Workplace(folder)
    faces.make(folder / "faces", 8, splits=("val", "test"))
    tflite_model(folder / "models", "mobile")
    tool(folder, WORKS)
    (folder / "edgerig.toml").write_text('[targets.here]\nnative = "benchmark_model"\ncores = "all"\n')
    told = place.json("run", "--faces", "faces", "--quick", "--variants", "models", "--target", "here")
    return folder / told.pop("folder"), Run.model_validate(told)


def test_it_is_put_there_run_and_taken_down(run_of: tuple[Path, Run]) -> None:
    _, run = run_of
    (cell,) = run.cells
    (peer,) = cell.peers
    assert cell.outcome == "ok"
    assert peer.value("inference avg") == 12150.2
    assert re.fullmatch(r"taskset [0-9a-f]+ benchmark_model --graph=mobile\.tflite --num_threads=1 .*", peer.command)
    assert run.targets[0].settings["cores"].startswith("all: 0")
    assert "mobile on here, 1 thread: 12.2 ms an inference by its own clock; ours, tflite cpu: " in as_text(run, 200)


def test_it_is_reported_as_theirs(run_of: tuple[Path, Run]) -> None:
    folder, _ = run_of
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "<h2>Other tools</h2>" in page
    assert "taken down as it printed it" in page
    assert page.count("12.2") >= 1


def test_a_tool_that_is_not_there_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "edgerig.toml").write_text('[targets.phone]\nnative = "no/such"\n')
    space = config.load(tmp_path / "edgerig.toml")
    with pytest.raises(ConfigError, match=rf"targets\.phone: there is no {tmp_path}/no/such"):
        plan.make(space, RunTable(targets=("phone",)), packs=tmp_path)
