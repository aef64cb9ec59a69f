"""How few layers must be given back to float: the search that all mixed precision here shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from model_zoo.ladder import graph

MOST = 0.5  # of the layers: with more of them in float, the rest is not worth it
Made = TypeVar("Made")


def mended(
    worst: Sequence[str], make: Callable[[Sequence[str]], Made], good: Callable[[Made], bool]
) -> tuple[Sequence[str], Made]:
    """Give as few layers back to float as make a file good, or as many as may be where that is not enough.

    Args:
        worst: the layers of a model, those first that int8 blurs most.
        make: writes the file with some layers in float, over the one before.
        good: whether what it returned is good enough.

    Returns:
        The layers in float, and what `make` returned of the file that stands there now.
    """
    made: dict[int, Made] = {}

    def attempt(count: int) -> bool:
        made[count] = make(worst[:count])
        return good(made[count])

    count = fewest(len(worst), attempt) or most_of(len(worst))
    if [*made][-1] != count:
        attempt(count)  # the file that stands there is that of the last trial
    return worst[:count], made[count]


def words(source: Path, keep: Sequence[str]) -> str:
    """Return how many layers of a model stay in float where some are to, for manifests."""
    layers = graph.layers(source)
    return f"{len(graph.given_back(layers, keep))} of {len(layers)} layers in float"


def most_of(layers: int) -> int:
    """Return how many of so many layers may be given back."""
    return max(1, int(MOST * layers))


def fewest(layers: int, good: Callable[[int], bool]) -> int | None:
    """Return the least number of layers, the worst ones first, that must be in float; None where MOST is not enough.

    Args:
        layers: how many there are.
        good: whether it is good with so many of them in float; tried for powers of two, then for what lies between.
    """
    most = most_of(layers)
    failed = 0
    for count in sorted({min(2**step, most) for step in range(most.bit_length() + 1)}):
        if good(count):
            return _between(failed + 1, count, good)
        failed = count
    return None


def _between(low: int, high: int, good: Callable[[int], bool]) -> int:
    """Return the least number that is good; the higher one is known to be."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if good(middle) else (middle + 1, high)
    return high
