"""The main job as people do it: measure variants, look at the results, be interrupted, go on."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import edgerig
from edgerig import metrics
from harness.commands.run import stoppable
from tests.harness.command import Workplace, rounds
from tests.support import faces, models

# One target that this machine can be, whatever its architecture; small limits, so that what hangs ends soon.
TARGET = """
[targets.here]
architecture = ""
deadline_s = 6
memory_limit_mb = 1500
"""
RESULT_COLUMNS = (
    "run,target,variant,runtime,provider,threads,metric,scope,unit,value,ci_low,ci_high,n,lower_is_better,outcome,trust,"
    "emulated"
)


MEASURE = ("run", "--variants", "models", "--faces", "faces", "--target", "here")


@pytest.fixture
def bench(workplace: Workplace) -> Workplace:
    """Return a workplace with a face set, two models and a target."""
    return _furnished(workplace)


def _furnished(workplace: Workplace) -> Workplace:
    faces.make(workplace.folder / "faces", 40, splits=("val", "test"))
    models.onnx_model(workplace.folder / "models", "good")
    models.null_model(workplace.folder / "models", "scripted", latency_ms=2.0, wait="sleep")
    (workplace.folder / "edgerig.toml").write_text(TARGET)
    return workplace


class Finished(NamedTuple):
    """A run that only is looked at."""

    workplace: Workplace
    folder: Path
    record: dict[str, Any]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Return a quick run of four cells, measured once for all tests here."""
    workplace = _furnished(Workplace(tmp_path_factory.mktemp("finished")))
    words = ("--quick", "--threads", "1,2", "--profile", "--tag", "night", "--json")
    record = json.loads(workplace.apart(*MEASURE, *words).stdout)
    return Finished(workplace, workplace.folder / record["folder"], record)


def test_a_run_measures_every_cell(finished: Finished) -> None:
    run = finished.record
    assert [cell["outcome"] for cell in run["cells"]] == ["ok"] * 4
    assert (run["tag"], run["faces"]["images"], run["faces"]["split"]) == ("night", 20, "test")
    assert all(cell["operators"] for cell in run["cells"] if cell["key"]["variant"] == "good")
    assert all(cell["fingerprint"]["runtime_version"] for cell in run["cells"])


def test_a_run_writes_its_files(finished: Finished) -> None:
    assert json.loads((finished.folder / "run.json").read_text())["id"] == finished.folder.name
    assert (finished.folder / "report.html").read_text().startswith("<!doctype html>")
    assert len((finished.folder / "cells.csv").read_text().splitlines()) == 5


def test_results_are_tidy(finished: Finished) -> None:
    with (finished.folder / "results.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == RESULT_COLUMNS.split(",")
    stages = {row["scope"] for row in rows if row["metric"] == "latency_p50"}
    assert stages == {"decode", "preprocess", "inference", "postprocess", "end_to_end"}
    scripted = [row for row in rows if row["variant"] == "scripted" and row["scope"] == "inference"]
    assert all(float(row["value"]) >= 2.0 for row in scripted if row["metric"] in ("latency_min", "latency_p50"))


def test_accuracy_is_that_of_the_kept_scores(finished: Finished) -> None:
    for cell in finished.record["cells"]:
        path = finished.folder / "scores" / cell["accuracy"]["scores"]
        rows = list(csv.DictReader(path.read_text().splitlines()))
        labels, scores = [row["label"] == "fake" for row in rows], [float(row["score"]) for row in rows]
        told = {metric["metric"]: metric["value"] for metric in cell["metrics"] if metric["scope"] == "all"}
        assert told["auc"] == metrics.roc_auc(labels, scores)
        assert told["accuracy"] == metrics.confusion(labels, scores, 0.5).accuracy
        assert len(rows) == 20


def test_raw_times_are_kept_with_the_warm_up_marked(finished: Finished) -> None:
    entry = finished.record["cells"][0]["rounds"][0]
    frames = np.load(finished.folder / "frames" / entry["frames"])
    assert (frames.dtype, frames.shape[1]) == (np.int64, 5)
    assert entry["warmup"] >= 10
    assert len(frames) - entry["warmup"] >= 16


def test_a_table_names_each_variant_and_the_report(finished: Finished) -> None:
    printed = finished.workplace.run("show", "latest").stdout
    assert all(word in printed for word in ("good", "scripted", "report.html"))


def test_resuming_a_finished_run_measures_nothing(finished: Finished) -> None:
    before = (finished.folder / "journal.jsonl").read_bytes()
    assert finished.workplace.json("resume", "latest")["cells"] == finished.record["cells"]
    assert (finished.folder / "journal.jsonl").read_bytes() == before


@pytest.mark.parametrize("named", [True, False])
def test_a_report_is_rendered_again_without_measuring(finished: Finished, named: bool) -> None:
    report = finished.folder / "report.html"
    first = report.read_bytes()
    report.unlink()
    finished.workplace.run("report", *([finished.folder.name[:20]] if named else []))
    assert report.read_bytes() == first


def test_the_report_that_is_named_is_one_that_was_rendered(finished: Finished) -> None:
    assert finished.workplace.run("report", "--format", "csv").stdout.endswith(f"{finished.folder.name}\n")
    assert finished.workplace.run("report", "--format", "csv,html").stdout.endswith("report.html\n")


@pytest.mark.parametrize("command", ["show", "report"])
def test_a_run_need_not_be_named_says_the_usage(finished: Finished, command: str) -> None:
    assert "[RUN]" in finished.workplace.run(command, "--help").stdout.splitlines()[0]


def test_runs_variants_and_targets_are_listed(finished: Finished) -> None:
    bench = finished.workplace
    assert [row["state"] for row in bench.json("list", "runs")] == ["finished"]
    assert next(row["target"] for row in bench.json("list", "targets")) == "here"
    names = {row["variant"] for row in bench.json("list", "variants", "--variants", "models")}
    assert names == {"good", "scripted"}


def _another_version(folder: Path) -> None:
    journal = folder / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"plan":{', '"plan":{"moon_phase":1,', 1))


def _half_an_event(folder: Path) -> None:
    with (folder / "journal.jsonl").open("a") as stream:
        stream.write('{"event":"round"}\n')


def _emptied_times(folder: Path) -> None:
    next((folder / "frames").iterdir()).write_bytes(b"")


def _times_that_are_gone(folder: Path) -> None:
    shutil.rmtree(folder / "frames")


def _scores_cut_off(folder: Path) -> None:
    path = next((folder / "scores").iterdir())
    path.write_text(path.read_text()[:-30])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_another_version, "is not understood .moon_phase: Extra inputs"),
        (_half_an_event, "is not understood .KeyError: 'cell'"),
        (_emptied_times, r"frames/.*\.npy, which the journal names, cannot be read"),
        (_times_that_are_gone, r"frames/.*\.npy, which the journal names, cannot be read: No such file"),
        (_scores_cut_off, r"scores/.*\.csv, which the journal names, is damaged in line"),
    ],
)
def test_a_damaged_run_is_said_to_be_one_by_all_that_read_it(
    finished: Finished, tmp_path: Path, damage: Callable[[Path], None], said: str
) -> None:
    folder = shutil.copytree(finished.folder, tmp_path / "runs" / "20260101-0000-bad")
    damage(folder)
    for words in (("show", folder), ("compare", finished.folder, folder)):
        assert re.search(said, finished.workplace.run(*words, code=2).stderr)
    (row,) = finished.workplace.json("list", "runs", "--out", tmp_path / "runs")
    assert row["state"] == "finished" or row["state"].startswith("damaged: ")


