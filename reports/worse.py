"""What is worse than it may be, in one form whoever found it: the narrow place between deciding and nights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from reports import budgets, comparison, comparison_view
from reports.records import Cell, Comparison, Gate, Judgement, Run


@dataclass(frozen=True)
class Worse:
    """A regression or a broken budget of a cell."""

    cell: str  # id
    kind: Literal["regression", "budget"]
    metric: str
    text: str


def worse(run: Run) -> Iterator[Worse]:
    """Yield what a run's comparisons and budgets call worse; a comparison only where it was confirmed."""
    for entry in run.comparisons:
        for gate in comparison.red(entry):
            yield Worse(entry.cell, "regression", comparison.METRICS[gate.gate], _text(run, entry, gate))
    for check in budgets.of(run, Judgement.BROKEN):
        yield Worse(check.cell, "budget", check.budget, budgets.sentence(run, check))


def baseline(run: Run) -> str:
    """Return the run that a run was compared with, "" where there was none."""
    return (run.baseline.run or run.baseline.asked) if run.baseline else ""


def candidates(run: Run) -> tuple[Cell, ...]:
    """Return the cells that were asked about."""
    return run.candidates


def words(run: Run) -> dict[str, str]:
    """Return one word a compared cell, by id: what the history keeps of it."""
    return {entry.cell: comparison_view.word(entry) for entry in run.comparisons}


def _text(run: Run, entry: Comparison, gate: Gate) -> str:
    return f"{run.cell(entry.cell).key}: {comparison.sentence(gate)}"
