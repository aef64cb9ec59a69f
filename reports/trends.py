"""Trends: how a figure of a cell went over the nights; a night without a value is a gap, never a guess."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from reports.figures import percent
from reports.history import TIMES, CellRow, NightRow
from reports.records import Key

GAP = "·"
_BARS = "▁▂▃▄▅▆▇█"
_ENDS = {"p50_ms": ("p50_low_ms", "p50_high_ms"), "auc": ("auc_low", "auc_high")}
_ATTRIBUTES = {"sha256": "model", "runtime_version": "runtime", "device": "device"}


@dataclass(frozen=True)
class Change:
    """An attribute that is not what it was when the cell last reported it: "model", "runtime" or "device"."""

    what: str
    before: str
    after: str

    def __str__(self) -> str:
        """Return a sentence's part; digests are shortened."""
        return f"{self.what} {self.before[:12]} -> {self.after[:12]}"


@dataclass(frozen=True)
class Value:
    """What a night says of the figure; `why` a gap is one."""

    run: str
    started: str
    value: float | None
    low: float | None = None
    high: float | None = None
    why: str = ""
    trust: str = ""
    verdict: str = ""
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Trend:
    """A figure of a cell over the nights of a job, from the first night that knew the cell to the last of the job."""

    job: str
    key: Key
    metric: str
    values: tuple[Value, ...]

    @property
    def known(self) -> list[Value]:
        """The nights that have a value."""
        return [value for value in self.values if value.value is not None]

    @property
    def gaps(self) -> int:
        """The nights without one."""
        return len(self.values) - len(self.known)

    @property
    def ratio(self) -> float | None:
        """The last value over the first, None where there are not two, or the first is 0."""
        known = [value.value for value in self.known if value.value is not None]
        return known[-1] / known[0] if len(known) > 1 and known[0] else None


def trends(nights: Mapping[int, NightRow], rows: Iterable[CellRow], metric: str) -> tuple[list[Trend], int]:
    """Return the trends of cells, and how many were left out as times of emulators.

    Args:
        nights: by number, the oldest first.
        rows: what they found.
        metric: one of `history.METRICS`.
    """
    found: dict[tuple[str, Key], dict[int, CellRow]] = {}
    left_out = set()
    for row in rows:
        if row.night not in nights:  # it ended while the history was read
            continue
        place = (nights[row.night].job, row.key)
        if row.emulated and metric in TIMES:
            left_out.add(place)
        else:
            found.setdefault(place, {})[row.night] = row
    made = [Trend(job, key, metric, tuple(_values(nights, job, known, metric))) for (job, key), known in found.items()]
    return made, len(left_out)


def _values(nights: Mapping[int, NightRow], job: str, rows: Mapping[int, CellRow], metric: str) -> Iterator[Value]:
    """Yield a value or a gap for each night of the job, from the first that knew the cell on."""
    before: dict[str, str] = {}
    of_job = [(number, night) for number, night in nights.items() if night.job == job]
    first = next(place for place, (number, _) in enumerate(of_job) if number in rows)
    for number, night in of_job[first:]:
        row = rows.get(number)
        if row is None:
            yield Value(night.run, night.started, None, why="not in the run")
        else:
            yield _value(night, row, metric, tuple(_changes(before, row)))
            before |= {name: value for name in _ATTRIBUTES if (value := getattr(row, name))}


def _value(night: NightRow, row: CellRow, metric: str, changes: tuple[Change, ...]) -> Value:
    value = row.figures.get(metric)
    low, high = (row.figures.get(name) for name in _ENDS.get(metric, ("", "")))
    why = "" if value is not None else f"{row.outcome}: {row.reason}" if row.reason else _unmeasured(row)
    return Value(night.run, night.started, value, low, high, why, row.trust, row.verdict, changes)


def _unmeasured(row: CellRow) -> str:
    return "not measured" if row.outcome == "ok" else row.outcome


def _changes(before: Mapping[str, str], row: CellRow) -> Iterator[Change]:
    for name, what in _ATTRIBUTES.items():
        old, new = before.get(name, ""), str(getattr(row, name))
        if old and new and old != new:
            yield Change(what, old, new)


def sparkline(values: Sequence[float | None]) -> str:
    """Return a letter a night: bars from the least to the most, GAP where there is no value."""
    known = [value for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    # Bars over less than 1 % would draw a storm where there is a breeze.
    reach = max(high - low, 0.01 * max(abs(low), abs(high)), 1e-12)
    base = (low + high - reach) / 2
    return "".join(GAP if value is None else _bar((value - base) / reach) for value in values)


def _bar(share: float) -> str:
    return _BARS[min(len(_BARS) - 1, max(0, math.floor(share * len(_BARS))))]


def change(trend: Trend) -> str:
    """Return how the last value differs from the first: "+3.1 %", "" where there are not two."""
    if trend.ratio is None:
        return ""
    share = trend.ratio - 1
    return f"{'+' if share > 0 else '−' if share < 0 else '±'}{percent(abs(share))}"