def test_python_sees_the_same(finished: Finished) -> None:
    run = edgerig.load_run(finished.folder)
    assert list(run.results.columns) == RESULT_COLUMNS.split(",")
    assert len(run.cells) == 4
    assert "scripted" in run._repr_html_()
    assert run.report.exists()


def test_a_dry_run_measures_nothing(bench: Workplace) -> None:
    plan = bench.json(*MEASURE, "--dry-run")
    assert plan["targets"][0]["cells"] == 2
    assert plan["targets"][0]["push_bytes"] > 0
    assert not (bench.folder / "runs").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_says_how_to_go_on_and_leaves_a_report(bench: Workplace, number: signal.Signals) -> None:
    process = bench.start(*MEASURE)
    folder = bench.wait_for_rounds(1)
    code, said = bench.stopped(process, number)
    assert code == {signal.SIGTERM: 143, signal.SIGINT: 130}[number]
    assert f"edgerig resume runs/{folder.name}" in said
    assert (folder / "report.html").exists()
    bench.wait_for_no_agents()


def test_how_to_go_on_can_be_typed_although_its_folder_has_spaces(capsys: pytest.CaptureFixture[str]) -> None:
    interrupt = KeyboardInterrupt()
    interrupt.add_note("my runs/20260101")
    with pytest.raises(KeyboardInterrupt), stoppable():
        raise interrupt
    assert "edgerig resume 'my runs/20260101'" in capsys.readouterr().err


def test_a_killed_run_goes_on_where_it_stood(bench: Workplace) -> None:
    process = bench.start(*MEASURE, "--budget", "4", short=True)
    folder = bench.wait_for_rounds(3)
    process.kill()
    process.communicate()
    bench.wait_for_no_agents()
    before = rounds(folder / "journal.jsonl")
    run = bench.json("resume", folder.name[:20])
    after = rounds(folder / "journal.jsonl")
    assert after[: len(before)] == before
    assert run["finished"]
    assert all(len(cell["rounds"]) >= 5 and cell["outcome"] == "ok" for cell in run["cells"])
    numbers = [[entry["number"] for entry in cell["rounds"]] for cell in run["cells"]]
    assert all(these == list(range(1, len(these) + 1)) for these in numbers)


def test_a_second_controller_is_refused(bench: Workplace) -> None:
    process = bench.start(*MEASURE)
    folder = bench.wait_for_rounds(1)
    refused = bench.run("resume", folder, code=2)
    assert "another controller" in refused.stderr
    bench.stopped(process, signal.SIGTERM)


