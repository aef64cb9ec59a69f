"""What long passes tell: times as a device warms up, and frames as cameras send them. Pure functions.

sustained.npy   int64 ns [frames, 2]: begin of the frame's window of one second, end to end
realtime.npy    int64 ns [arrivals, 4]: stream, arrival, start, end; start is -1 where the frame was dropped
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports import statistics
from reports.figures import duration, percent
from reports.records import Cell, Metric, RealTime, Run, Sustained, Vitals

Times = NDArray[np.int64]

SLOWER = 1.10  # a device whose frames take a tenth longer than at the beginning has slowed down
LASTS_S = 10.0  # for so long, so that one busy second is no throttling
APART = 1.02  # of two medians, to call one of them faster: medians of a minute differ by 1 % on a quiet board
POINTS = 240  # of a course: more cannot be seen
_NS = 1e9


def sustained(frames: Times, readings: Sequence[Vitals]) -> dict[str, Any]:
    """Return the figures of a sustained pass, as fields of `Sustained`.

    The beginning is the first minute, or the first tenth of a shorter pass; the end is the last quarter, at most 5
    minutes. What is compared is the median of each.
    """
    begins, ms = frames[:, 0] / _NS, frames[:, 1] / 1e6
    length = float(begins[-1] + ms[-1] / 1e3)
    # One frame may take longer than a quarter of the pass.
    first, last = ms[begins <= _opening(length)], ms[begins >= min(length - _closing(length), float(begins[-1]))]
    degrees = [v.temperature_c for v in readings if v.temperature_c is not None]
    return {
        "first_p50_ms": statistics.percentile(first, 50),
        "last_p50_ms": statistics.percentile(last, 50),
        "last_p95_ms": statistics.percentile(last, 95) if 95 in statistics.carried(last.size) else None,
        "throttled_after_s": throttled_after(frames, readings),
        "hottest_c": max(degrees, default=None),
        "course": course(frames),
    }


def _opening(length: float) -> float:
    return min(60.0, length / 10)


def _closing(length: float) -> float:
    return min(300.0, length / 4)


def course(frames: Times) -> tuple[tuple[float, float], ...]:
    """Return at most POINTS pairs of second and median ms, each the median of the windows that it stands for."""
    seconds, medians = per_second(frames)
    parts = min(POINTS, len(seconds))
    pairs = zip(np.array_split(seconds, parts), np.array_split(medians, parts), strict=True)
    return tuple((round(float(np.mean(when)), 3), float(np.median(ms))) for when, ms in pairs)


def throttled_after(frames: Times, readings: Sequence[Vitals]) -> float | None:
    """Return the seconds until the device first slowed down; None where it did not.

    Either it says so itself, or its medians of a second are a tenth above the beginning's for 10 s on end.
    """
    told = [v.seconds for v in readings if v.throttled and v.when == "during"]
    seconds, medians = per_second(frames)
    usual = float(np.median(medians[seconds <= _opening(float(seconds[-1]))]))
    slow = medians > SLOWER * usual
    seen = _first_run(seconds, slow)
    return min([*told, *([seen] if seen is not None else [])], default=None)


def _first_run(seconds: NDArray[np.float64], slow: NDArray[np.bool_]) -> float | None:
    """Return when the first stretch of slow seconds of LASTS_S begins."""
    began: float | None = None
    for second, bad in zip(seconds, slow, strict=True):
        if not bad:
            began = None
            continue
        began = float(second) if began is None else began
        if second - began >= LASTS_S - 1:
            return began
    return None


def per_second(frames: Times) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the windows' begins in s [windows] and the median of each in ms [windows]."""
    begins, places = np.unique(frames[:, 0], return_index=True)
    groups = np.split(frames[:, 1], places[1:])
    return begins / _NS, np.array([np.median(group) for group in groups]) / 1e6


def sustained_metrics(record: Sustained | None) -> Iterator[Metric]:
    """Yield the figures that budgets and tables can name."""
    if record is None or record.first_p50_ms is None or record.last_p50_ms is None:
        return
    frames = record.count
    yield _metric("sustained_p50", "end_to_end", "ms", record.last_p50_ms, frames)
    if record.last_p95_ms is not None:
        yield _metric("sustained_p95", "end_to_end", "ms", record.last_p95_ms, frames)
    yield _metric("sustained_slowdown", "end_to_end", "1", record.last_p50_ms / record.first_p50_ms, frames)
    if record.throttled_after_s is not None:
        yield _metric("throttled_after", "all", "s", record.throttled_after_s, frames, lower=False)


def realtime(rows: Times, fps: float) -> dict[str, Any]:
    """Return the figures of a real-time pass, as fields of `RealTime`.

    A frame that is done later than 1 / fps after it arrived has missed its deadline; one that a newer frame of its
    stream replaced was dropped, and misses it too.
    """
    served = rows[rows[:, 2] >= 0]
    late = served[:, 3] - served[:, 1] > _NS / fps
    delay, response = (served[:, 2] - served[:, 1]) / 1e6, (served[:, 3] - served[:, 1]) / 1e6
    carried = statistics.carried(len(served))
    return {
        "arrivals": len(rows),
        "dropped": len(rows) - len(served),
        "missed": int(late.sum()) + len(rows) - len(served),
        "queue_delay_p50_ms": statistics.percentile(delay, 50),
        "queue_delay_p95_ms": statistics.percentile(delay, 95) if 95 in carried else None,
        "response_p50_ms": statistics.percentile(response, 50),
        "response_p95_ms": statistics.percentile(response, 95) if 95 in carried else None,
    }


