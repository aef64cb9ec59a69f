"""The choice among the cells that lose no more AUC than allowed against what they were made of, without any budget.

The bound is held against the value: what lost more on validation faces was thrown out before anything was measured, and
the faces of a run are seldom enough for the whole interval of a drop to lie inside it. Where it does not, that is said,
with what would decide it. For a bound that must be shown to be kept there is the budget `auc_drop`.
"""

from __future__ import annotations

from reports import budgets, choice
from reports.records import Cell, Choice, LeftOut, Run

DROP = "auc_drop"


def choose(run: Run, target: str, most: float) -> Choice:
    """Return which cell of a target to ship: the fastest that loses no more AUC than allowed.

    Args:
        run: what was learned.
        target: name.
        most: loss of AUC that is allowed; what was made of nothing that was measured has none.
    """
    lossy = [cell for cell in run.candidates if cell.key.target == target and (_drop(cell) or 0.0) > most]
    out = {cell.id for cell in lossy}
    kept = run.model_copy(update={"cells": tuple(cell for cell in run.cells if cell.id not in out)})
    found = choice.choose(kept, target, bounded=False)
    left = (*found.left_out, *(LeftOut(cell=cell.id, reason=_held(run, cell, most)) for cell in lossy))
    return _told(run, found.model_copy(update={"left_out": left}), most)


def _drop(cell: Cell) -> float | None:
    return cell.value(DROP, "all")


def _held(run: Run, cell: Cell, most: float) -> str:
    return f"{DROP} {budgets.held(budgets.check(run, cell, DROP, most))}"


def _told(run: Run, found: Choice, most: float) -> Choice:
    """Return a choice that says what the chosen cell loses, and what would show it where it is not shown."""
    if found.verdict != "chosen" or _drop(run.cell(found.cell)) is None:
        return found
    cell = run.cell(found.cell)
    step = found.next_step or budgets.check(run, cell, DROP, most).next_step
    return found.model_copy(update={"reason": f"{found.reason}; {_held(run, cell, most)}", "next_step": step})