def test_a_model_that_changed_since_is_not_mixed_in(bench: Workplace) -> None:
    process = bench.start(*MEASURE, short=True)
    folder = bench.wait_for_rounds(1)
    bench.stopped(process, signal.SIGTERM)
    (bench.folder / "models" / "scripted.null").write_text("{}")
    refused = bench.run("resume", folder, code=2)
    assert "scripted" in refused.stderr
    assert "changed" in refused.stderr


@pytest.mark.parametrize(
    ("make", "outcome", "word"),
    [
        (models.crashing_model, "crashed", "SIGSEGV"),
        (models.hanging_model, "timeout", "6 s"),
        (models.hungry_model, "out-of-memory", "memory"),
    ],
)
def test_a_model_that_breaks_is_a_result_and_the_others_go_on(
    bench: Workplace, make: Callable[[Path], Path], outcome: str, word: str
) -> None:
    make(bench.folder / "models")
    run = bench.json(*MEASURE, "--quick", code=3)
    cells = {cell["key"]["variant"]: cell for cell in run["cells"]}
    broken = cells.pop(make(bench.folder / "models").stem)
    assert (broken["outcome"], word in broken["reason"]) == (outcome, True), broken["reason"]
    assert {cell["outcome"] for cell in cells.values()} == {"ok"}


def test_nan_scores_fail_the_cell_and_keep_its_times(bench: Workplace) -> None:
    models.null_model(bench.folder / "models", "nan", scores=[0.2, "nan", 0.9, 0.4])
    run = bench.json(*MEASURE, "--quick", code=3)
    cell = next(cell for cell in run["cells"] if cell["key"]["variant"] == "nan")
    assert cell["outcome"] == "failed"
    assert "NaN for 5 of 20" in cell["reason"]
    assert any(metric["metric"] == "latency_p50" for metric in cell["metrics"])
    assert not any(metric["metric"] == "auc" for metric in cell["metrics"])


def test_a_variant_that_finds_real_faces_is_warned_of(bench: Workplace) -> None:
    reading = {"kind": "probability", "index": 0}
    models.onnx_model(bench.folder / "models", "upside-down", head="sigmoid", means="real", output=reading)
    run = bench.json(*MEASURE, "--quick")
    assert any("upside-down" in warning and "inverted" in warning for warning in run["warnings"])


def test_a_name_with_markup_and_slashes_is_only_a_name(bench: Workplace) -> None:
    name = "../<script>alert(1)</script>\"'[/bold]"
    model = models.onnx_model(bench.folder / "odd", "odd", manifest=False)
    models.write_manifest(model, name=name, input={"size": [24, 24]})
    run = bench.json("run", "--variants", "odd", "--faces", "faces", "--target", "here", "--quick")
    page = (bench.folder / run["folder"] / "report.html").read_text()
    assert "<script>alert" not in page
    assert "alert(1)" in page
    assert name in bench.run("show").stdout
    assert {path.name for path in bench.folder.iterdir()} == {"cache", "edgerig.toml", "faces", "models", "odd", "runs"}


def test_a_name_is_only_a_name_before_anything_is_measured(bench: Workplace) -> None:
    name = "odd\\[/bold] :x:"  # a tag behind what escapes the bracket, and the code of an emoji
    models.null_model(bench.folder / "odd", "odd", keys={"name": name})
    assert name in bench.run("run", "--variants", "odd", "--faces", "faces", "--target", "here", "--dry-run").stdout


def test_a_device_that_is_lost_is_a_result_and_can_be_resumed(bench: Workplace) -> None:
    fault = '{ on = "receive", kind = "drop", after = 12, times = 100000 }'
    flaky = f'{TARGET}\n[targets.flaky]\narchitecture = ""\ntransport = "fake"\nfaults = [{fault}]\n'
    (bench.folder / "edgerig.toml").write_text(flaky)
    run = bench.json(*MEASURE, "--target", "flaky", "--quick", code=3)
    outcomes = {(cell["key"]["target"], cell["outcome"]) for cell in run["cells"]}
    assert outcomes == {("here", "ok"), ("flaky", "lost")}
    assert run["finished"] is None
    alone = bench.json("run", "--variants", "models", "--faces", "faces", "--target", "flaky", "--quick", code=4)
    assert {cell["outcome"] for cell in alone["cells"]} == {"lost"}


def test_a_link_that_drops_once_costs_nothing(bench: Workplace) -> None:
    fault = '{ on = "receive", kind = "drop", after = 12 }'
    (bench.folder / "edgerig.toml").write_text(
        f'[targets.flaky]\narchitecture = ""\ntransport = "fake"\nfaults = [{fault}]\n'
    )
    run = bench.json("run", "--variants", "models", "--faces", "faces", "--target", "flaky", "--quick")
    assert {cell["outcome"] for cell in run["cells"]} == {"ok"}


def test_more_threads_than_cores_are_unsupported_and_no_failure(bench: Workplace) -> None:
    run = bench.json(*MEASURE, "--quick", "--threads", "1,512")
    outcomes = {(cell["key"]["threads"], cell["outcome"]) for cell in run["cells"]}
    assert outcomes == {(1, "ok"), (512, "unsupported")}
