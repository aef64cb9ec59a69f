"""The other sections of a report: budgets, choices, memory, conditions, operators, fingerprints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports import budgets as budget_checks
from reports import choice, figures
from reports.charts import Style
from reports.page import cells as rows
from reports.records import BudgetCheck, Cell, Choice, Fingerprint, Judgement, OperatorTime, Outcome, Run
from reports.trust import counted

_OPERATORS = 15


@dataclass(frozen=True)
class Held:
    """A budget held against a cell, as a row."""

    check: BudgetCheck
    cell: Cell
    limit: str
    value: str
    interval: str


def budgets(run: Run) -> list[Held]:
    """Return the checks, broken ones first, met ones last."""
    cells = {cell.id: cell for cell in run.cells}
    order = (Judgement.BROKEN, Judgement.UNDECIDED, Judgement.NOT_MEASURED, Judgement.MET)
    checks = sorted(run.budgets, key=lambda check: order.index(check.verdict))
    return [_held(check, cells[check.cell]) for check in checks]


def _held(check: BudgetCheck, cell: Cell) -> Held:
    value, _, interval = budget_checks.measured(check).partition(" (")
    return Held(check, cell, budget_checks.limit_of(check), value, interval.rstrip(")"))


@dataclass(frozen=True)
class Chosen:
    """What to ship on a target, and the cells that no other beats there."""

    choice: Choice
    sentence: str
    front: list[rows.Row]
    left_out: list[tuple[str, str]]


def choices(run: Run, looks: dict[str, Style]) -> list[Chosen]:
    """Return the choices on real targets that have a choice: more than one cell, or a budget."""
    names = {cell.id: str(cell.key) for cell in run.cells}
    found = []
    for one in run.choices:
        cells = [cell for cell in run.candidates if cell.key.target == one.target]
        if not run.target(one.target).emulated and (len(cells) > 1 or run.budgets):
            front = [rows.row(run, run.cell(id), looks, 0.0) for id in one.front]
            left = [(names[entry.cell], entry.reason) for entry in one.left_out]
            found.append(Chosen(one, choice.sentence(run, one), front, left))
    return found


def memory(run: Run) -> list[tuple[Cell, float]]:
    """Return the cells whose memory was measured, with their share of the largest peak."""
    peaks = [(cell, peak) for cell in run.cells if (peak := cell.value("vm_hwm_mb", "all"))]
    largest = max((peak for _, peak in peaks), default=1.0)
    return [(cell, peak / largest) for cell, peak in peaks]


@dataclass(frozen=True)
class Conditions:
    """What could be read of a device while a cell was timed."""

    cell: Cell
    rounds: int
    counted: int
    clock: str
    temperature: str
    load: str
    left_out: str


def conditions(run: Run) -> list[Conditions]:
    """Return the conditions under which each cell was measured."""
    return [_condition(cell) for cell in run.cells if cell.rounds]


def _condition(cell: Cell) -> Conditions:
    seen = [vitals for entry in cell.rounds for vitals in entry.vitals]
    bad = [entry for entry in cell.rounds if entry.tainted or entry.outcome is not Outcome.OK]
    return Conditions(
        cell=cell,
        rounds=len(cell.rounds),
        counted=len(counted(cell.rounds)),
        clock=_span([v.clock_mhz for v in seen if v.clock_mhz is not None]),
        temperature=_span([v.temperature_c for v in seen if v.temperature_c is not None]),
        load=_span([v.load_1m for v in seen if v.load_1m is not None]),
        left_out="; ".join(sorted({entry.tainted or entry.reason or str(entry.outcome) for entry in bad})),
    )


def _span(values: Sequence[float]) -> str:
    if not values:
        return figures.NONE
    low, high = figures.number(min(values)), figures.number(max(values))
    return low if low == high else f"{low} to {high}"


@dataclass(frozen=True)
class Profile:
    """The operators of a cell that take most of its time, and each one's share of it."""

    cell: Cell
    total: float
    types: list[OperatorTime]
    nodes: list[OperatorTime]


def profile(cell: Cell) -> Profile:
    """Return a cell's operators, by type and the slowest ones by name."""
    types: dict[str, list[OperatorTime]] = {}
    for operator in cell.operators:
        types.setdefault(operator.type, []).append(operator)
    summed = [
        OperatorTime(
            type=name,
            node=f"{len(group)} nodes",
            ms_per_frame=sum(one.ms_per_frame for one in group),
            calls_per_frame=sum(one.calls_per_frame for one in group),
        )
        for name, group in types.items()
    ]
    total = sum(one.ms_per_frame for one in cell.operators)
    return Profile(cell, total, _slowest(summed), _slowest(cell.operators))


def _slowest(operators: Sequence[OperatorTime]) -> list[OperatorTime]:
    return sorted(operators, key=lambda one: -one.ms_per_frame)[:_OPERATORS]


@dataclass(frozen=True)
class Fingerprints:
    """What is the same in all cells, and what is not."""

    same: dict[str, object]
    differing: list[str]
    rows: list[tuple[Cell, list[object]]]


def fingerprints(run: Run) -> Fingerprints:
    """Return what cells agree in, and what they differ in."""
    cells = [(cell, cell.fingerprint.model_dump()) for cell in run.cells if cell.fingerprint]
    values = {name: [content[name] for _, content in cells] for name in Fingerprint.model_fields} if cells else {}
    same = {name: found[0] for name, found in values.items() if len(set(found)) == 1}
    differing = [name for name in values if name not in same]
    return Fingerprints(same, differing, [(cell, [content[name] for name in differing]) for cell, content in cells])
