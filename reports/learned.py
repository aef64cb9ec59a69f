"""Whether a cell is shown to tell fakes from real faces; one that is not is worth no time, however short it is."""

from __future__ import annotations

from reports import figures
from reports.records import Cell

CHANCE = 0.5  # AUC of tossing a coin
LEAST = 0.55  # AUC from which on a figure without an interval counts


def auc(cell: Cell) -> float | None:
    """Return the AUC on all faces, None where it was not measured."""
    return cell.value("auc", "all")


def learned(cell: Cell) -> bool | None:
    """Return whether the AUC is shown to be above chance, None where there is no AUC.

    The 95 % interval lies above .5; where there is none, as with few groups of faces, the AUC is at least .55. A
    cell that takes real faces for fakes is not shown to tell them apart either: as it is, it decides worse than chance.
    """
    found = cell.metric("auc", "all")
    if found is None or found.value is None:
        return None
    return found.value >= LEAST if found.ci_low is None else found.ci_low > CHANCE


def auc_in_words(cell: Cell) -> str:
    """Return the AUC with its interval: "0.510 (0.450 to 0.570)"."""
    found = cell.metric("auc", "all")
    ends = figures.interval(found, 3)
    return figures.rate(found) + (f" ({ends})" if ends else "")
