"""Budgets: met or broken only where the whole interval says so, and what would decide the rest."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgerig.metrics import roc_auc
from reports import budgets, power, text
from reports.formats import csv, markdown
from reports.html import render
from reports.records import BudgetCheck, Cell, Judgement, Metric, Outcome, Run, Trust

FP32 = "mobilenetv3-small-fp32"
INT8 = "mobilenetv3-small-int8"


def cell_of(run: Run, variant: str, target: str = "x86", threads: int = 1) -> Cell:
    return next(c for c in run.cells if (c.key.variant, c.key.target, c.key.threads) == (variant, target, threads))


def checked(run: Run, name: str, limit: float, variant: str = FP32, target: str = "x86") -> BudgetCheck:
    return budgets.check(run, cell_of(run, variant, target, 1 if target != "pi4" else 4), name, limit)


def with_metric(run: Run, variant: str, **changes: object) -> Run:
    """Return the run with one figure of a cell put in place of what it has."""
    cell = cell_of(run, variant)
    metric = Metric.model_validate({"scope": "all", "unit": "1", "n": 400, **changes})
    kept = [m for m in cell.metrics if (m.metric, m.scope) != (metric.metric, metric.scope)]
    new = cell.model_copy(update={"metrics": (*kept, metric)})
    return run.model_copy(update={"cells": tuple(new if c is cell else c for c in run.cells)})


@pytest.mark.parametrize(
    ("low", "high", "limit", "verdict"),
    [
        (0.90, 0.94, 0.90, Judgement.MET),
        (0.90, 0.94, 0.91, Judgement.UNDECIDED),
        (0.90, 0.94, 0.95, Judgement.BROKEN),
        (None, None, 0.80, Judgement.UNDECIDED),
    ],
)
def test_a_limit_from_below(run: Run, low: float | None, high: float | None, limit: float, verdict: Judgement) -> None:
    changed = with_metric(run, FP32, metric="auc", value=0.92, ci_low=low, ci_high=high)
    found = checked(changed, "auc", limit)
    assert found.verdict is verdict
    assert bool(found.next_step) == (verdict is Judgement.UNDECIDED)


@pytest.mark.parametrize("share", [0.5, 1.0, 2.0])
def test_a_limit_from_above(run: Run, share: float) -> None:
    p50 = cell_of(run, FP32).value("latency_p50", "end_to_end")
    assert p50 is not None
    found = checked(run, "p50_ms", share * p50)
    expected = {0.5: Judgement.BROKEN, 1.0: Judgement.UNDECIDED, 2.0: Judgement.MET}
    assert found.verdict is expected[share]


def test_rounds_that_would_decide_are_more_the_nearer_the_limit_is(run: Run) -> None:
    metric = cell_of(run, FP32).metric("latency_p50", "end_to_end")
    assert metric is not None
    assert metric.value is not None
    assert metric.ci_high is not None
    steps = [checked(run, "p50_ms", metric.value + part * (metric.ci_high - metric.value)) for part in (0.9, 0.5, 1e-4)]
    numbers = [int(found.next_step.split("--rounds ")[1]) for found in steps[:2]]
    assert 5 < numbers[0] < numbers[1]
    assert "no measuring decides this" in steps[2].next_step


def test_faces_that_would_decide_follow_the_root(run: Run) -> None:
    changed = with_metric(run, FP32, metric="auc", value=0.92, ci_low=0.90, ci_high=0.94)
    assert checked(changed, "auc", 0.91).next_step == "about 1,600 faces instead of 400"  # twice as narrow


@pytest.mark.parametrize(("name", "value"), [("size_mb", 6.1), ("peak_mb", 96.0)])
def test_one_reading_is_compared_as_it_is(run: Run, name: str, value: float) -> None:
    assert checked(run, name, value).verdict is Judgement.MET
    assert checked(run, name, value - 0.001).verdict is Judgement.BROKEN


def test_a_percentile_that_the_frames_do_not_carry_is_undecided(run: Run) -> None:
    found = checked(run, "p99_ms", 10.0, FP32, "pi4")
    assert (found.verdict, found.value) == (Judgement.UNDECIDED, None)
    assert found.reason == "p99 needs 662 frames that count, there are 320"
    assert found.next_step


def test_an_emulators_times_are_held_against_nothing_and_its_scores_are(run: Run) -> None:
    found = checked(run, "p50_ms", 1e-9, FP32, "arm64")
    assert (found.verdict, found.value) == (Judgement.NOT_MEASURED, None)
    assert checked(run, "auc", 0.999, FP32, "arm64").verdict is Judgement.BROKEN


def test_a_throttled_time_does_not_break_a_budget_but_may_meet_one(run: Run) -> None:
    cell = cell_of(run, INT8, "pi4", 4)
    assert cell.verdict is not None
    assert cell.verdict.trust is Trust.THROTTLED
    found = checked(run, "p50_ms", 0.1, INT8, "pi4")
    assert found.verdict is Judgement.UNDECIDED
    assert "throttled" in found.reason
    assert checked(run, "p50_ms", 1e6, INT8, "pi4").verdict is Judgement.MET


def test_what_was_not_measured_says_why(run: Run) -> None:
    unpowered = checked(run, "energy_j", 1.0)
    assert (unpowered.reason, "power" in unpowered.next_step) == ("there is no such figure", True)
    crashed = next(cell for cell in run.cells if cell.outcome is Outcome.CRASHED)
    assert "SIGILL" in budgets.check(run, crashed, "p50_ms", 1.0).reason
    drop = checked(run, "auc_drop", 0.01, INT8)
    assert (drop.verdict, drop.next_step) == (Judgement.NOT_MEASURED, f"measure {FP32} in the same run")


def test_checks_leave_out_what_no_runtime_reads_and_roots_drops(run: Run) -> None:
    found = budgets.checks(run, {"pi4": {"p50_ms": 1.0}, "x86": {"auc_drop": 0.01}})
    cells = {cell.id: cell for cell in run.cells}
    assert all(cells[check.cell].outcome is not Outcome.UNSUPPORTED for check in found)
    assert {cells[check.cell].key.variant for check in found if check.budget == "auc_drop"} & {FP32, INT8} == {INT8}


@pytest.fixture(scope="module")
def held(run: Run) -> Run:
    """Return the drawn run with budgets of every verdict, headline made anew."""
    near = cell_of(run, FP32).value("latency_p95", "end_to_end")
    assert near is not None
    limits = {"x86": {"p50_ms": 2.0, "peak_mb": 100.0, "energy_j": 1.0, "p95_ms": near}}
    return run.model_copy(update={"budgets": budgets.checks(run, limits), "headline": ""})


def test_reports_show_what_is_not_met(held: Run) -> None:
    assert {check.verdict for check in held.budgets} == set(Judgement)
    broken = budgets.of(held, Judgement.BROKEN)[0]
    said = budgets.sentence(held, broken)
    assert "on x86, onnxruntime cpu" in said
    assert ": broken: " in said
    assert "at most " in said
    page, shown = render(held), text.as_text(held, 120)
    for where in (page, shown, markdown.files(held, None)["summary.md"]):
        assert budgets.counts(held) in where
    assert page.count('<b class="bad">✕ broken</b>') == len(budgets.of(held, Judgement.BROKEN))
    assert "Budget broken: p50_ms of " in shown.replace("\n", " ")
    assert max(len(line) for line in text.as_text(held, 80).splitlines()) <= 80


def test_the_table_of_budgets_has_a_row_a_check(held: Run) -> None:
    rows = csv.files(held, None)["budgets.csv"].splitlines()
    assert len(rows) == 1 + len(held.budgets)
    assert rows[0].startswith("run,target,variant,")


def test_a_run_with_budgets_reads_back(held: Run) -> None:
    assert Run.model_validate(json.loads(held.model_dump_json())) == held


def test_all_met_is_said_in_one_sentence(run: Run) -> None:
    good = run.model_copy(update={"budgets": budgets.checks(run, {"x86": {"p50_ms": 1e6}}), "headline": ""})
    assert f"Budgets: {len(good.budgets)} met." in " ".join(text.as_text(good, 200).split())


def test_half_widths_are_those_of_hanley_and_mcneil() -> None:
    draw = np.random.default_rng(0)  # exponential scores, whose AUC is 9 / (1 + 9)
    areas = [roc_auc([1] * 60 + [0] * 90, np.r_[draw.exponential(9, 60), draw.exponential(1, 90)]) for _ in range(1500)]
    assert power.auc_error(0.9, 60, 90) == pytest.approx(np.std(np.asarray(areas, float)), rel=0.08)
    assert power.drop_half_width(100, 100, correlation=0.5) == pytest.approx(power.auc_half_width(0.9, 100, 100))
    assert power.faces_for(0.01, 100, 100, 0.02) == 800
    assert power.auc_half_width(0.9, 0, 10) == float("inf")
