"""A race: variants that another one beats in everything, or that break a budget, are given no more rounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from reports import statistics

FROM_ROUND = 3
PERCENTILES = ("p50_ms", "p90_ms", "p95_ms", "p99_ms")  # budgets that a median above them breaks
SURE = 0.999  # as decisions are: who drops out does not come back


@dataclass(frozen=True)
class Runner:
    """A cell in a race.

    Attributes:
        id: of the cell.
        name: of its variant.
        medians: place of a round (visit and number) -> median in ms, of the rounds that count.
        auc: on the run's faces; None where it is not known.
        bytes: of its files.
    """

    id: str
    name: str
    medians: Mapping[tuple[int, int], float]
    auc: float | None
    bytes: int


def beaten(runners: Sequence[Runner]) -> Iterator[tuple[str, str]]:
    """Yield the cells that drop out, each with the reason.

    One beats another if its frames take less time (paired by round, at 99.9 %), its file is no larger and its AUC is
    no lower, on faces where both were scored. Of two that are equal in everything nobody drops out.
    """
    for runner in runners:
        better = next((other for other in runners if other is not runner and _beats(other, runner)), None)
        if better:
            rounds = len(runner.medians)
            yield runner.id, f"out of the race after {rounds} rounds: {better.name} is faster, no larger and no worse"


def _beats(one: Runner, other: Runner) -> bool:
    if one.auc is None or other.auc is None or one.auc < other.auc or one.bytes > other.bytes:
        return False
    common = sorted(one.medians.keys() & other.medians.keys())
    if len(common) < FROM_ROUND:
        return False
    interval = statistics.t_interval([one.medians[number] / other.medians[number] for number in common], SURE)
    return interval is not None and interval.high < 1


def over_budget(runners: Sequence[Runner], limits: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    """Yield the cells that surely break a budget, by their size or by a median above it, each with the reason.

    A percentile is at least the median, so that a median which is surely above its limit (at 99.9 %) breaks it as well.
    """
    for runner in runners:
        broken = next(_broken(runner, limits), "")
        if broken:
            yield runner.id, f"out of the race after {len(runner.medians)} rounds: {broken}"


def _broken(runner: Runner, limits: Mapping[str, float]) -> Iterator[str]:
    if runner.bytes / 1e6 > limits.get("size_mb", float("inf")):
        yield f"its size breaks the budget size_mb <= {limits['size_mb']:g}"
    interval = statistics.t_interval(list(runner.medians.values()), SURE) if len(runner.medians) >= FROM_ROUND else None
    for name in PERCENTILES:
        if interval and interval.low > limits.get(name, float("inf")):
            yield f"its p50 alone breaks the budget {name} <= {limits[name]:g}"
