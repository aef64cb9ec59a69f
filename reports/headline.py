"""The sentence on top of a report: what was gained by compressing, and what it cost, as far as it is shown.

Times are compared only on one real target, with one runtime, provider and number of threads. A difference is
"shown" where both 95 % intervals exist and do not overlap, which is stricter than the paired comparison of
two runs. Emulated times are never compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from reports import budgets, comparison_view
from reports.figures import number
from reports.records import Cell, Judgement, Metric, Outcome, Run, Trust

# Points of AUC (hundredths) that a headline lets a faster variant lose before it prefers a slower one.
_AFFORDABLE = 2.0


def headline(run: Run) -> str:
    """Return what got worse than the baseline, one sentence on what was found, then what limits it."""
    return " ".join(sentences(run))


def sentences(run: Run) -> list[str]:
    """Return the headline in parts: what a baseline says, the finding, then what limits it."""
    compared = comparison_view.sentences(run)
    return [part for part in (*compared, _finding(run), _budgets(run), _quick(run), _missing(run)) if part]


def _finding(run: Run) -> str:
    cells = timed(run)
    pairs = list(_pairs(run, cells))
    if pairs:
        return _best(pairs).sentence()
    if len(cells) > 1:
        return _fastest(cells)
    if cells:
        return _alone(cells[0])
    if any(cell.verdict for cell in run.cells):
        return "No time was measured on a real device: emulated times are not ranked."
    return _scores_only(run)


def timed(run: Run) -> list[Cell]:
    """Return the cells that went well and whose times were measured on a real device."""
    emulated = {target.name for target in run.targets if target.emulated}
    return [
        cell
        for cell in run.candidates
        if cell.outcome is Outcome.OK and cell.value("latency_p50", "end_to_end") and cell.key.target not in emulated
    ]


@dataclass(frozen=True)
class _Pair:
    """A variant and the one it was made of, measured alike."""

    child: Cell
    parent: Cell

    @property
    def ratio(self) -> float:
        """How many times as fast the child is."""
        return _p50(self.parent) / _p50(self.child)

    @property
    def shown(self) -> bool:
        """Whether the times differ by more than their intervals."""
        return _apart(self.child.metric("latency_p50", "end_to_end"), self.parent.metric("latency_p50", "end_to_end"))

    @property
    def points(self) -> float | None:
        """By how many points (hundredths) the child's AUC is above the parent's; None: one is missing."""
        mine, theirs = self.child.value("auc", "all"), self.parent.value("auc", "all")
        return None if mine is None or theirs is None else 100 * (mine - theirs)

    def sentence(self) -> str:
        child, parent = self.child.key.variant, self.parent.key.variant
        times = f"p50 {number(_p50(self.child))} against {number(_p50(self.parent))} ms"
        tail = f"{_where(self.child)} ({times})"
        if not self.shown:
            same = f"No difference in time is shown between {child} and {parent} {tail}"
            return f"{same}; {child} {cost}." if (cost := self._cost()) else f"{same}."
        tail += f" and {cost}." if (cost := self._cost()) else "."
        faster = f"{child} is {_times(self.ratio)} times as fast as {parent}"
        slower = f"{child} takes {_times(1 / self.ratio)} times as long as {parent}"
        return f"{faster if self.ratio > 1 else slower} {tail}{self._doubt()}"

    def _cost(self) -> str:
        if self.points is None:
            return ""
        mine, theirs = self.child.metric("auc", "all"), self.parent.metric("auc", "all")
        overlap = "" if _apart(mine, theirs) else "; intervals overlap"
        values = f"({self.child.value('auc', 'all'):.3f} against {self.parent.value('auc', 'all'):.3f}{overlap})"
        if abs(self.points) < 0.05:
            return f"keeps the AUC {values}"
        return f"{'loses' if self.points < 0 else 'gains'} {abs(self.points):.1f} points of AUC {values}"

    def _doubt(self) -> str:
        labels = {cell.verdict.trust for cell in (self.child, self.parent) if cell.verdict}
        doubts = [str(label) for label in Trust if label in labels & {Trust.THROTTLED, Trust.NOISY, Trust.UNWATCHED}]
        return f" These times are {' and '.join(doubts)}." if doubts else ""


def _pairs(run: Run, cells: list[Cell]) -> Iterator[_Pair]:
    """Yield each cell with that of its nearest ancestor that was measured in the same setting."""
    parents = {variant.name: variant.parent for variant in run.variants}
    found = {(cell.key.variant, _setting(cell)): cell for cell in cells}
    for cell in cells:
        seen, name = {cell.key.variant}, parents.get(cell.key.variant, "")
        while name and name not in seen and (name, _setting(cell)) not in found:
            seen.add(name)
            name = parents.get(name, "")
        if name and name not in seen:
            yield _Pair(cell, found[name, _setting(cell)])


def _best(pairs: list[_Pair]) -> _Pair:
    """Return the largest gain that is shown and cheap, else the largest shown, else the widest apart."""
    faster = [pair for pair in pairs if pair.shown and pair.ratio > 1]
    cheap = [pair for pair in faster if pair.points is None or pair.points >= -_AFFORDABLE]
    if cheap or faster:
        return max(cheap or faster, key=lambda pair: pair.ratio)
    shown = [pair for pair in pairs if pair.shown]
    return max(shown or pairs, key=lambda pair: abs(math.log(pair.ratio)))


def _fastest(cells: list[Cell]) -> str:
    """Return the ranking's top in the setting that most cells share."""
    settings = [_setting(cell) for cell in cells]
    setting = max(settings, key=lambda one: (settings.count(one), -settings.index(one)))
    first, *others = sorted((cell for cell in cells if _setting(cell) == setting), key=_p50)
    if not others:
        return _alone(first)
    second = others[0]
    apart = _apart(first.metric("latency_p50", "end_to_end"), second.metric("latency_p50", "end_to_end"))
    lead = "is the fastest" if apart else f"and {second.key.variant} are the fastest, no difference shown,"
    times = f"p50 {number(_p50(first))} ms, then {second.key.variant} {number(_p50(second))} ms"
    return f"{first.key.variant} {lead} of {len(others) + 1} variants {_where(first)} ({times})."


