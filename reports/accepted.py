"""What the night of a run took for accepted: which figures, until when, and how that reads."""

from __future__ import annotations

from collections.abc import Iterator

from reports import budgets, comparison
from reports.comparison import METRICS
from reports.records import BudgetCheck, Comparison, Gate, Judgement, Run

_NAMED = 3  # that are told in full


def until(run: Run, cell: str, metric: str) -> str:
    """Return the last day on which a figure of a cell (by id) is accepted, "" where it is not or no night was judged.

    Whether an acceptance holds was decided when the night was judged; a day that has passed since is no matter here.
    """
    night = run.night
    if night is None or not any(
        entry.kind == "accepted" and entry.metric == metric and cell in entry.cells for entry in night.findings
    ):
        return ""
    key = run.cell(cell).key
    words = {word.metric: word.until for word in night.accepted if word.key == key}
    return words.get(metric) or words.get("", "")


def red(run: Run, entry: Comparison) -> list[Gate]:
    """Return the figures of a comparison that are red and that nobody accepted."""
    return [gate for gate in comparison.red(entry) if not until(run, entry.cell, METRICS[gate.gate])]


def is_accepted(run: Run, entry: Comparison) -> bool:
    """Return whether all that is red of a comparison is accepted."""
    return bool(comparison.red(entry)) and not red(run, entry)


def broken(run: Run) -> list[BudgetCheck]:
    """Return the broken budgets that nobody accepted."""
    return [check for check in budgets.of(run, Judgement.BROKEN) if not until(run, check.cell, check.budget)]


def sentences(run: Run) -> list[str]:
    """Return what is accepted and until when, a sentence each, the first ones in full."""
    found = list(_accepted(run))
    more = len(found) - _NAMED
    return found[:_NAMED] + ([f"{more} more {'is' if more == 1 else 'are'} accepted."] if more > 0 else [])


def _accepted(run: Run) -> Iterator[str]:
    for entry in run.comparisons:
        for gate in comparison.red(entry):
            if day := until(run, entry.cell, METRICS[gate.gate]):
                yield f"Accepted until {day}: {run.cell(entry.cell).key}: {comparison.sentence(gate)}."
    for check in budgets.of(run, Judgement.BROKEN):
        if day := until(run, check.cell, check.budget):
            yield f"Accepted until {day}: {budgets.sentence(run, check)}."