def realtime_metrics(record: RealTime | None) -> Iterator[Metric]:
    """Yield rates and delays; their scope says how many frames a second of how many streams."""
    if record is None or not record.arrivals:
        return
    scope = pace(record.fps, record.streams)
    for name, count in (("deadline_miss_rate", record.missed), ("dropped_rate", record.dropped)):
        ends = statistics.wilson(count, record.arrivals)
        low, high = (ends.low, ends.high) if ends else (None, None)
        yield Metric(
            metric=name,
            scope=scope,
            unit="1",
            value=count / record.arrivals,
            ci_low=low,
            ci_high=high,
            n=record.arrivals,
            lower_is_better=True,
        )
    for name in ("queue_delay_p50", "queue_delay_p95", "response_p50", "response_p95"):
        value = getattr(record, f"{name}_ms")
        if value is not None:
            yield _metric(name, scope, "ms", value, record.arrivals - record.dropped)


def pace(fps: float, streams: int) -> str:
    """Return how frames arrive, e.g. "30 fps", "2 x 30 fps"."""
    return f"{fps:g} fps" if streams == 1 else f"{streams} x {fps:g} fps"


def _metric(name: str, scope: str, unit: str, value: float, n: int, lower: bool = True) -> Metric:
    return Metric(metric=name, scope=scope, unit=unit, value=value, n=n, lower_is_better=lower)


def sentences(run: Run) -> list[str]:
    """Return a line for each long pass, and one for each target on whose ranking they have a say."""
    long = [sustained_sentence(cell) for cell in run.cells if cell.sustained]
    paced = [realtime_sentence(cell) for cell in run.cells if cell.realtime]
    return [*long, *ranking(run), *paced]


def sustained_sentence(cell: Cell) -> str:
    """Return what a cell's sustained pass showed."""
    record = cell.sustained
    assert record is not None
    if record.first_p50_ms is None or record.last_p50_ms is None:
        return f"{cell.key}: {record.outcome} under sustained load: {record.reason}"
    share = record.last_p50_ms / record.first_p50_ms
    slowed = record.throttled_after_s
    parts = [
        f"{record.first_p50_ms:.3g} ms at first, {record.last_p50_ms:.3g} ms at the end of {duration(record.seconds)}",
        f"times {share:.2f}",
        "it did not slow down" if slowed is None else f"it slowed down after {duration(slowed)}",
        f"up to {record.hottest_c:.0f} °C" if record.hottest_c is not None else "no temperature could be read",
    ]
    return f"{cell.key}: {', '.join(parts)}"


def realtime_sentence(cell: Cell) -> str:
    """Return what a cell's real-time pass showed."""
    record = cell.realtime
    assert record is not None
    if not record.arrivals:
        return f"{cell.key}: {record.outcome} at {pace(record.fps, record.streams)}: {record.reason}"
    missed, dropped = percent(record.missed / record.arrivals), percent(record.dropped / record.arrivals)
    answer = record.response_p95_ms
    tail = "" if answer is None else f", p95 from arrival to answer {answer:.3g} ms"
    return f"{cell.key} at {pace(record.fps, record.streams)}: {missed} missed their deadline, {dropped} dropped{tail}"


def ranking(run: Run) -> list[str]:
    """Return a sentence for each target with sustained passes: whether who is faster at first is so in the end."""
    found = []
    for target in run.targets:
        cells = [cell for cell in run.cells if cell.key.target == target.name and _known(cell)]
        if len(cells) > 1:
            found.append(f"{target.name}: {_order(cells)}")
    return found


def _known(cell: Cell) -> bool:
    return cell.sustained is not None and cell.sustained.last_p50_ms is not None


def _order(cells: Sequence[Cell]) -> str:
    turned = [_turned(one, other) for one, other in combinations(cells, 2)]
    sentences = [sentence for sentence in turned if sentence]
    return "; ".join(sentences) + "." if sentences else "the ranking at the beginning is that at the end."


def _turned(one: Cell, other: Cell) -> str:
    """Return a sentence where the faster of two at first is the slower one in the end, both by more than 2 %."""
    at_first, in_the_end = (_ratio(one, other, name) for name in ("first_p50_ms", "last_p50_ms"))
    if at_first > 1:
        one, other, at_first, in_the_end = other, one, 1 / at_first, 1 / in_the_end
    if at_first * APART > 1 or in_the_end < APART:
        return ""
    return (
        f"{_name(one)} is faster than {_name(other)} at first and slower in the end "
        f"({_p50(one, 'last_p50_ms')} against {_p50(other, 'last_p50_ms')} ms)"
    )


def _ratio(one: Cell, other: Cell, name: str) -> float:
    return float(getattr(one.sustained, name) / getattr(other.sustained, name))


def _p50(cell: Cell, name: str) -> str:
    return f"{getattr(cell.sustained, name):.3g}"


def _name(cell: Cell) -> str:
    threads = f" with {cell.key.threads} threads" if cell.key.threads > 1 else ""
    return f"{cell.key.variant} ({cell.key.runtime}{threads})"