def _alone(cell: Cell) -> str:
    auc = cell.value("auc", "all")
    scored = f" with an AUC of {auc:.3f}" if auc is not None else ""
    return f"{cell.key.variant} takes {number(_p50(cell))} ms a frame (p50) {_where(cell)}{scored}."


def _scores_only(run: Run) -> str:
    scored = [(auc, cell) for cell in run.cells if (auc := cell.value("auc", "all")) is not None]
    if not scored:
        return "Nothing was measured."
    auc, cell = max(scored, key=lambda entry: entry[0])
    return f"No time was measured; the best AUC is {auc:.3f}, of {cell.key.variant}."


def _quick(run: Run) -> str:
    if run.method.setting != "quick":
        return ""
    return "This was a quick run: good for finding mistakes, not for deciding."


def _budgets(run: Run) -> str:
    """Return the broken budgets, the first one in full, or how many are met."""
    if not run.budgets:
        return ""
    broken = budgets.of(run, Judgement.BROKEN)
    if not broken:
        return f"Budgets: {budgets.counts(run)}."
    more = f"; {budgets.counts(run)} in all" if len(run.budgets) > 1 else ""
    return f"Budget broken: {budgets.sentence(run, broken[0]).replace(': broken: ', ': ')}{more}."


def _missing(run: Run) -> str:
    """Return how many cells are not ok, by outcome: "2 of 12 cells are not ok: 1 crashed, 1 timeout."."""
    outcomes = [cell.outcome for cell in run.cells if cell.outcome is not Outcome.OK]
    if not outcomes:
        return ""
    parts = [f"{outcomes.count(kind)} {kind}" for kind in Outcome if kind in outcomes]
    verb = "is" if len(outcomes) == 1 else "are"
    return f"{len(outcomes)} of {len(run.cells)} cells {verb} not ok: {', '.join(parts)}."


def _setting(cell: Cell) -> tuple[str, str, str, int]:
    return cell.key.target, cell.key.runtime, cell.key.provider, cell.key.threads


def _where(cell: Cell) -> str:
    return f"on {cell.key.target} at {cell.key.threads} thread{'s' if cell.key.threads != 1 else ''}"


def _p50(cell: Cell) -> float:
    return cell.value("latency_p50", "end_to_end") or math.nan


def _times(ratio: float) -> str:
    return number(ratio, 2 if ratio >= 1.1 else 3)


def _apart(one: Metric | None, other: Metric | None) -> bool:
    """Return whether both have intervals, and those share no point."""
    ends = [end for m in (one, other) for end in ((m.ci_low, m.ci_high) if m else (None, None))]
    low, high, other_low, other_high = ends
    if low is None or high is None or other_low is None or other_high is None:
        return False
    return high < other_low or other_high < low
