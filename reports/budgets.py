"""Budgets: limits that a cell must keep, each held against the figure and its interval when a run is collected.

    met           the whole interval keeps the limit
    broken        the whole interval breaks it
    undecided     the interval straddles it, or there is none yet; what would decide it is said
    not-measured  there is no such figure: the cell failed, the device cannot tell, or it is an emulator's time

A size, a peak of memory, joules, instructions and the end of a sustained pass are compared by their value; an interval
is not used. A time of an emulator is held against nothing. Any other time that breaks its limit while the device slowed
itself down is undecided.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from reports import statistics
from reports.figures import number
from reports.records import BudgetCheck, Cell, Judgement, Metric, Outcome, Run, Trust
from reports.statistics import Interval
from reports.trust import counted

MOST = 1000  # more rounds, or times as many faces, than anybody would measure

Limits = Mapping[str, float]  # name of a budget -> limit


@dataclass(frozen=True)
class Budget:
    """What a budget limits.

    Attributes:
        metric: of the cell, "" for the size of the model's files.
        scope: of that metric.
        unit: as people write it.
        text: what it is, for people.
        at_most: a limit from above, else from below.
        of_device: only a real device can tell; an emulator cannot.
        sampled: it is held by its interval; otherwise by its value alone.
    """

    metric: str
    scope: str
    unit: str
    text: str
    at_most: bool = True
    of_device: bool = True
    sampled: bool = True


BUDGETS = {
    "p50_ms": Budget("latency_p50", "end_to_end", "ms", "median time of a frame"),
    "p90_ms": Budget("latency_p90", "end_to_end", "ms", "90th percentile of the time of a frame"),
    "p95_ms": Budget("latency_p95", "end_to_end", "ms", "95th percentile of the time of a frame"),
    "p99_ms": Budget("latency_p99", "end_to_end", "ms", "99th percentile of the time of a frame"),
    "sustained_p95_ms": Budget(
        "sustained_p95", "end_to_end", "ms", "95th percentile at the end of a sustained pass", sampled=False
    ),
    "load_ms": Budget("load_ms", "all", "ms", "time to load the model"),
    "peak_mb": Budget("vm_hwm_mb", "all", "MiB", "peak resident memory of the process", of_device=False, sampled=False),
    "size_mb": Budget("", "all", "MB", "size of the model's files", of_device=False, sampled=False),
    "energy_j": Budget("energy_j", "all", "J", "energy of a frame", sampled=False),
    "instructions": Budget(
        "instructions", "inference", "", "instructions of an inference", of_device=False, sampled=False
    ),
    "auc": Budget("auc", "all", "", "area under the ROC curve", at_most=False, of_device=False),
    "auc_drop": Budget(
        "auc_drop", "all", "", "AUC that was lost against the nearest ancestor that was measured", of_device=False
    ),
}

ASKED_FOR = {  # figures that a run does not have by itself, and what gives them
    "sustained_p95_ms": "--sustain 30m measures it",
    "energy_j": "name what reads the device's power in its profile: docs/devices.md",
    "instructions": "an emulated machine counts them: --target emulated-arm64-machine",
}

PERCENTILES = {f"p{q}_ms": q for q in (90, 95, 99)}


def checks(run: Run, limits: Mapping[str, Limits]) -> tuple[BudgetCheck, ...]:
    """Return each budget held against each cell of its target; `limits` are by target.

    A cell that no runtime can measure, and a drop of AUC of a variant that was made of no other, have none.
    """
    return tuple(
        check(run, cell, name, limit)
        for cell in run.candidates
        if cell.outcome is not Outcome.UNSUPPORTED
        for name, limit in limits.get(cell.key.target, {}).items()
        if name != "auc_drop" or run.variant(cell.key.variant).parent
    )


def check(run: Run, cell: Cell, name: str, limit: float) -> BudgetCheck:
    """Return one budget held against one cell; raises KeyError for a name that is not in BUDGETS."""
    budget = BUDGETS[name]
    found = figure(run, cell, name)
    verdict, reason, step = _judged(run, cell, name, limit, found)
    return BudgetCheck(
        cell=cell.id,
        budget=name,
        unit=budget.unit,
        limit=limit,
        at_most=budget.at_most,
        value=found.value if found else None,
        ci_low=found.ci_low if found else None,
        ci_high=found.ci_high if found else None,
        verdict=verdict,
        reason=reason,
        next_step=step,
    )


def figure(run: Run, cell: Cell, name: str) -> Metric | None:
    """Return the figure that a budget limits, None where it was not measured or is an emulator's time."""
    budget = BUDGETS[name]
    if budget.of_device and run.target(cell.key.target).emulated:
        return None
    if not budget.metric:
        size = run.variant(cell.key.variant).bytes / 1e6
        return Metric(metric="size_mb", scope="all", unit="MB", value=size, n=1, lower_is_better=True)
    found = cell.metric(budget.metric, budget.scope)
    return found if found and found.value is not None else None


Judged = tuple[Judgement, str, str]  # verdict, reason, next step


def _judged(run: Run, cell: Cell, name: str, limit: float, found: Metric | None) -> Judged:
    budget = BUDGETS[name]
    if found is None or found.value is None:
        return _missing(run, cell, name)
    ends = _ends(found) if budget.sampled else Interval(found.value, found.value)
    if ends is None:
        return Judgement.UNDECIDED, "the figure has no interval yet", _more(cell, name)
    keeps, breaks = (ends.high <= limit, ends.low > limit) if budget.at_most else (ends.low >= limit, ends.high < limit)
    if keeps:
        return Judgement.MET, "", ""
    if breaks and budget.of_device and budget.sampled and cell.verdict and cell.verdict.trust is Trust.THROTTLED:
        return Judgement.UNDECIDED, f"beyond the limit, but {cell.verdict.reason}", cell.verdict.next_step
    if breaks:
        return Judgement.BROKEN, "", ""
    return Judgement.UNDECIDED, "the interval straddles the limit", deciding(cell, name, found, limit)


