"""What a target's cells trade for time, in words: the leader of `reports/ground.py`, and what it gains and loses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports import affordable, choice, figures
from reports.choice import RANK
from reports.figures import number
from reports.ground import Ground, p50
from reports.learned import auc, auc_in_words
from reports.records import Cell, Metric, Run, Trust

_NAMED = 3  # cells between which no difference is shown
_DOUBTS = (Trust.THROTTLED, Trust.NOISY, Trust.UNDER_SAMPLED, Trust.UNWATCHED)


def sentences(run: Run, target: str, timed: Sequence[Cell]) -> list[str]:
    """Return what was found on a real target.

    Args:
        run: what was learned.
        target: name.
        timed: its cells that went well and have a time, at least one.
    """
    ground = Ground(run, target, tuple(timed))
    if not ground.worth:
        return [part for part in (*_nothing_learned(ground), _doubt(ground, ground.timed)) if part]
    pair = _pair(ground)
    said, cells = _finding(ground, pair)
    more = (_doubt(ground, cells), _faster(ground, pair), _limits(ground), _unlearned(ground))
    return [part for part in (*said, *more) if part]


# --- cells in words ---


def _count(ground: Ground, cells: Sequence[Cell]) -> str:
    """Return how many variants these are, or cells where a variant has several."""
    single = len({cell.key.variant for cell in ground.timed}) == len(ground.timed)
    return f"{len(cells)} {'variant' if single else 'cell'}{'s' if len(cells) != 1 else ''}"


def _lead(ground: Ground) -> str:
    """Return what the leaders are: "the fastest of 6 variants"."""
    if len(ground.pool) == 1:
        return "the only candidate"
    able = " that meet all budgets" if ground.unmet and ground.field.able else ""
    if len(ground.near) < len(ground.pool):
        return f"the fastest {affordable.WITHIN}" + (f" of those{able}" if able else "")
    return f"the fastest of {_count(ground, ground.pool)}{able}"


def _named(ground: Ground, cells: Sequence[Cell]) -> tuple[list[str], str]:
    """Return the names of some cells, with what tells their settings apart, and where they ran: what they share."""
    runtimes = {cell.key.runtime for cell in ground.run.candidates}
    providers = {cell.key.provider for cell in ground.timed}
    parts: list[list[str]] = [[] for _ in cells]
    where = f"on {ground.target}"
    told = (
        (" with", [cell.key.runtime if len(runtimes) > 1 else "" for cell in cells]),
        (" by", [cell.key.provider if len(providers) > 1 else "" for cell in cells]),
        (" at", [f"{cell.key.threads} thread{'s' if cell.key.threads != 1 else ''}" for cell in cells]),
    )
    for word, values in told:
        if len(set(values)) > 1:
            parts = [[*known, value] for known, value in zip(parts, values, strict=True)]
        elif values[0]:
            where += f"{word} {values[0]}"
    names = [
        f"{cell.key.variant} ({', '.join(own)})" if own else cell.key.variant
        for cell, own in zip(cells, parts, strict=True)
    ]
    return names, where


# --- the leader ---

Said = tuple[list[str], list[Cell]]  # sentences, and the cells that they are about


def _pair(ground: Ground) -> Pair | None:
    """Return a leader, and what it was made of; where none has an ancestor, the best instead."""
    for find in (ground.ancestor, ground.best):
        for cell in ground.leaders:
            if rival := find(cell):
                return Pair(ground, cell, rival)
    return None


def _finding(ground: Ground, pair: Pair | None) -> Said:
    if len(ground.leaders) > 1:
        return _no_difference(ground, pair)
    if pair:
        return [pair.sentence()], [pair.cell, pair.other]
    return _alone(ground) if len(ground.pool) == 1 else _first(ground)


def _alone(ground: Ground) -> Said:
    (cell,) = ground.pool
    (name,), where = _named(ground, [cell])
    scored = f" with an AUC of {auc(cell):.3f}" if auc(cell) is not None else ""
    lead = f", {_lead(ground)}," if len(ground.timed) > 1 else ""
    return [f"{name}{lead} takes {number(p50(cell))} ms a frame (p50) {where}{scored}."], [cell]


def _first(ground: Ground) -> Said:
    """Return that the leader is the fastest, and which one comes next."""
    leader = ground.leaders[0]
    cells = [leader, *(cell for cell in ground.near if cell is not leader)][:2]
    (name, *next_), where = _named(ground, cells)
    rated = f", AUC {auc(leader):.3f}" if auc(leader) is not None else ""
    then = f", then {next_[0]} {number(p50(cells[1]))} ms" if next_ else ""
    return [f"{name} is {_lead(ground)} {where} (p50 {number(p50(leader))} ms{rated}{then})."], cells


def _no_difference(ground: Ground, pair: Pair | None) -> Said:
    """Return that some are as fast as each other, and what one of them gains and loses."""
    leaders = ground.leaders
    first = pair.cell if pair else leaders[0]
    ordered = [first, *(cell for cell in leaders if cell is not first)]
    cells = [*ordered, pair.other] if pair and pair.tells else ordered
    names, where = _named(ground, cells)
    more = [f"{len(ordered) - _NAMED} more"] if len(ordered) > _NAMED else []
    *most, last = names[: min(len(ordered), _NAMED)] + more
    lead = f", {_lead(ground)}," if len(leaders) < len(ground.timed) else ""
    told = f"No difference in time is shown between {', '.join(most)} and {last}{lead} {where} ({_reach(ordered)})"
    if pair and pair.tells:
        return [f"{told}.", pair.besides(names[0], names[-1])], cells
    cost = pair.cost() if pair and len(leaders) == 2 else ""
    return [f"{told}.", f"{names[0]} {cost}."] if cost else [f"{told}."], cells


def _reach(cells: Sequence[Cell]) -> str:
    """Return the times of two, or from which to which those of some reach, with their AUCs."""
    if len(cells) == 2:
        return f"p50 {number(p50(cells[0]))} and {number(p50(cells[1]))} ms"
    times, rates = sorted(map(p50, cells)), sorted(rate for cell in cells if (rate := auc(cell)) is not None)
    rated = f", AUC {rates[0]:.3f} to {rates[-1]:.3f}" if rates else ""
    return f"p50 {number(times[0])} to {number(times[-1])} ms{rated}"


@dataclass(frozen=True)
class Pair:
    """A cell, and the one that it is held against."""

    ground: Ground
    cell: Cell
    other: Cell

    @property
    def ratio(self) -> float:
        """How many times as fast the cell is."""
        return p50(self.other) / p50(self.cell)

    @property
    def shown(self) -> bool:
        """Whether one is shown to be faster."""
        first, second = (self.cell, self.other) if self.ratio > 1 else (self.other, self.cell)
        return choice.apart(self.ground.run, first, second, RANK, 1)

    @property
    def tells(self) -> bool:
        """Whether the other one is news beside the leaders: none of them, and shown to differ in time."""
        return self.other not in self.ground.leaders and self.shown

    @property
    def points(self) -> float | None:
        """By how many points (hundredths) the cell's AUC is above the other's; None: one is missing."""
        mine, theirs = auc(self.cell), auc(self.other)
        return None if mine is None or theirs is None else 100 * (mine - theirs)

    def sentence(self) -> str:
        """Return what the cell gains and loses against the other."""
        (one, other), where = _named(self.ground, [self.cell, self.other])
        lead = f", {_lead(self.ground)}," if len(self.ground.timed) > 2 else ""
        tail = f"{where} (p50 {number(p50(self.cell))} against {number(p50(self.other))} ms)"
        cost = self.cost()
        if self.shown:
            told = f"{one}{lead} {self._speed()} {other} {tail}" + (f" and {cost}" if cost else "")
        else:
            told = f"No difference in time is shown between {one}{lead} and {other} {tail}"
            told += f"; {one} {cost}" if cost else ""
        return f"{told}."

    def besides(self, one: str, other: str) -> str:
        """Return the same, given the names, as a sentence after one that has told the cell's time and place."""
        cost = f" and {cost}" if (cost := self.cost()) else ""
        return f"{one} {self._speed()} {other} (p50 {number(p50(self.other))} ms){cost}."

    def _speed(self) -> str:
        if self.ratio > 1:
            return f"is {_ratio(self.ratio)} times as fast as"
        return f"takes {_ratio(1 / self.ratio)} times as long as"

    def cost(self) -> str:
        """Return what the cell loses or gains in AUC, "" where that is not known."""
        if self.points is None:
            return ""
        mine, theirs = self.cell.metric("auc", "all"), self.other.metric("auc", "all")
        overlap = "" if _disjoint(mine, theirs) else "; intervals overlap"
        values = f"({auc(self.cell):.3f} against {auc(self.other):.3f}{overlap})"
        if abs(self.points) < 0.05:
            return f"keeps the AUC {values}"
        return f"{'loses' if self.points < 0 else 'gains'} {abs(self.points):.1f} points of AUC {values}"


