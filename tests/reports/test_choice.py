"""The choice: the best where it is shown to be, undecided where it is not, and nothing where nothing may be shipped."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from reports import budgets, choice, deployment
from reports.front import front
from reports.html import render
from reports.records import Cell, Judgement, Metric, Outcome, Run, Trust, VariantFile, Verdict
from tests.reports import synthetic
from tests.reports.synthetic import a_round

FP32 = "mobilenetv3-small-fp32"
INT8 = "mobilenetv3-small-int8"
PRUNED = "mobilenetv3-small-pruned-40"


def timed(cell: Cell, medians: Sequence[float]) -> Cell:
    """Return a cell whose rounds have these medians in ms, with p50 and interval to fit."""
    rounds = tuple(a_round(number, p50_ms=ms) for number, ms in enumerate(medians, 1))
    metrics = [m for m in cell.metrics if (m.metric, m.scope) != ("latency_p50", "end_to_end")]
    low, high = np.exp(np.mean(np.log(medians)) + np.array([-2, 2]) * np.std(np.log(medians), ddof=1))
    ends = {"value": float(np.median(medians)), "ci_low": float(low), "ci_high": float(high), "n": 64 * len(medians)}
    p50 = Metric(metric="latency_p50", scope="end_to_end", unit="ms", lower_is_better=True, **ends)
    return cell.model_copy(update={"rounds": rounds, "metrics": (*metrics, p50)})


def small(run: Run, medians: dict[str, Sequence[float]], **changes: object) -> Run:
    """Return the run with some variants' single-thread cells on x86 alone, with these medians of rounds."""
    cells = {c.key.variant: c for c in run.cells if c.key.target == "x86" and c.key.threads == 1}
    return run.model_copy(
        update={"cells": tuple(timed(cells[name], values) for name, values in medians.items()), **changes}
    )


def noisy(ratio: float, spread: float, shared: float = 0.03, count: int = 6) -> dict[str, Sequence[float]]:
    """Return two cells whose rounds are off together by `shared`, and apart by `spread`."""
    draw = np.random.default_rng(4)
    common = np.exp(draw.normal(0, shared, count))
    each = np.exp(draw.normal(0, spread, count))
    return {INT8: list(common), FP32: list(common * each * ratio)}


def chosen_variant(run: Run, rank: str = choice.RANK) -> str:
    found = choice.choose(run, "x86", rank)
    return run.cell(found.cell).key.variant if found.cell else found.verdict


def test_what_two_cells_share_does_not_hide_which_is_faster(run: Run) -> None:
    few = small(run, noisy(1.03, 0.003))
    assert few.cells[0].metrics[-1].ci_high > (few.cells[1].metrics[-1].ci_low or 0)  # type: ignore[operator]
    assert chosen_variant(few) == INT8


def test_a_difference_within_the_noise_is_undecided_and_says_how_many_rounds_would_do(run: Run) -> None:
    found = choice.choose(few := small(run, noisy(1.01, 0.03)), "x86")
    assert found.verdict == "undecided"
    assert {few.cell(id).key.variant for id in found.between} == {INT8, FP32}
    assert found.next_step.startswith("about ")
    assert "--rounds " in found.next_step
    assert "does not tell" in choice.sentence(few, found)


def test_equal_times_are_not_told_to_measure_for_ever(run: Run) -> None:
    draw = np.random.default_rng(2).normal(0, 0.02, 6)
    logs = draw - draw.mean()
    few = small(run, {INT8: [1.0] * 6, FP32: list(np.exp(logs + 1e-7))})
    assert "rank by another figure" in choice.choose(few, "x86").next_step


def test_the_better_of_two_is_seldom_called_the_worse(run: Run) -> None:
    draw = np.random.default_rng(9)
    base = small(run, noisy(1.0, 0.01))
    wrong = 0
    for _ in range(300):
        medians = np.exp(draw.normal(0, 0.01, (2, 6)))
        cells = tuple(timed(cell, list(row)) for cell, row in zip(base.cells, medians, strict=True))
        wrong += choice.choose(base.model_copy(update={"cells": cells}), "x86").verdict == "chosen"
    assert wrong / 300 < 0.09  # 5 % for two equal ones, either of which may lead


def test_a_rank_by_one_reading_takes_the_smallest_and_breaks_ties_by_time(run: Run) -> None:
    assert chosen_variant(run, rank="size_mb") == INT8
    found = choice.choose(run, "x86", "size_mb")
    assert run.cell(found.cell).key.threads == 4  # one file, two thread counts


def test_a_rank_by_auc_that_the_faces_do_not_decide_asks_for_faces(run: Run) -> None:
    found = choice.choose(run, "x86", "auc")
    assert found.verdict == "undecided"
    assert "faces instead of 400" in found.next_step


