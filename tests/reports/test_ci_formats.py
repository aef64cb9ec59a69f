"""The formats of CI servers: JUnit XML, GitHub's job summary, pytest-benchmark's storage."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from junitparser import Error, Failure, JUnitXml, Skipped, TestCase

from reports import files, nights, worse
from reports.formats import github, junit, pytest_benchmark
from reports.nights import Facts, Silent
from reports.records import Acceptance, BudgetCheck, Judgement, Outcome, Run
from reports.worse import Worse
from tests.reports.synthetic import HOSTILE, Arrays


@pytest.fixture
def night(run: Run) -> Run:
    """Return a night with two regressions, one of them accepted, a device that may be missing, and an alarm."""
    gone = {"outcome": Outcome.LOST, "reason": "does not\x00 answer."}
    targets = tuple(t.model_copy(update=gone) if t.name == "arm64" else t for t in run.targets)
    cells = tuple(c.model_copy(update=gone) if c.key.target == "arm64" else c for c in run.cells)
    checks = tuple(
        BudgetCheck(
            cell=cell.id, budget=name, unit="ms", limit=1.0, at_most=True, value=2.0, verdict=verdict, reason=""
        )
        for cell in run.cells[:2]
        for name, verdict in (("p95_ms", Judgement.BROKEN), ("p50_ms", Judgement.MET), ("p99_ms", Judgement.UNDECIDED))
    )
    run = run.model_copy(update={"targets": targets, "cells": cells, "budgets": checks})
    first, second = run.cells[:2]
    word = Acceptance(key=first.key, until="2026-02-01", reason="agreed", author="Ann", accepted="2026-01-01")
    silent = run.cells[4].key.model_copy(update={"variant": "dropped"})
    facts = Facts(
        job="nightly",
        baseline="base",
        worse=[
            *(Worse(cell.id, "regression", "p50_ms", f"<{cell.id}> is slower & \x1b") for cell in (first, second)),
            *(entry for entry in worse.worse(run) if entry.kind == "budget"),
        ],
        silent=[Silent("dropped-id", silent, 3, "2025-12-28")],
        accepted=[word],
        missing_ok=1,
    )
    return run.model_copy(update={"night": nights.judge(run, facts, datetime(2026, 1, 2, tzinfo=UTC))})


def cases(run: Run) -> list[tuple[str, TestCase]]:
    """Return the test cases of a run's JUnit XML, with their suites."""
    document = JUnitXml.fromstring(junit.files(run, None)["junit.xml"].encode())
    return [(str(suite.name), case) for suite in document for case in suite]


def kinds(run: Run) -> dict[str, str]:
    found = {}
    for suite, case in cases(run):
        kind = type(case.result[0]).__name__ if case.result else "passed"
        found[f"{suite}: {case.name}"] = kind
    return found


def test_a_plain_run_as_junit(run: Run) -> None:
    found = kinds(run)
    assert len(found) == len(run.cells) - 1  # int8 stands twice on pi4, with two runtimes
    assert found["x86: mobilenetv3-small-fp32, 1 thread"] == "passed"
    assert found["pi4: efficientnet-lite0-fp32, 4 threads"] == "Error"
    assert found[f"pi4: {HOSTILE}, 4 threads"] == "Error"
    runtimes = {
        case.classname: case.result for _, case in cases(run) if case.name == "mobilenetv3-small-int8, 4 threads"
    }
    assert isinstance(runtimes["edgerig.nightly.pi4.tflite.xnnpack"][0], Skipped)


def test_a_night_as_junit(night: Run) -> None:
    found = kinds(night)
    assert found["x86: mobilenetv3-small-fp32, 1 thread"] == "passed"  # accepted
    assert found["x86: mobilenetv3-small-fp32, 4 threads"] == "Failure"
    assert found["arm64: mobilenetv3-small-fp32, 1 thread"] == "Skipped"  # may be missing
    assert found["silent: dropped-id"] == "Error"
    held = {name: kind for name, kind in found.items() if "at most" in name}
    assert held == {
        "x86: mobilenetv3-small-fp32, 1 thread: p95_ms at most 1 ms": "passed",  # accepted
        "x86: mobilenetv3-small-fp32, 1 thread: p50_ms at most 1 ms": "passed",
        "x86: mobilenetv3-small-fp32, 1 thread: p99_ms at most 1 ms": "Skipped",
        "x86: mobilenetv3-small-fp32, 4 threads: p95_ms at most 1 ms": "Failure",
        "x86: mobilenetv3-small-fp32, 4 threads: p50_ms at most 1 ms": "passed",
        "x86: mobilenetv3-small-fp32, 4 threads: p99_ms at most 1 ms": "Skipped",
    }
    strict = kinds(night.model_copy(update={"night": None}))
    assert strict["arm64: mobilenetv3-small-fp32, 1 thread"] == "Error"
    assert "accepted until 2026-02-01 by Ann: agreed" in junit.files(night, None)["junit.xml"]


