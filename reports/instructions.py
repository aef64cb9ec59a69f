"""Instructions of a frame: what an emulated machine's clock shows that goes on by 1 ns for each instruction.

All instructions of the machine between two readings of its clock are counted: those of the runtime, and those of the
kernel when it interrupts, every 4 ms by that clock, which is a few thousand a time. The median over frames is given,
and how far apart the middle half of them lies. The clock's own step is 16 ns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from reports import statistics
from reports.figures import number, percent
from reports.records import STAGES, Cell, Metric, Outcome, Round, Run

SCOPES = ("inference", "end_to_end")
UNIT = "instructions"


def metrics(rounds: Sequence[Round], frames: Mapping[int, NDArray[np.int64]]) -> tuple[Metric, ...]:
    """Return the instructions of a frame, in rounds of a clock that counts them.

    `instructions` is the median over all frames, with Student's t on the medians of the rounds where there are several;
    `instructions_iqr` the distance of their quartiles; then the least and the most.
    """
    found: list[Metric] = []
    for scope in SCOPES:
        column = STAGES.index(scope)
        counted = [frames[one.number][one.warmup :, column] for one in rounds if one.number in frames]
        counted = [counts[counts >= 0] for counts in counted if (counts >= 0).any()]
        if counted:
            found += _of_scope(scope, counted)
    return tuple(found)


def _of_scope(scope: str, counted: Sequence[NDArray[np.int64]]) -> list[Metric]:
    pooled = np.concatenate(counted)
    low, middle, high = (statistics.percentile(pooled, q) for q in (25, 50, 75))
    ends = statistics.t_interval([statistics.percentile(counts, 50) for counts in counted])
    values = {
        "instructions_iqr": high - low,
        "instructions_min": float(pooled.min()),
        "instructions_max": float(pooled.max()),
    }
    size = int(pooled.size)
    first = Metric(
        metric="instructions",
        scope=scope,
        unit=UNIT,
        value=middle,
        # The median of all frames may lie beside the medians of the rounds.
        ci_low=min(ends.low, middle) if ends else None,
        ci_high=max(ends.high, middle) if ends else None,
        n=size,
        lower_is_better=True,
    )
    others = [
        Metric(metric=name, scope=scope, unit=UNIT, value=value, n=size, lower_is_better=True)
        for name, value in values.items()
    ]
    return [first, *others]


def millions(cell: Cell, scope: str) -> str:
    """Return the instructions of a frame in millions, "–" where they were not counted."""
    value = cell.value("instructions", scope)
    return number(None if value is None else value / 1e6, 5)


def spread(cell: Cell) -> str:
    """Return half the distance of inference's quartiles, relative to the median: "0.01 %"; "" without a count.

    End to end, the spread is that of the pictures: some take more decoding than others.
    """
    value, distance = cell.value("instructions", "inference"), cell.value("instructions_iqr", "inference")
    return percent(distance / value / 2) if value and distance is not None else ""


def sentences(run: Run) -> list[str]:
    """Return a line for each cell of an emulator: its instructions, or that they were not counted."""
    emulated = {target.name for target in run.targets if target.emulated}
    cells = [cell for cell in run.cells if cell.key.target in emulated and cell.outcome is Outcome.OK]
    silent = sorted({cell.key.target for cell in cells if cell.value("instructions", "inference") is None})
    lines = [
        f"{cell.key}: {millions(cell, 'end_to_end')} million instructions a frame, "
        f"{millions(cell, 'inference')} of them inference (± {spread(cell)})"
        for cell in cells
        if cell.value("instructions", "end_to_end") is not None
    ]
    return lines + [f"{name}: instructions not measured" for name in silent]
