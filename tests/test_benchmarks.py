"""The benchmarks of decisions run, on drawn rounds, on a recorded pool and on recorded sessions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner

from benchmarks import decisions, disturbed, literature, live
from benchmarks.disturbed import Disturbance
from harness.planning import method
from reports import files
from reports.records import Agreement, Place
from tests.reports import synthetic
from tests.support import models


def test_the_table_of_decisions_is_printed_for_a_recorded_pool(tmp_path: Path) -> None:
    medians = 2e6 * np.exp(np.random.default_rng(0).normal(0, 0.003, 300))
    rows = np.column_stack([medians * factor for factor in (0.97, 1.0, 1.02, 1.2)])
    lines = [
        ",".join(decisions.COLUMNS),
        *(",".join([*map(str, row), "2026-01-01T00:00:00", "2.0", ""]) for row in rows),
    ]
    lines.append("1,1,1,1,2026-01-01T00:00:00,2.0,throttled")
    (tmp_path / "pool.csv").write_text("\n".join(lines) + "\n")
    done = CliRunner().invoke(decisions.main, ["table", str(tmp_path / "pool.csv"), "--sessions", "3"])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("300 rounds, noise of a median from one round to the next 0.")
    assert "sessions each, of 30 rounds of each side: 60 s of 2.00 s" in done.output
    ours = next(line for line in done.output.splitlines() if line.startswith("edgerig, first session"))
    assert ours.count("100.00 % (") == 2
    assert "pairs of rounds until +5% is decided" in done.output


def test_a_pool_that_is_too_small_is_refused() -> None:
    done = CliRunner().invoke(decisions.main, ["table"])
    assert done.exit_code == 2
    assert "--normal NOISE" in done.output


def test_another_file_is_no_pool(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("median_ns\n1\n")
    done = CliRunner().invoke(decisions.main, ["table", str(tmp_path / "other.csv")])
    assert done.exit_code == 2
    assert "other.csv has no column min_ns" in " ".join(done.output.split())


def _session(kind: str, decision: str, ratio: float, started: str) -> dict[str, Any]:
    cell = [dict(zip(decisions.COLUMNS, (1, 2, 3, 4, started, 2.0, ""), strict=True))]
    cells = {"candidate": cell, "baseline": cell}
    told = {"kind": kind, "decision": decision, "red": decision == "regression", "ratio": ratio}
    return {**told, "pairs": 8, "seconds": 60, "cells": cells}


def test_recorded_sessions_are_counted_and_give_a_pool(tmp_path: Path) -> None:
    rows = [_session("same", "same", 1.0, "2"), _session("slower", "regression", 1.05, "1")] * 2
    path = tmp_path / "sessions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = CliRunner().invoke(live.main, ["table", str(path)]).output
    assert "same     2 sessions, candidate / baseline 1.0000" in told
    assert (
        told.count("flagged by the first session   0.00 %") == told.count("flagged by the first session 100.00 %") == 1
    )
    brief = tmp_path / "live.jsonl"
    brief.write_text(CliRunner().invoke(live.main, ["brief", str(path)]).output)
    assert "cells" not in brief.read_text()
    assert CliRunner().invoke(live.main, ["table", str(brief)]).output == told
    pool = CliRunner().invoke(live.main, ["pool", str(path)]).output.splitlines()
    assert pool[0] == ",".join(decisions.COLUMNS)
    assert [line.split(",")[4] for line in pool[1:]] == ["1", "1", "2", "2", "2", "2"]  # not the slower model's own


def test_the_slower_model_answers_the_same() -> None:
    model = onnx.load(live.VARIANTS / f"{live.NAME}.onnx")
    feed = {"input": np.random.default_rng(0).normal(size=(1, 3, 160, 160)).astype(np.float32)}
    answers = []
    for built in (model.SerializeToString(), live._slowed(model, 3).SerializeToString()):
        session = onnxruntime.InferenceSession(built, providers=["CPUExecutionProvider"])
        answers.append(session.run(["logits"], feed)[0])
    assert np.array_equal(*answers)


def test_a_table_sets_variants_beside_their_parents_and_what_the_authors_printed(tmp_path: Path) -> None:
    run, arrays = synthetic.a_run()
    compared = Agreement(
        kind="parent",
        reference=Place(variant="mobilenetv3-small-fp32", target="x86", runtime="onnxruntime", provider="cpu"),
        here=Place(variant="mobilenetv3-small-int8", target="x86", runtime="onnxruntime", provider="cpu"),
        faces=400,
        auc_difference=-0.0123,
        auc_difference_low=-0.02,
        auc_difference_high=-0.005,
    )
    arrays.save(tmp_path)
    files.write(run.model_copy(update={"agreement": (compared,)}), tmp_path, ["json"])
    words = [str(tmp_path), "mobilenetv3-small-int8", "mobilenetv3-small-fp32"]
    done = CliRunner().invoke(literature.main, words)
    assert done.exit_code == 0, done.output
    head, _, *lines = (row.strip("| ").split(" | ") for row in done.output.splitlines())
    table = [dict(zip(head, row, strict=True)) for row in lines]
    assert "packed MB" not in head  # nobody has one
    int8, fp32 = (next(row for row in table if row["variant"] == f"`{name}`") for name in words[1:])
    assert int8["size of parent's"] == "x0.282"
    assert 0.6 < float(int8["inference of parent's"].removeprefix("x")) < 0.8  # 1.09 of 1.52 ms were drawn
    assert int8["AUC against parent"] == "-0.0123 (-0.0200 to -0.0050)"
    assert fp32["authors"] == "AUC 0.52"
    assert fp32["size of parent's"] == "–"
    assert table.index(int8) < table.index(fp32)
    done = CliRunner().invoke(literature.main, [str(tmp_path), "nobody"])
    assert "the run has no variant 'nobody'" in done.output


@pytest.fixture
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a model whose rounds are short, and which is measured as briefly as can be."""
    monkeypatch.setitem(method._SETTINGS, "default", (5, 16, 0.0, 10, 0.0))
    monkeypatch.setattr(disturbed, "OPTIONS", ["--sample", "10", "--half-width", "0.9", "--budget", "1"])
    monkeypatch.setenv("EDGERIG_CACHE", str(tmp_path / "cache"))
    return str(models.null_model(tmp_path, "scripted", latency_ms=1.0).with_suffix(".toml"))