# --- what else must be known ---


def _faster(ground: Ground, pair: Pair | None) -> str:
    """Return what is faster than the leader, and why it was not chosen: one that might be shipped, one that may not."""
    leader, reasons = ground.leaders[0], {left.cell: left.reason.partition(":")[0] for left in ground.field.left_out}
    told = pair.other if pair and (len(ground.leaders) == 1 or pair.tells) else None
    parts: dict[bool, str] = {}
    for cell in ground.faster():
        name = _named(ground, [leader, cell])[0][1]
        out = cell not in ground.pool
        why = f"left out: {reasons.get(cell.id, 'no AUC')}" if out else f"which {Pair(ground, cell, ground.top).cost()}"
        if cell is not told:
            parts.setdefault(out, f"{name}, p50 {number(p50(cell))} ms, {why}")
    return f"Faster: {'; '.join(parts.values())}." if parts else ""


def _limits(ground: Ground) -> str:
    return f"No cell on {ground.target} is known to meet all budgets." if ground.unmet == ground.worth else ""


def _unlearned(ground: Ground) -> str:
    missing = len(ground.timed) - len(ground.worth)
    if not missing:
        return ""
    told = f"{missing} of {_count(ground, ground.timed)} {'is' if missing == 1 else 'are'}"
    return f"{told} not shown to tell fakes from real faces."