def test_only_cells_that_meet_all_budgets_are_candidates(run: Run) -> None:
    few = small(run, noisy(1.5, 0.003))
    limited = few.model_copy(update={"budgets": budgets.checks(few, {"x86": {"size_mb": 6.2}})})
    assert chosen_variant(limited) == INT8
    barred = few.model_copy(update={"budgets": budgets.checks(few, {"x86": {"auc": 0.5, "peak_mb": 90.0}})})
    assert {run.cell(entry.cell).key.variant for entry in choice.choose(barred, "x86").left_out} == {FP32}
    nothing = few.model_copy(update={"budgets": budgets.checks(few, {"x86": {"size_mb": 0.1}})})
    found = choice.choose(nothing, "x86")
    assert (found.verdict, found.cell) == ("none", "")
    assert "size_mb broken" in found.reason


def test_an_undecided_budget_leaves_a_cell_out_and_says_so(run: Run) -> None:
    few = small(run, noisy(1.5, 0.003))
    auc = few.cells[0].value("auc", "all")
    assert auc is not None
    checks = (budgets.check(few, few.cells[0], "auc", auc), budgets.check(few, few.cells[1], "auc", 0.5))
    found = choice.choose(few.model_copy(update={"budgets": checks}), "x86")
    assert run.cell(found.cell).key.variant == FP32
    assert f"{INT8} on x86" in found.reason
    assert "would come before it" in found.reason
    assert "faces" in found.next_step
    alone = few.model_copy(update={"budgets": checks[:1], "cells": few.cells[:1]})
    assert choice.choose(alone, "x86").verdict == "undecided"


@pytest.mark.parametrize("trust", [Trust.THROTTLED, Trust.UNDER_SAMPLED])
def test_times_that_cannot_be_relied_upon_are_no_candidates(run: Run, trust: Trust) -> None:
    few = small(run, noisy(1.5, 0.003))
    doubtful = few.cells[0].model_copy(update={"verdict": Verdict(trust=trust, reason="a reason")})
    assert chosen_variant(few.model_copy(update={"cells": (doubtful, few.cells[1])})) == FP32


def test_where_all_times_are_too_few_the_next_step_is_the_cells_own(run: Run) -> None:
    few = small(run, noisy(1.5, 0.003))
    short = Verdict(trust=Trust.UNDER_SAMPLED, reason="4 rounds count", next_step="quiet the device")
    cells = tuple(cell.model_copy(update={"verdict": short}) for cell in few.cells)
    assert choice.choose(few.model_copy(update={"cells": cells}), "x86").next_step == "quiet the device"


def test_what_is_not_shown_to_be_above_chance_is_left_out(run: Run) -> None:
    few = small(run, noisy(1.5, 0.003))
    chance = [rated(cell, 0.51) for cell in few.cells]
    one = few.model_copy(update={"cells": (chance[0], few.cells[1])})
    assert chosen_variant(one) == FP32
    (left,) = choice.choose(one, "x86").left_out
    assert left.reason == "nothing learned: an AUC of 0.510 (0.460 to 0.560) is not shown to be above chance"
    found = choice.choose(few.model_copy(update={"cells": tuple(chance)}), "x86")
    assert (found.verdict, found.reason) == ("none", "no cell is shown to tell fakes from real faces")


@pytest.mark.parametrize(("auc", "verdict"), [(0.931, INT8), (0.930, INT8), (0.929, FP32)])
def test_a_faster_cell_may_lose_two_points_of_auc(run: Run, auc: float, verdict: str) -> None:
    few = small(run, noisy(1.5, 0.003))
    assert chosen_variant(few.model_copy(update={"cells": (rated(few.cells[0], auc), rated(few.cells[1], 0.95))})) == (
        verdict
    )


def test_what_loses_too_much_is_left_out_with_the_reason_and_a_way_out(run: Run) -> None:
    few = small(run, noisy(1.5, 0.003))
    few = few.model_copy(update={"cells": (rated(few.cells[0], 0.90), rated(few.cells[1], 0.95))})
    found = choice.choose(few, "x86")
    assert found.reason == "the only one within 2 points of the best AUC"
    assert [left.reason for left in found.left_out] == [
        "an AUC of 0.900 is not within 2 points of the best AUC, 0.950: a budget on auc or auc_drop may allow it"
    ]
    allowed = few.model_copy(update={"budgets": budgets.checks(few, {"x86": {"auc": 0.8}})})
    assert chosen_variant(allowed) == INT8
    elsewhere = few.model_copy(update={"budgets": (budgets.check(run, run.cells[-1], "auc", 0.1),)})
    assert run.cells[-1].key.target != "x86"
    assert chosen_variant(elsewhere) == FP32


