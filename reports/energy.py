"""Energy of a frame: the mean power while frames ran, times the time of a frame. Idle power is not taken off.

Power is sampled once a second by the agent, outside of the measuring process; of a counter the increase between two
samples is used. Only what lies within the time of the counted frames takes part: a round that is too short for one
sample has no figure, and neither has a device that measures nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from reports import statistics
from reports.figures import number
from reports.records import Metric, Round, Run

INSIDE = 0.5  # of the time between two readings of a counter that has to lie within the frames
_END_TO_END = 4  # column of the frame times


def watts(entry: Round) -> float | None:
    """Return the mean power of a device while the counted frames of a round ran, in W; None: not measured."""
    if entry.frames_s is None:
        return None
    begin, end = entry.frames_s
    seen = [v.power_w for v in entry.vitals if v.power_w is not None and begin <= v.seconds <= end]
    return sum(seen) / len(seen) if seen else _counted_watts(entry, begin, end)


def _counted_watts(entry: Round, begin: float, end: float) -> float | None:
    joules = seconds = 0.0
    readings = [(v.seconds, v.energy_j) for v in entry.vitals if v.energy_j is not None]
    for (t0, e0), (t1, e1) in pairwise(readings):
        overlap = min(end, t1) - max(begin, t0)
        if t1 > t0 and overlap >= INSIDE * (t1 - t0) and e1 > e0:  # a counter that began anew tells nothing
            joules, seconds = joules + e1 - e0, seconds + t1 - t0
    return joules / seconds if seconds else None


def measured_by(rounds: Sequence[Round]) -> str:
    """Return what the readings of some rounds are of, "" where there are none."""
    names = [v.power_of or v.energy_of for entry in rounds for v in entry.vitals]
    return next((name for name in names if name), "")


def sentences(run: Run) -> list[str]:
    """Return a line for each cell whose energy was measured."""
    lines = []
    for cell in run.cells:
        if frame := cell.value("energy_j", "all"):
            power = f"{number(cell.value('power_w', 'all'))} W of {measured_by(cell.rounds) or 'the device'}"
            lines.append(f"{cell.key}: {number(1000 * frame)} mJ a frame, at {power}")
    return lines


def metrics(rounds: Sequence[Round], frames: Mapping[int, NDArray[np.int64]]) -> tuple[Metric, ...]:
    """Return energy_j, a frame's, and power_w of the rounds that were given; () where neither was measured.

    One observation is a round: the interval is Student's t on logarithms. `n` is the number of rounds with a figure.
    """
    power, energy = [], []
    for entry in rounds:
        drawn, times = watts(entry), frames.get(entry.number)
        if drawn and times is not None and len(times) > entry.warmup:
            power.append(drawn)
            energy.append(drawn * float(times[entry.warmup :, _END_TO_END].mean()) / 1e9)
    return tuple(_metric(name, unit, found) for name, unit, found in _named(energy, power) if found)


def _named(energy: list[float], power: list[float]) -> Iterator[tuple[str, str, list[float]]]:
    yield "energy_j", "J", energy
    yield "power_w", "W", power


def _metric(name: str, unit: str, values: Sequence[float]) -> Metric:
    ends = statistics.t_interval(values)
    return Metric(
        metric=name,
        scope="all",
        unit=unit,
        value=statistics.geometric_mean(values),
        ci_low=ends.low if ends else None,
        ci_high=ends.high if ends else None,
        n=len(values),
        lower_is_better=True,
    )