def test_what_is_injected_is_flagged_and_the_table_says_so(scripted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = [one for one in disturbed.DISTURBANCES if one.begin in (disturbed._late_throttling, disturbed._hot)]
    monkeypatch.setattr(disturbed, "DISTURBANCES", chosen)
    done = CliRunner().invoke(disturbed.main, ["--json", "--variant", scripted])
    assert done.exit_code == 0, done.output
    late, hot = json.loads(done.stdout)["rows"]
    assert 0 < late["flagged"] < late["rounds"]
    assert hot["flagged"] == hot["rounds"] >= 5
    assert {late["trust"], hot["trust"]} == {"throttled"}


def test_a_disturbance_that_goes_by_ends_with_one(scripted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    unseen = Disturbance("a clock that nobody moved", disturbed._nothing, "the clock")
    monkeypatch.setattr(disturbed, "DISTURBANCES", [unseen])
    done = CliRunner().invoke(disturbed.main, ["--variant", scripted])
    assert done.exit_code == 1, done.output
    assert "1 disturbed cells: 1 of them trusted, or without a flagged round." in done.stdout


def test_a_row_is_missed_where_it_is_trusted_in_spite_of_its_marks() -> None:
    cell = {"verdict": {"trust": "trusted", "reason": ""}, "rounds": [{"tainted": "throttled"}, {"tainted": ""}]}
    [nothing, throttling, *_] = disturbed.DISTURBANCES
    found = [disturbed._row(one, cell) for one in (nothing, throttling)]
    assert [(row.flagged, row.otherwise, row.missed) for row in found] == [(0, 1, False), (1, 0, True)]
