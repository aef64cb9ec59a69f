"""The Pareto front of a target: the cells that no other beats in time, AUC, size and memory together."""

from __future__ import annotations

from collections.abc import Sequence

from reports import budgets
from reports.records import Cell, Outcome, Run

OBJECTIVES = ("p50_ms", "auc", "size_mb", "peak_mb")


def front(run: Run, target: str) -> list[Cell]:
    """Return the front of a target among the cells that went well, the fastest first; () on an emulator.

    An objective that no cell has is left out; a cell that lacks one that others have cannot be on the front.
    """
    if run.target(target).emulated:
        return []
    cells = [cell for cell in run.candidates if cell.key.target == target and cell.outcome is Outcome.OK]
    costs = {cell.id: _costs(run, cell) for cell in cells}
    used = [at for at in range(len(OBJECTIVES)) if any(cost[at] is not None for cost in costs.values())]
    known: dict[str, list[float]] = {}
    for cell in cells:
        picked = [costs[cell.id][at] for at in used]
        if all(cost is not None for cost in picked):
            known[cell.id] = [cost for cost in picked if cost is not None]
    best = [cell for cell in cells if cell.id in known and not _beaten(known[cell.id], list(known.values()))]
    return sorted(best, key=lambda cell: known[cell.id])


def _costs(run: Run, cell: Cell) -> list[float | None]:
    """Return the objectives of a cell, each the better the smaller."""
    costs: list[float | None] = []
    for name in OBJECTIVES:
        found = budgets.figure(run, cell, name)
        value = found.value if found else None
        costs.append(value if value is None or budgets.BUDGETS[name].at_most else -value)
    return costs


def _beaten(mine: Sequence[float], others: Sequence[Sequence[float]]) -> bool:
    """Whether one of `others` is at least as good in all objectives and better in one."""
    return any(
        all(theirs <= own for theirs, own in zip(other, mine, strict=True)) and list(other) != list(mine)
        for other in others
    )