def test_junit_counts_its_cases_and_keeps_the_order_of_the_schema(night: Run) -> None:
    root = ElementTree.fromstring(junit.files(night, None)["junit.xml"].encode())
    assert [suite.get("name") for suite in root] == ["x86", "pi4", "arm64", "silent"]
    for suite in root:
        elements = [element.tag for element in suite]
        inner = ["testcase"] * (len(elements) - 3)
        assert elements == ["properties", *inner, "system-out", "system-err"]
        for attribute, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.get(attribute, "")) == len(suite.findall(f"testcase/{kind}"))
        assert int(suite.get("tests", "")) == len(inner)
        assert len(suite.get("timestamp", "")) == 19
        assert all(len(case) <= 1 and float(case.get("time", "")) >= 0 for case in suite.iter("testcase"))


def test_junit_holds_what_xml_cannot(night: Run) -> None:
    messages = [str(case.result[0].message) for _, case in cases(night) if case.result]
    assert any("is slower & \ufffd" in message for message in messages)
    assert any("does not\ufffd answer" in message for message in messages)
    assert {type(case.result[0]) for _, case in cases(night) if case.result} == {Error, Failure, Skipped}


# -- GitHub


def test_the_job_summary_shows_the_worst_first(night: Run) -> None:
    text = github.files(night, None)["job-summary.md"]
    assert "**The night of 'nightly' is red: 2 red, 1 alarm, 2 not ok. 2 accepted.**" in text
    rows = [line for line in text.splitlines() if line.startswith(("| mobile", "| eff"))]
    assert "emulated" not in rows[0]
    assert rows[0].startswith("| mobilenetv3-small-fp32 | x86")
    assert rows.index(next(row for row in rows if "crashed" in row)) < 4


@pytest.mark.parametrize(("limit", "left"), [(3500, True), (2000, True), (500, False)])
def test_a_summary_that_is_too_long_loses_rows_and_says_so(night: Run, limit: int, left: bool) -> None:
    whole = github.files(night, None)["job-summary.md"]
    cut = github.fitted(whole, limit)
    assert len(cut.encode()) <= limit < len(whole.encode())
    assert ("more lines are left out here" in cut) is left
    assert cut.startswith(whole[:50]) is left
    kept = set(cut.splitlines()[:-2])
    assert kept <= set(whole.splitlines())
    assert github.fitted(whole, len(whole.encode())) == whole


def test_a_big_lab_stays_below_the_limit_of_github(run: Run) -> None:
    many = run.model_copy(update={"cells": run.cells * 400})
    text = github.files(many, None)["job-summary.md"]
    assert 1_000_000 < len(text.encode()) <= github.LIMIT
    assert text.rstrip().endswith("they are in the run's report.html.")


def test_a_page_that_is_full_already_is_left_as_it_is(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("x" * (github.LIMIT - 10))
    github.append(run, page)
    assert page.stat().st_size == github.LIMIT - 10
    page.write_text("before\n")
    github.append(run, page)
    assert page.read_text().startswith("before\n**")


# -- pytest-benchmark


def test_pytest_benchmark_compares_what_we_write(drawn: tuple[Run, Arrays], tmp_path: Path) -> None:
    run, arrays = drawn
    arrays.save(tmp_path)
    written = files.write(run, tmp_path, ["pytest-benchmark"])
    assert [path.name for path in written] == ["pytest-benchmark-x86.json", "pytest-benchmark-pi4.json"]
    words = ["pytest_benchmark", "compare", "--columns=median,rounds,outliers", str(written[1])]
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "mobilenetv3-small-fp32/pi4/onnxruntime/cpu/4" in done.stdout
    assert "efficientnet" not in done.stdout


def test_figures_are_those_of_the_counted_frames(drawn: tuple[Run, Arrays], tmp_path: Path) -> None:
    run, arrays = drawn
    arrays.save(tmp_path)
    content = json.loads(pytest_benchmark.files(run, tmp_path)["pytest-benchmark-x86.json"])
    entry, cell = content["benchmarks"][0], run.cells[0]
    parts = [np.load(tmp_path / "frames" / str(entry.frames))[entry.warmup :, 4] for entry in cell.rounds]
    seconds = np.concatenate(parts) / 1e9
    stats = entry["stats"]
    assert stats["rounds"] == len(seconds) == 750
    assert stats["median"] == pytest.approx(float(np.median(seconds)))
    assert stats["stddev"] == pytest.approx(float(np.std(seconds, ddof=1)))
    assert stats["min"] <= stats["ld15iqr"] <= stats["q1"] <= stats["median"] <= stats["q3"] <= stats["hd15iqr"]
    assert stats["ops"] == pytest.approx(1 / stats["mean"])
    assert entry["extra_info"]["trust"] == "trusted"
    assert pytest_benchmark.files(run, None) == {}