def _ends(found: Metric) -> Interval | None:
    if found.ci_low is None or found.ci_high is None:
        return None
    return Interval(found.ci_low, found.ci_high)


def shown(name: str, value: float | None) -> str:
    """Return a figure of a budget as people read it, without its unit: rates with four digits after the point."""
    return f"{value:.4f}" if value is not None and name in ("auc", "auc_drop") else number(value, 4)


# --- what is missing, and what would decide ---


def _missing(run: Run, cell: Cell, name: str) -> Judged:
    if BUDGETS[name].of_device and run.target(cell.key.target).emulated:
        reason = "an emulator's times and memory say nothing of a device"
        return Judgement.NOT_MEASURED, reason, "measure on the device itself"
    if cell.outcome is not Outcome.OK:
        reason = f"the cell is {cell.outcome}" + (f": {cell.reason}" if cell.reason else "")
        return Judgement.NOT_MEASURED, reason, cell.next_step
    timed = cell.metric("latency_p50", "end_to_end")
    if name in PERCENTILES and timed:
        needed = statistics.CARRIES[PERCENTILES[name]]
        reason = f"{name.partition('_')[0]} needs {needed} frames that count, there are {timed.n}"
        return Judgement.UNDECIDED, reason, "more rounds, or --full"
    if name == "auc_drop":
        parent = run.variant(cell.key.variant).parent
        if not parent:
            return Judgement.NOT_MEASURED, "the variant was made of no other", "name its parent in the manifest"
        reason = f"its parent {parent} has no scores on {cell.key.target}"
        return Judgement.NOT_MEASURED, reason, f"measure {parent} in the same run"
    return Judgement.NOT_MEASURED, "there is no such figure", ASKED_FOR.get(name, "")


def _more(cell: Cell, name: str) -> str:
    if name in ("auc", "auc_drop"):
        return "more faces, of ten persons or clips at least"
    needed = statistics.ROUNDS_OF_PERCENTILE if name in PERCENTILES else 2
    return f"at least {needed} rounds of a run that is not quick; {len(counted(cell.rounds))} count"


def deciding(cell: Cell, name: str, found: Metric, limit: float) -> str:
    """Return what would make an interval that straddles a limit as narrow as its distance from it."""
    if name in ("auc", "auc_drop"):
        return _faces(found, limit)
    rounds = len(counted(cell.rounds))
    ends, value = _ends(found), found.value
    if ends is None or value is None or value <= 0 or limit <= 0:
        return ""
    needed = statistics.rounds_needed(ends, rounds, abs(math.log(value / limit)), MOST)
    if needed is None:
        return "the figure is as good as on the limit: no measuring decides this, another limit would"
    return f"about {max(1, needed - rounds)} more rounds: --rounds {max(needed, rounds + 1)}"


def _faces(found: Metric, limit: float) -> str:
    if found.value is None or found.ci_low is None or found.ci_high is None:
        return ""
    distance = abs(found.value - limit)
    reach = found.value - found.ci_low if limit < found.value else found.ci_high - found.value
    if distance * math.sqrt(MOST) <= reach:
        return "the figure is as good as on the limit: no number of faces decides this, another limit would"
    needed = math.ceil(found.n * (reach / distance) ** 2 / 10) * 10
    return f"about {max(needed, found.n + 10):,} faces instead of {found.n:,}"


# --- in words ---


def sentence(run: Run, check: BudgetCheck) -> str:
    """Return a check as a sentence: cell, figure, interval, limit and verdict; the next step is not in it."""
    cell = next(cell for cell in run.cells if cell.id == check.cell)
    word = str(check.verdict).replace("-", " ")
    return f"{check.budget} of {cell.key}: {word}: {held(check)}"


def held(check: BudgetCheck) -> str:
    """Return figure, interval and limit, and the reason where there is one: "41.2 (40.8 to 41.6), at most 33.3 ms"."""
    figure = "" if check.value is None else f"{measured(check)}, "
    return f"{figure}{limit_of(check)}" + (f": {check.reason}" if check.reason else "")


def measured(check: BudgetCheck) -> str:
    """Return the figure with its interval: "41.2 (40.8 to 41.6)"."""
    if check.ci_low is None or check.ci_high is None:
        return shown(check.budget, check.value)
    low, high = shown(check.budget, check.ci_low), shown(check.budget, check.ci_high)
    return f"{shown(check.budget, check.value)} ({low} to {high})"


def limit_of(check: BudgetCheck) -> str:
    """Return the limit: "at most 33.3 ms"."""
    unit = f" {check.unit}" if check.unit else ""
    return f"{'at most' if check.at_most else 'at least'} {check.limit:,.10g}{unit}"


def of(run: Run, verdict: Judgement) -> list[BudgetCheck]:
    """Return the checks of a run with one verdict."""
    return [check for check in run.budgets if check.verdict is verdict]


def counts(run: Run) -> str:
    """Return how many checks came to which verdict: "10 met, 1 broken, 1 undecided"."""
    found = [(verdict, len(of(run, verdict))) for verdict in Judgement]
    return ", ".join(f"{count} {str(verdict).replace('-', ' ')}" for verdict, count in found if count)
