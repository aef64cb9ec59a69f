"""Which cell of a target to ship, or between which ones the figures do not decide, and what would.

A cell may be chosen where it went well, its times are neither throttled nor under-sampled, its AUC, if it has one, is
shown to be above chance (reports/learned.py), and it meets all budgets. Where none of these limits the AUC, what loses
more than can be afforded (reports/affordable.py) is left out, too, unless the AUC is what is ranked by.
Among these the best by one figure is chosen if it is shown to be better than each of the others:

    p50_ms          by ratios of the medians of rounds of the same number, Student's t on logs: what two cells of one
                    session share cancels
    other samples   where the intervals do not overlap
    one reading     where the values differ

Against k others each interval is one of 1 - .05 / k (Bonferroni), so that the best of many is not the luckiest.
Cells that are equal by what they are, such as sizes of one file, go on to the next of TIES. Emulated cells are never
chosen. The chance that p50 calls the worse of two better is 2.5 % at most.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reports import affordable, budgets, statistics
from reports.budgets import BUDGETS, MOST
from reports.figures import number, percent
from reports.front import front
from reports.learned import auc_in_words, learned
from reports.records import BudgetCheck, Cell, Choice, Judgement, LeftOut, Metric, Outcome, Run, Trust
from reports.statistics import Interval
from reports.trust import counted

RANK = "p50_ms"
TIES = ("p50_ms", "size_mb", "peak_mb")  # what decides between cells that are equal by rank
UNRELIABLE = (Trust.THROTTLED, Trust.UNDER_SAMPLED)
UNLEARNED = "nothing learned"


def choices(run: Run, rank: str = RANK, targets: Iterable[str] | None = None) -> tuple[Choice, ...]:
    """Return the choice on each target, or on those that are named; raises KeyError for an unknown target or rank."""
    names = [target.name for target in run.targets] if targets is None else list(targets)
    return tuple(choose(run, name, rank) for name in names)


def choose(run: Run, target: str, rank: str = RANK, *, bounded: bool = True) -> Choice:
    """Return which cell of a target to ship.

    Args:
        run: what was learned.
        target: name.
        rank: by which figure, a key of BUDGETS.
        bounded: leave out what loses more AUC than can be afforded, where no budget limits it.
    """
    best = tuple(cell.id for cell in front(run, target))
    if run.target(target).emulated:
        reason = "an emulator's times say nothing of a device, so nothing is chosen for it"
        return Choice(target=target, rank=rank, verdict="none", reason=reason, next_step="measure on the device itself")
    field = field_of(run, target, rank, bounded=bounded)
    found = _between(run, field, rank) if field.able else _nobody(run, field)
    return found.model_copy(update={"target": target, "rank": rank, "front": best, "left_out": field.left_out})


@dataclass(frozen=True)
class Field:
    """The cells of a target, each kind the best first.

    Attributes:
        able: those that may be chosen.
        far: those that might be, if they did not lose so much AUC.
        open: those that a budget leaves open.
        left_out: all that are not able, with the reason.
        floor: AUC that a cell must have to be chosen; minus infinity where it is not bounded.
    """

    able: list[Cell]
    far: list[Cell]
    open: list[Cell]
    left_out: tuple[LeftOut, ...]
    floor: float


def field_of(run: Run, target: str, rank: str = RANK, *, bounded: bool = True) -> Field:
    """Return the cells of a target; arguments as of `choose`."""
    able, undecided, left = _sorted(run, target, rank)
    floor = affordable.least(run, target, able) if bounded and rank not in affordable.ACCURACY else -math.inf
    far = [cell for cell in able if not affordable.keeps(cell, floor)]
    left += [LeftOut(cell=cell.id, reason=affordable.lost(cell, floor)) for cell in far]
    return Field([cell for cell in able if affordable.keeps(cell, floor)], far, undecided, tuple(left), floor)


def _sorted(run: Run, target: str, rank: str) -> tuple[list[Cell], list[Cell], list[LeftOut]]:
    """Return the cells that meet all budgets, those that may, both the best first, and why others do not."""
    able: list[Cell] = []
    undecided: list[Cell] = []
    left: list[LeftOut] = []
    for cell in run.candidates:
        if cell.key.target == target:
            why = _unfit(run, cell, rank)
            doubt = next((c for c in _checks(run, cell) if c.verdict is not Judgement.MET), None)
            if why or doubt:
                left.append(LeftOut(cell=cell.id, reason=why or _short(doubt)))
            if not why:
                (undecided if doubt else able).append(cell)
    return _ranked(run, able, rank), _ranked(run, undecided, rank), left


def _unfit(run: Run, cell: Cell, rank: str) -> str:
    """Return why a cell can by no means be chosen, "" where it can."""
    broken = next((c for c in _checks(run, cell) if c.verdict is Judgement.BROKEN), None)
    if cell.outcome is not Outcome.OK:
        return f"{cell.outcome}: {cell.reason}".rstrip(": ")
    if broken:
        return _short(broken)
    if cell.verdict and cell.verdict.trust in UNRELIABLE:
        return f"{cell.verdict.trust}: {cell.verdict.reason}"
    if learned(cell) is False:
        return f"{UNLEARNED}: an AUC of {auc_in_words(cell)} is not shown to be above chance"
    return "" if budgets.figure(run, cell, rank) else f"{rank} was not measured"


def _checks(run: Run, cell: Cell) -> list[BudgetCheck]:
    return [check for check in run.budgets if check.cell == cell.id]


def _short(check: BudgetCheck | None) -> str:
    return f"{check.budget} {str(check.verdict).replace('-', ' ')}: {budgets.held(check)}" if check else ""


def _value(run: Run, cell: Cell, name: str) -> float:
    """Return a figure, the better the smaller; infinite where it is missing."""
    found = budgets.figure(run, cell, name)
    if found is None or found.value is None:
        return math.inf
    return found.value if BUDGETS[name].at_most else -found.value


def _ranked(run: Run, cells: Sequence[Cell], rank: str) -> list[Cell]:
    return sorted(cells, key=lambda cell: [_value(run, cell, name) for name in (rank, *TIES)])


# --- nobody may be chosen ---


def _nobody(run: Run, field: Field) -> Choice:
    """Return the choice where no cell is known to meet all budgets."""
    if field.open:
        first = next(c for c in _checks(run, field.open[0]) if c.verdict is not Judgement.MET)
        reason = (
            f"no cell is known to meet all budgets; the best that may is {field.open[0].key}, whose {_short(first)}"
        )
        ids = tuple(cell.id for cell in field.open)
        return _choice("undecided", reason, first.next_step, between=ids)
    if not field.left_out:
        return _choice("none", "nothing was measured there", "")
    known = {entry.reason.partition(":")[0] for entry in field.left_out}
    if known == {str(Trust.UNDER_SAMPLED)}:
        short = run.cell(field.left_out[0].cell).verdict
        return _choice("none", "all times are under-sampled", short.next_step if short else "")
    if known == {UNLEARNED}:
        return _choice("none", "no cell is shown to tell fakes from real faces", "other variants, or more faces")
    reason = f"none of {len(field.left_out)} cells may be shipped: {', '.join(sorted(known))}"
    return _choice("none", reason, "other variants, other runtimes, or other limits")


def _choice(verdict: str, reason: str, step: str, cell: str = "", between: tuple[str, ...] = ()) -> Choice:
    fields = {"verdict": verdict, "reason": reason, "next_step": step, "cell": cell, "between": between}
    return Choice.model_validate({"target": "", "rank": RANK, **fields})


# --- the best, if it is shown ---


def _between(run: Run, field: Field, rank: str) -> Choice:
    """Return the best of the cells that may be chosen, or those that are not shown to be worse than it."""
    able, order = field.able, tuple(dict.fromkeys((rank, *TIES)))
    for by in order:
        able = unbeaten(run, able, by, len(able) - 1)
        if any(not _equal(run, able[0], cell, by) for cell in able[1:]):
            return _undecided(run, able, by)
        if len(able) == 1:
            break
    return _chosen(run, field, able[0], rank)


def unbeaten(run: Run, cells: Sequence[Cell], by: str, others: int) -> list[Cell]:
    """Return the best cell by a figure, then those that it is not shown to be better than, the best first.

    Args:
        run: that the cells are of.
        cells: of one target, at least one.
        by: the figure, a key of BUDGETS.
        others: with how many cells each is compared in all.
    """
    best, *rest = _ranked(run, cells, by)
    return [best, *(cell for cell in rest if not apart(run, best, cell, by, others))]


def _chosen(run: Run, field: Field, cell: Cell, by: str) -> Choice:
    rest = len(field.able) - 1
    kept = f" {affordable.WITHIN}" if field.far else ""
    lead = f"the best of {rest + 1} by {by}{kept}" if rest else f"the only one{kept or ' that may be shipped'}"
    better = [other for other in field.open if _value(run, other, by) < _value(run, cell, by)]
    before = [other for other in better if affordable.keeps(other, field.floor)]
    step = ""
    if before:
        doubt = next(c for c in _checks(run, before[0]) if c.verdict is not Judgement.MET)
        lead += f"; {before[0].key} would come before it, but {_short(doubt)}"
        step = doubt.next_step
    return _choice("chosen", lead, step, cell=cell.id)


def _undecided(run: Run, cells: Sequence[Cell], by: str) -> Choice:
    first = cells[0]
    second = next(cell for cell in cells if cell is not first and not _equal(run, first, cell, by))
    names = f"{first.key} and {second.key}"
    more = f" and {len(cells) - 2} more" if len(cells) > 2 else ""
    reason = f"{by} does not tell {names}{more} apart{_reach(run, first, second, by, len(cells) - 1)}"
    return _choice("undecided", reason, _deciding(run, first, second, by), between=tuple(cell.id for cell in cells))


def _equal(run: Run, one: Cell, other: Cell, by: str) -> bool:
    """Whether two cells are the same by what they are: one file, one pass of scores."""
    if not BUDGETS[by].sampled:
        return _value(run, one, by) == _value(run, other, by)
    if by in ("auc", "auc_drop") and one.accuracy and other.accuracy:
        return one.accuracy.scores is not None and one.accuracy.scores == other.accuracy.scores
    return False


def apart(run: Run, one: Cell, other: Cell, by: str, others: int) -> bool:
    """Whether `one`, the better by value, is shown to be better; `others` as of `unbeaten`."""
    if not BUDGETS[by].sampled:
        return _value(run, one, by) != _value(run, other, by)
    ratio = paired(one, other, others) if by == "p50_ms" else None
    if ratio:
        return ratio.high < 1
    ends = [_ends(budgets.figure(run, cell, by)) for cell in (one, other)]
    if ends[0] is None or ends[1] is None:
        return False
    return ends[0].high < ends[1].low if BUDGETS[by].at_most else ends[0].low > ends[1].high


def _ends(found: Metric | None) -> Interval | None:
    if found is None or found.ci_low is None or found.ci_high is None:
        return None
    return Interval(found.ci_low, found.ci_high)


def paired(one: Cell, other: Cell, others: int = 1) -> Interval | None:
    """Return the interval of one's p50 to another's, by rounds of the same number; None with fewer than two pairs.

    Args:
        one: a cell.
        other: of the same run and target.
        others: with how many cells `one` is compared.
    """
    return statistics.t_interval(_ratios(one, other), 1 - 0.05 / max(1, others))


def _ratios(one: Cell, other: Cell) -> list[float]:
    theirs = {entry.place: entry.p50_ms for entry in counted(other.rounds)}
    return [
        entry.p50_ms / base
        for entry in counted(one.rounds)
        if entry.p50_ms is not None and (base := theirs.get(entry.place))
    ]


def _reach(run: Run, one: Cell, other: Cell, by: str, others: int) -> str:
    """Return by how much the first is ahead, where rounds are paired: ": 1.2 % faster, -0.5 % to 2.9 %"."""
    ratio = paired(one, other, others) if by == "p50_ms" else None
    if ratio is None:
        return ""
    mean = statistics.geometric_mean(_ratios(one, other))
    lead = f"{percent(1 - mean)} faster" if mean < 1 else f"{percent(mean - 1)} slower in the rounds that both have"
    low, high = number(100 * (1 - ratio.high), 2), number(100 * (1 - ratio.low), 2)
    return f": the first is {lead}, between {low} and {high} %"


def _deciding(run: Run, one: Cell, other: Cell, by: str) -> str:
    """Return what would tell two cells apart."""
    alike = "they are as good as equal by it: rank by another figure, e.g. --rank size_mb"
    if by in ("auc", "auc_drop"):
        return _more_faces(run, one, other, by) or alike
    if by != "p50_ms":
        return f"more rounds, e.g. --rounds {2 * len(counted(one.rounds))}; or {alike.partition(': ')[2]}"
    ratios = _ratios(one, other)
    ends = statistics.t_interval(ratios)
    if ends is None:
        return "a run with rounds of both"
    needed = statistics.rounds_needed(ends, len(ratios), abs(math.log(statistics.geometric_mean(ratios))), MOST)
    if needed is None:
        return alike
    more = max(1, needed - len(ratios))
    return f"about {more} more rounds: --rounds {len(ratios) + more}"


def _more_faces(run: Run, one: Cell, other: Cell, by: str) -> str:
    mine, theirs = budgets.figure(run, one, by), budgets.figure(run, other, by)
    ends = [_ends(mine), _ends(theirs)]
    if not (mine and theirs and ends[0] and ends[1]):
        return ""
    apart = abs((mine.value or 0.0) - (theirs.value or 0.0))
    reach = sum((end.high - end.low) / 2 for end in ends if end)
    if apart * math.sqrt(MOST) <= reach:
        return ""
    return f"about {math.ceil(mine.n * (reach / apart) ** 2 / 10) * 10:,} faces instead of {mine.n:,}"


def sentence(run: Run, choice: Choice) -> str:
    """Return a choice as a sentence."""
    names = {cell.id: str(cell.key) for cell in run.cells}
    if choice.verdict == "chosen":
        return f"{choice.target}: ship {names[choice.cell]}: {choice.reason}"
    if choice.verdict == "undecided":
        return f"{choice.target}: undecided: {choice.reason}"
    return f"{choice.target}: nothing to ship: {choice.reason}"


def sentences(run: Run) -> list[str]:
    """Return the choices of a run on its real targets as sentences, each with its next step."""
    return [
        sentence(run, found) + (f" -> {found.next_step}" if found.next_step else "")
        for found in run.choices
        if not run.target(found.target).emulated
    ]
