"""How few layers must be given back to float: the search that all mixed precision here shares."""

from __future__ import annotations

from collections.abc import Callable

MOST = 0.5  # of the layers: with more of them in float, the rest is not worth it


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
