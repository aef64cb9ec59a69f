"""A race: variants that another one beats in everything are given no more rounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from reports import statistics

FROM_ROUND = 3
SURE = 0.999  # as decisions are: who drops out does not come back


@dataclass(frozen=True)
class Runner:
    """A cell in a race.

    Attributes:
        id: of the cell.
        name: of its variant.
        medians: round number -> median in ms, of the rounds that count.
        auc: on the run's faces; None where it is not known.
        bytes: of its files.
    """

    id: str
    name: str
    medians: Mapping[int, float]
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
