"""What is worse than it may be, in one form whoever found it: the narrow place between deciding and nights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from reports import budgets
from reports.records import Cell, Judgement, Run


@dataclass(frozen=True)
class Worse:
    """A regression or a broken budget of a cell."""

    cell: str  # id
    kind: Literal["regression", "budget"]
    metric: str
    text: str


def worse(run: Run) -> Iterator[Worse]:
    """Yield what a run's comparisons and budgets call worse."""
    for check in budgets.of(run, Judgement.BROKEN):
        yield Worse(check.cell, "budget", check.budget, budgets.sentence(run, check))


def baseline(run: Run) -> str:
    """Return the run that a run was compared with, "" where there was none."""
    return ""


def candidates(run: Run) -> tuple[Cell, ...]:
    """Return the cells that were asked about."""
    return run.cells


def words(run: Run) -> dict[str, str]:
    """Return one word a compared cell, by id: what the history keeps of it."""
    return {entry.cell: "regression" for entry in worse(run) if entry.kind == "regression"}
