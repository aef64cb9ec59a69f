"""How much AUC a cell may lose for being faster or smaller: two points against the best, where no budget says it.

The bound is held against the value, not its interval: the faces of a run are seldom enough to show that so little is
lost. A limit of the user's own on `auc` or `auc_drop`, which is held against the interval, takes its place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from reports.learned import auc
from reports.records import Cell, Run

POINTS = 2.0  # hundredths of AUC
ACCURACY = ("auc", "auc_drop")  # the budgets that limit it
WITHIN = f"within {POINTS:.0f} points of the best AUC"


def least(run: Run, target: str, cells: Sequence[Cell]) -> float:
    """Return the AUC that a cell must have to be chosen; minus infinity where no AUC is known, or a budget limits it.

    Args:
        run: what was learned.
        target: name.
        cells: of that target, which are chosen among.
    """
    here = {cell.id for cell in run.candidates if cell.key.target == target}
    known = [value for cell in cells if (value := auc(cell)) is not None]
    if not known or any(check.budget in ACCURACY and check.cell in here for check in run.budgets):
        return -math.inf
    return max(known) - POINTS / 100


def keeps(cell: Cell, floor: float) -> bool:
    """Whether a cell has at least such an AUC; one whose AUC is not known has it only where there is no bound."""
    return math.isinf(floor) or (auc(cell) or 0.0) >= floor - 1e-9


def lost(cell: Cell, floor: float) -> str:
    """Return why a cell is left out: it does not keep the AUC that the bound asks for."""
    value, best = auc(cell), f"{floor + POINTS / 100:.3f}"
    if value is None:
        return f"no AUC is known, and others have {best}"
    return f"an AUC of {value:.3f} is not {WITHIN}, {best}: a budget on auc or auc_drop may allow it"