def test_a_cell_of_unknown_auc_is_not_chosen_beside_one_that_is_known(run: Run) -> None:
    few = small(run, noisy(1.5, 0.003))
    bare = few.cells[0].model_copy(update={"metrics": tuple(m for m in few.cells[0].metrics if m.metric != "auc")})
    found = choice.choose(one := few.model_copy(update={"cells": (bare, few.cells[1])}), "x86")
    assert one.cell(found.cell).key.variant == FP32
    assert found.left_out[0].reason.startswith("no AUC is known, and others have 0.9")
    assert chosen_variant(few.model_copy(update={"cells": (bare,)})) == INT8


def test_a_rank_by_auc_has_no_bound_but_its_own_interval(run: Run) -> None:
    few = small(run, noisy(1.5, 0.003))
    close = few.model_copy(update={"cells": (rated(few.cells[0], 0.91), rated(few.cells[1], 0.95))})
    assert choice.choose(close, "x86", "auc").verdict == "undecided"


def test_an_open_cell_that_loses_too_much_would_not_come_first_either(run: Run) -> None:
    few = small(run, noisy(1.5, 0.003))
    for auc, named in ((0.94, True), (0.90, False)):
        cells = (rated(few.cells[0], auc), rated(few.cells[1], 0.95))
        doubt = budgets.check(few, cells[0], "p50_ms", 1.0)
        assert doubt.verdict is Judgement.UNDECIDED
        found = choice.choose(few.model_copy(update={"cells": cells, "budgets": (doubt,)}), "x86")
        assert ("would come before it" in found.reason) == named


def rated(cell: Cell, auc: float) -> Cell:
    """Return a cell with an AUC that is known to .05."""
    ends = {"value": auc, "ci_low": auc - 0.05, "ci_high": auc + 0.05}
    metrics = [m.model_copy(update=ends) if (m.metric, m.scope) == ("auc", "all") else m for m in cell.metrics]
    return cell.model_copy(update={"metrics": tuple(metrics)})


def test_emulated_and_failed_cells_are_never_chosen(run: Run) -> None:
    found = choice.choose(run, "arm64")
    assert (found.verdict, found.front) == ("none", ())
    failed = {c.id for c in run.cells if c.outcome is not Outcome.OK}
    assert failed & {entry.cell for entry in choice.choose(run, "pi4").left_out}
    assert not failed & set(choice.choose(run, "pi4").between)


def test_the_front_holds_those_that_no_other_beats_in_all(run: Run) -> None:
    best = front(run, "x86")
    cells = [c for c in run.cells if c.key.target == "x86" and c.outcome is Outcome.OK]

    def costs(cell: Cell) -> tuple[float, ...]:
        size = run.variant(cell.key.variant).bytes
        figures = (cell.value("latency_p50", "end_to_end"), cell.value("vm_hwm_mb", "all"), cell.value("auc", "all"))
        return size, figures[0] or 0.0, figures[1] or 0.0, -(figures[2] or 0.0)

    for one, other in itertools.product(cells, best):
        worse = [a > b for a, b in zip(costs(one), costs(other), strict=True)]
        assert any(worse) or costs(one) == costs(other)  # nobody beats one of the front
    assert 1 < len(best) < len(cells)
    assert best == sorted(best, key=lambda cell: cell.value("latency_p50", "end_to_end") or 0)


def test_what_is_pinned_names_the_whole_cell_its_files_and_the_evidence(run: Run) -> None:
    few = small(run, noisy(1.5, 0.003))
    made = deployment.deployment(
        few.model_copy(update={"budgets": budgets.checks(few, {"x86": {"auc": 0.5}})}), targets=["x86"]
    )
    pinned = made.choices[0]
    assert made.decided
    assert pinned.cell is not None
    assert (pinned.cell.variant, pinned.cell.runtime, pinned.cell.threads) == (INT8, "onnxruntime", 1)
    assert pinned.files == (VariantFile(name="model-1.onnx", sha256="01" * 32, bytes=1_720_000),)
    assert {check.budget for check in pinned.budgets} == {"auc"}
    assert {"latency_p50", "auc", "vm_hwm_mb"} <= {metric.metric for metric in pinned.evidence}
    assert made.faces.sha256 == run.faces.sha256
    undecided = deployment.deployment(small(run, noisy(1.01, 0.03)), targets=["x86"])
    assert not undecided.decided
    assert (undecided.choices[0].files, undecided.choices[0].cell) == ((), None)


def test_the_report_has_the_choice_and_rings_the_front(run: Run, drawn: tuple[Run, synthetic.Arrays]) -> None:
    made = run.model_copy(update={"choices": choice.choices(run)})
    page = render(made, drawn[1])
    assert 'id="choice"' in page
    assert "x86: " in page
    plain = render(run, drawn[1])
    assert 'id="choice"' not in plain
    assert page.count("<use") > plain.count("<use")  # rings are markers of their own
