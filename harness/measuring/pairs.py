"""A candidate's cell and the baseline's beside it: whether they want more rounds, and what was flagged.

The stopping rule is that of `reports.decide`: what is decided here is decided again, from the same rounds and with the
same outcome, when the run is collected.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness import frames
from harness.agent import protocol
from harness.planning import method
from harness.planning.plan import Plan, PlannedCell
from harness.state import State
from reports import comparison, decide, statistics, taint
from reports.comparison import Rounds
from reports.decide import Decided, Rule
from reports.records import Decision, Outcome, Round

END_TO_END = protocol.STAGES.index("end_to_end")


@dataclass(frozen=True)
class Pair:
    """A candidate's cell and the one that it is compared with."""

    candidate: PlannedCell
    baseline: PlannedCell

    @property
    def cells(self) -> tuple[PlannedCell, PlannedCell]:
        """Both."""
        return self.candidate, self.baseline


def on(plan: Plan, target: str) -> list[Pair]:
    """Return the pairs of a target, in the plan's order."""
    cells = plan.cells_on(target)
    known = {cell.id: cell for cell in cells}
    return [Pair(cell, known[cell.against]) for cell in cells if cell.against]


def of(plan: Plan, cell: PlannedCell) -> Pair | None:
    """Return the pair that a cell is one of, None for one that is not compared."""
    return next((pair for pair in on(plan, cell.key.target) if cell in pair.cells), None)


def wants(state: State, folder: Path, pair: Pair, cell: PlannedCell) -> bool:
    """Whether a cell of a pair must be measured again, because the pair is undecided and its budget lasts.

    Args:
        state: what is known.
        folder: of the run, for the frames.
        pair: which.
        cell: one of its two.
    """
    plan = state.plan.method_on(cell.key.target)
    if not method.goes_on(plan) or not _alive(state, pair):
        return False
    done = [state.paired(entry) for entry in pair.cells]
    found = _decided(folder, done, "p50", comparison.rules(state.plan.gates)["p50"])
    return found.decision is Decision.UNDECIDED and _due(folder, done, state.paired(cell), plan.budget_s)


def needed(state: State, folder: Path, pair: Pair) -> int | None:
    """Return how many more rounds of each of a pair's cells will probably decide it, None where none would."""
    done = [state.paired(entry) for entry in pair.cells]
    found = _decided(folder, done, "p50", comparison.rules(state.plan.gates)["p50"])
    return None if found.needed is None else max(0, found.needed - min(len(entries) for entries in done))


def _alive(state: State, pair: Pair) -> bool:
    return not any(state.dead(cell) or cell.id in state.skipped or cell.id in state.dropped for cell in pair.cells)


def until_look(done: int) -> int:
    """Return how many rounds lie between so many and the next look at them, at least one."""
    return max(1, (decide.next_look(done) or 0) - done)


def _decided(folder: Path, done: Sequence[Sequence[Round]], figure: str, rule: Rule) -> Decided:
    mine, theirs = (getattr(rounds(folder, entries), figure) for entries in done)
    return decide.decide(comparison.ratios(mine, theirs), rule)


def _due(folder: Path, done: Sequence[Sequence[Round]], mine: Sequence[Round], budget_s: float) -> bool:
    """Whether it is this cell's turn, and the next look can be reached within the budget: one in between is none.

    The budget bounds the rounds beyond those of the first look: a session that is too short for it decides nothing.
    """
    if len(mine) > min(len(entries) for entries in done):
        return False
    numbers = [rounds(folder, entries).p50.keys() for entries in done]
    shared = len(numbers[0] & numbers[1])
    look = decide.next_look(shared)
    return look is not None and all(_affordable(entries, look - shared, budget_s) for entries in done)


def _affordable(entries: Sequence[Round], more: int, budget_s: float) -> bool:
    if len(entries) + more <= decide.LOOKS[0]:
        return True
    seconds = [entry.seconds for entry in entries]
    return sum(seconds) + more * float(np.mean(seconds)) <= budget_s


def rounds(folder: Path, entries: Iterable[Round]) -> Rounds:
    """Return the medians and tails of the rounds that count."""
    counting = [entry for entry in taint.clean(list(entries)) if entry.frames]
    found = {entry.place: _figures(folder, str(entry.frames), entry.warmup) for entry in counting}
    tails = {place: p95 for place, (_, p95) in found.items() if p95 is not None}
    return Rounds({place: p50 for place, (p50, _) in found.items()}, tails)


@functools.lru_cache(maxsize=4096)
def _figures(folder: Path, name: str, warmup: int) -> tuple[float, float | None]:
    """Return p50 and, where its frames carry one, p95 of a round's end-to-end times in ns; the file never changes."""
    times = frames.read(folder, name)[warmup:, END_TO_END]
    tail = 95 in statistics.carried(times.size)
    return statistics.percentile(times, 50), statistics.percentile(times, 95) if tail else None


# --- the second session ---


def flagged(state: State, folder: Path, target: str) -> list[Pair]:
    """Return the pairs of a target whose times are slower than the baseline's and not yet confirmed or refuted."""
    if not method.goes_on(state.plan.method_on(target)):
        return []
    found = [pair for pair in on(state.plan, target) if _alive(state, pair) and _slower(state, folder, pair)]
    wanting = unsettled(state, folder, found)
    return [pair for pair in found if pair.candidate.id in wanting]


def _slower(state: State, folder: Path, pair: Pair) -> list[str]:
    """Return the times of a pair that its first session flagged."""
    mine, theirs = (rounds(folder, state.paired(cell)) for cell in pair.cells)
    return comparison.slower(mine, theirs, state.plan.gates)


def unsettled(state: State, folder: Path, pairs: Sequence[Pair]) -> set[str]:
    """Return the ids of the cells that a second session must still measure a round of."""
    return {cell.id for pair in pairs for cell in pair.cells if _goes_on(state, folder, pair, cell)}


def _goes_on(state: State, folder: Path, pair: Pair, cell: PlannedCell) -> bool:
    done = [state.paired(entry, again=True) for entry in pair.cells]
    if not _alive(state, pair) or any(entry.outcome is not Outcome.OK for entries in done for entry in entries):
        return False
    rules = comparison.rules(state.plan.gates, alarm=decide.RED)
    decisions = [_decided(folder, done, name, rules[name]).decision for name in _slower(state, folder, pair)]
    budget_s = state.plan.method_on(cell.key.target).budget_s
    return Decision.UNDECIDED in decisions and _due(folder, done, state.paired(cell, again=True), budget_s)