def _nothing_learned(ground: Ground) -> list[str]:
    """Return what can be said of cells that learned nothing: times and sizes."""
    best = max(ground.timed, key=lambda cell: auc(cell) or 0.0)
    (name,), _ = _named(ground, [best])
    none = f"No variant is shown to tell fakes from real faces on {ground.target}"
    return [f"{none}: the best AUC is {auc_in_words(best)}, of {name}.", _fastest_and_smallest(ground)]


def _fastest_and_smallest(ground: Ground) -> str:
    first, *alike = choice.unbeaten(ground.run, ground.timed, RANK, len(ground.timed) - 1)
    small = min(ground.timed, key=lambda cell: (ground.run.variant(cell.key.variant).bytes, cell is not first))
    (name,), where = _named(ground, [first])
    time, size = f"p50 {number(p50(first))} ms", f"{figures.megabytes(ground.run, small)} MB"
    lead = f"By time and size alone, {name} is the fastest {where}" + (
        f", no difference to {len(alike)} more shown," if alike else ""
    )
    if small is first:
        return f"{lead} and the smallest ({time}, {size})."
    return f"{lead} ({time}), and {small.key.variant} the smallest ({size})."


def _doubt(ground: Ground, cells: Sequence[Cell]) -> str:
    """Return why these times are not to be trusted; a quick run says by itself that it is one."""
    labels = {cell.verdict.trust for cell in cells if cell.verdict}
    if ground.run.method.setting == "quick":
        labels.discard(Trust.UNDER_SAMPLED)
    doubts = [str(label) for label in _DOUBTS if label in labels]
    return f"These times are {' and '.join(doubts)}." if doubts else ""


def _ratio(ratio: float) -> str:
    return number(ratio, 2 if ratio >= 1.1 else 3)


def _disjoint(one: Metric | None, other: Metric | None) -> bool:
    """Return whether both have intervals, and those share no point."""
    ends = [end for m in (one, other) for end in ((m.ci_low, m.ci_high) if m else (None, None))]
    low, high, other_low, other_high = ends
    if low is None or high is None or other_low is None or other_high is None:
        return False
    return high < other_low or other_high < low
