"""The big table of a report: a row a cell, grouped by target."""

from __future__ import annotations

from dataclasses import dataclass, field

from reports import bought, figures
from reports.charts import Style
from reports.records import Cell, Metric, Outcome, Run, Target


@dataclass(frozen=True)
class Row:
    """A cell as a row of the big table."""

    cell: Cell
    techniques: str
    look: Style | None
    megabytes: float | None
    packed: float | None  # MB
    p50: Metric | None
    share: float  # of the slowest p50 of the group, for the bar
    standing: str
    finds: str
    why: str
    step: str
    bought: str


@dataclass(frozen=True)
class Group:
    """The rows of a target."""

    target: Target
    rows: list[Row] = field(default_factory=list)


def groups(run: Run, looks: dict[str, Style]) -> list[Group]:
    """Return the rows of each target that has any."""
    known = {target.name: target for target in run.targets}
    groups = {name: Group(target) for name, target in known.items()}
    emulated = {target.name for target in run.targets if target.emulated}
    slowest: dict[str, float] = {}
    for cell in run.cells:
        name = cell.key.target
        slowest[name] = max(slowest.get(name, 0.0), cell.value("latency_p50", "end_to_end") or 0.0)
    for cell in sorted(run.cells, key=lambda cell: order(cell, cell.key.target in emulated)):
        if cell.key.target in groups:
            groups[cell.key.target].rows.append(row(run, cell, looks, slowest[cell.key.target]))
    return [group for group in groups.values() if group.rows]


def order(cell: Cell, emulated: bool = False) -> tuple[int, float, str]:
    """Return the place of a cell: by threads, then by time, or by name where the time is an emulator's."""
    if emulated:
        return cell.key.threads, 0.0, cell.key.variant
    return cell.key.threads, cell.value("latency_p50", "end_to_end") or float("inf"), cell.key.variant


def row(run: Run, cell: Cell, looks: dict[str, Style], slowest: float) -> Row:
    """Return a cell as a row; its bar is a share of `slowest` ms."""
    variant = next((one for one in run.variants if one.name == cell.key.variant), None)
    p50 = cell.metric("latency_p50", "end_to_end")
    failed = cell.outcome is not Outcome.OK
    verdict = cell.verdict
    emulated = any(target.emulated for target in run.targets if target.name == cell.key.target)
    return Row(
        cell=cell,
        techniques=", ".join(variant.techniques) if variant else "",
        look=looks.get(cell.key.variant),
        megabytes=variant.bytes / 1e6 if variant else None,
        packed=variant.packed_bytes / 1e6 if variant and variant.packed_bytes is not None else None,
        p50=p50,
        share=(p50.value or 0.0) / slowest if p50 and slowest else 0.0,
        standing=figures.standing(cell),
        finds=bought.detectable(cell),
        why=cell.reason if failed or verdict is None else verdict.reason,
        step=cell.next_step or ("" if failed or verdict is None else verdict.next_step),
        bought="" if emulated else bought.sentence(cell, run.method),
    )
