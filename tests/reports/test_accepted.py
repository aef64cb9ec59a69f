"""What was accepted is no news: it stands at the end of the headline, with the day until which it is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from reports import accepted, comparison_view, nights, worse
from reports.headline import headline, sentences
from reports.nights import Facts
from reports.records import (
    Acceptance,
    Baseline,
    BudgetCheck,
    Cell,
    Comparison,
    Confirmation,
    Decision,
    Gate,
    Judgement,
    Run,
)


@pytest.fixture
def slower(run: Run) -> Run:
    """Return a run whose first cell is slower and has a worse AUC than the baseline's, and whose second is larger."""
    first, second = run.cells[:2]
    known = {"limit": 0.02, "decision": Decision.REGRESSION}
    gates = (
        Gate(gate="p50", kind="ratio", value=1.06, ci_low=1.05, ci_high=1.07, **known),
        Gate(gate="auc", kind="difference", value=-0.03, **known),
    )
    comparisons = (
        _comparison(first, gates, "p50 +6.0 % (+5.0 % to +7.0 %); AUC -0.0300"),
        _comparison(second, (Gate(gate="size", kind="ratio", value=1.5, **known),), "size +50.0 %"),
    )
    budget = {"budget": "p95_ms", "unit": "ms", "limit": 1.0, "at_most": True, "value": 2.0}
    check = BudgetCheck.model_validate({"cell": first.id, **budget, "verdict": Judgement.BROKEN})
    compared = {"comparisons": comparisons, "baseline": Baseline(asked="promoted", run="base"), "budgets": (check,)}
    return run.model_copy(update=compared)


def _comparison(cell: Cell, gates: tuple[Gate, ...], reason: str) -> Comparison:
    again = (Confirmation(gate="p50", value=1.06, confirmed=True),) if gates[0].gate == "p50" else ()
    known = {"decision": Decision.REGRESSION, "confirmed": True, "gates": gates, "confirmations": again}
    return Comparison.model_validate({"cell": cell.id, "baseline": "b", **known, "reason": reason})


def judged(run: Run, *words: tuple[Cell, str]) -> Run:
    """Return the run after a night for which these figures of cells were accepted."""
    told = {"until": "2026-02-01", "reason": "agreed", "author": "Ann", "accepted": "2026-01-01"}
    known = [Acceptance(key=cell.key, metric=metric, **told) for cell, metric in words]
    facts = Facts(baseline="base", worse=tuple(worse.worse(run)), accepted=known)
    return run.model_copy(update={"night": nights.judge(run, facts, datetime(2026, 1, 2, tzinfo=UTC))})


def test_what_nobody_accepted_begins_the_headline(slower: Run) -> None:
    for run in (slower, judged(slower)):
        said = sentences(run)
        assert said[0].startswith("Regression: mobilenetv3-small-fp32 on x86")
        assert said[2] == "Compared with run base: 2 cells, 2 regression."
        assert any(part.startswith("Budget broken: p95_ms of") for part in said)
        assert "Accepted" not in headline(run)


def test_what_is_accepted_ends_it_with_the_day(slower: Run) -> None:
    first, second = slower.cells[:2]
    run = judged(slower, (first, ""), (second, ""))
    said = sentences(run)
    assert said[0] == "Compared with run base: 2 cells, 2 accepted."
    assert "Regression" not in headline(run)
    assert "Budget broken" not in headline(run)
    assert said[-4:] == [
        f"Accepted until 2026-02-01: {first.key}: p50 +6.0 % (+5.0 % to +7.0 %).",
        f"Accepted until 2026-02-01: {first.key}: AUC -0.0300.",
        f"Accepted until 2026-02-01: {second.key}: size +50.0 %.",
        "1 more is accepted.",
    ]


def test_of_a_cell_that_is_accepted_in_part_the_rest_stays_a_regression(slower: Run) -> None:
    first = slower.cells[0]
    run = judged(slower, (first, "p50_ms"), (first, "p95_ms"))
    said = sentences(run)
    assert said[0] == f"Regression: {first.key}: AUC -0.0300."
    assert said[-2].startswith(f"Accepted until 2026-02-01: {first.key}: p50 +6.0 %")
    assert said[-1].startswith("Accepted until 2026-02-01: p95_ms of ")
    assert "Budgets: 1 broken and accepted." in said


def test_an_acceptance_that_ran_out_is_none(slower: Run) -> None:
    first = slower.cells[0]
    old = Acceptance(key=first.key, until="2026-01-01", reason="agreed", author="Ann", accepted="2025-12-01")
    facts = Facts(baseline="base", worse=tuple(worse.worse(slower)), accepted=[old])
    run = slower.model_copy(update={"night": nights.judge(slower, facts, datetime(2026, 1, 2, tzinfo=UTC))})
    assert accepted.until(run, first.id, "p50_ms") == ""
    assert comparison_view.sentences(run)[0].startswith("Regression: ")
