"""Cold starts in a report: one dot a fresh process, the cells of a target on one scale."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from reports import starts
from reports.records import Cell, Run
from reports.trust import counted

WIDTH = 240.0  # of a strip, in its own units
_EDGE = 6.0  # of a strip's width on each side: half of a dot, and air


@dataclass(frozen=True)
class Strip:
    """The cold starts of a cell.

    Attributes:
        cell: which.
        dots: places along the strip, in the order of the processes.
        median: its place.
        slowest: ms at the right end of the scale.
    """

    cell: Cell
    dots: list[float]
    median: float
    slowest: float


def strips(run: Run) -> list[Strip]:
    """Return the cells of real targets whose starts were measured; each target has a scale from 0 to its slowest."""
    real = {target.name for target in run.targets if not target.emulated}
    known = [(cell, starts.whole(counted(cell.rounds))) for cell in run.cells if cell.key.target in real]
    slowest: dict[str, float] = defaultdict(float)
    for cell, times in known:
        slowest[cell.key.target] = max(slowest[cell.key.target], *times, 0.0)
    return [_strip(cell, times, slowest[cell.key.target]) for cell, times in known if _median(cell)]


def _median(cell: Cell) -> float | None:
    return cell.value("cold_start_p50", "all")


def _strip(cell: Cell, times: list[float], slowest: float) -> Strip:
    def place(ms: float) -> float:
        return _EDGE + (WIDTH - 2 * _EDGE) * ms / slowest

    return Strip(cell, [place(ms) for ms in times], place(_median(cell) or 0.0), slowest)
