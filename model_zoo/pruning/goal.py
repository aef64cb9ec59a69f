"""How far pruning goes: the quantity that is brought down, and the search for the net that is just small enough."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from model_zoo.building.counts import counted
from model_zoo.building.recipe import Prune
from model_zoo.building.trained import Context, Trained
from model_zoo.pruning import channels

UNITS = {
    "channels": "channels",
    "parameters": "parameters",
    "macs": "multiply-accumulates",
    "latency": "milliseconds a frame",
}


@dataclass(frozen=True)
class Goal:
    """What is to become less.

    Attributes:
        table: of the step: what of, and by which share.
        trained: whose input and backbone a pruned net keeps.
        context: of the step, which measures milliseconds.
    """

    table: Prune
    trained: Trained
    context: Context

    def amount(self, net: Any) -> float:
        """Return how much of it a net has, in channels, parameters, multiply-accumulates or milliseconds."""
        if self.table.of == "channels":
            return channels.channels(net, self.trained.input)
        if self.table.of == "latency":
            assert self.context.measure is not None  # Builder.check
            return self.context.measure(replace(self.trained, model=net))
        found = counted(net, self.trained.input)
        return found.macs if self.table.of == "macs" else found.parameters

    @property
    def unit(self) -> str:
        """What is counted, for people."""
        return UNITS[self.table.of]

    def told(self, amount: float) -> str:
        """Return an amount as people read it."""
        return f"{amount:,.3f}" if self.table.of == "latency" else f"{amount:,.0f}"

    def after(self, number: int, start: float) -> float:
        """Return what may be left after a round; every round takes the same away."""
        return start * (1 - self.table.amount * number / self.table.rounds)


def fewest(count: int, small_enough: Callable[[int], bool]) -> tuple[int, bool]:
    """Return the least number of slices that does, and True; or all of them and False, where not even these do.

    Found by halving: a larger number is taken to do where a smaller one did. Where a measurement wavers, the answer is
    still a number that was found to do.
    """
    if small_enough(0):
        return 0, True
    low, high = 0, count + 1  # the first does not do, the second does or is too many
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if small_enough(middle) else (middle, high)
    return (high, True) if high <= count else (count, False)
