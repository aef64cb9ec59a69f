"""Which of a target's cells is the fastest of those that are nearly as good as the best, and what it is held against.

A cell is a variant with its runtime, provider and number of threads, and all cells of a target are chosen among. What
`reports/choice.py` would not ship is left out while there is something that it would, and what is faster is decided by
the same test, so that a headline and the choice cannot disagree. Times of two targets are never compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from reports import affordable, choice
from reports.choice import RANK, Field
from reports.learned import auc, learned
from reports.records import Cell, Judgement, Run


@dataclass(frozen=True)
class Ground:
    """The cells of a real target that went well and have a time, at least one."""

    run: Run
    target: str
    timed: tuple[Cell, ...]

    @cached_property
    def worth(self) -> list[Cell]:
        """The cells that are not known to have learned nothing."""
        return [cell for cell in self.timed if learned(cell) is not False]

    @cached_property
    def field(self) -> Field:
        """What the choice says of them."""
        return choice.field_of(self.run, self.target)

    @cached_property
    def pool(self) -> list[Cell]:
        """The cells that are chosen among: those that may be shipped, else those that might, else all."""
        worth = {cell.id for cell in self.worth}
        for tier in ([*self.field.able, *self.field.far], self.field.open):
            if found := [cell for cell in tier if cell.id in worth]:
                return _rated(found)
        return _rated(self.worth)

    @cached_property
    def top(self) -> Cell:
        """The fastest cell of the pool's best AUC."""
        return min(self.pool, key=lambda cell: (-(auc(cell) or 0.0), p50(cell)))

    @cached_property
    def near(self) -> list[Cell]:
        """Those of the pool that lose no more AUC than can be afforded."""
        floor = affordable.least(self.run, self.target, self.pool)
        return [cell for cell in self.pool if affordable.keeps(cell, floor)]

    @cached_property
    def leaders(self) -> list[Cell]:
        """The fastest of the near ones, and those that it is not shown to be faster than."""
        return choice.unbeaten(self.run, self.near, RANK, len(self.near) - 1)

    def faster(self) -> list[Cell]:
        """Return what is shown to be faster than the leader, the fastest first: what may be chosen, then the rest."""
        leader, near = self.leaders[0], {cell.id for cell in self.near}
        others = [cell for cell in self.worth if cell.id not in near and p50(cell) < p50(leader)]
        shown = [cell for cell in others if choice.apart(self.run, cell, leader, RANK, len(others))]
        pool = {cell.id for cell in self.pool}
        return sorted(shown, key=lambda cell: (cell.id not in pool, p50(cell)))

    @property
    def unmet(self) -> list[Cell]:
        """The cells that a budget keeps out, or may."""
        unmet = {check.cell for check in self.run.budgets if check.verdict is not Judgement.MET}
        return [cell for cell in self.worth if cell.id in unmet]

    def ancestor(self, cell: Cell) -> Cell | None:
        """Return the cell of the nearest ancestor that was measured, the one whose setting is most like this one's."""
        parents = {variant.name: variant.parent for variant in self.run.variants}
        seen, name = {cell.key.variant}, parents.get(cell.key.variant, "")
        while name and name not in seen:
            seen.add(name)
            if found := [other for other in self.worth if other.key.variant == name]:
                return min(found, key=lambda other: (*_unlike(cell, other), p50(other)))
            name = parents.get(name, "")
        return None

    def best(self, cell: Cell) -> Cell | None:
        """Return the fastest cell of the best AUC where this one's is another."""
        return None if auc(cell) == auc(self.top) else self.top


def p50(cell: Cell) -> float:
    """Return the median time of a frame in ms."""
    return cell.value("latency_p50", "end_to_end") or math.nan


def _rated(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells that have an AUC, all where none has."""
    return [cell for cell in cells if auc(cell) is not None] or list(cells)


def _unlike(one: Cell, other: Cell) -> tuple[bool, bool, bool]:
    mine, theirs = one.key, other.key
    return mine.runtime != theirs.runtime, mine.provider != theirs.provider, mine.threads != theirs.threads
