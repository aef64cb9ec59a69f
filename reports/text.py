"""A run for terminals (80 columns suffice), for notebooks, and as data frames."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

from reports import (
    agreement,
    bought,
    budgets,
    choice,
    comparison_view,
    endurance,
    energy,
    engines,
    figures,
    instructions,
    peers,
    tables,
)
from reports.headline import headline
from reports.nights import sentence
from reports.records import Cell, Judgement, Night, Outcome, Run, Target

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import RenderableType
    from rich.table import Table

_COLOURS = {"ok": "green", "trusted": "green", "skipped": "dim", "unsupported": "dim", "emulated": "dim"}
_LOUD = {1: "red", 3: "yellow", 4: "red"}  # by exit code


def summary(run: Run) -> RenderableType:
    """Return headline, one table a target, and the reasons of what is not ok, for a rich console."""
    from rich.console import Group  # noqa: PLC0415  rich, pandas and jinja2 are loaded by those who use them
    from rich.text import Text  # noqa: PLC0415

    parts: list[RenderableType] = [Text(run.headline or headline(run), style="bold")]
    parts += [table(run, target) for target in run.targets if _cells(run, target)]
    parts += [comparisons(run)] if run.comparisons else []
    parts += [budget_table(run)] if any(check.verdict is not Judgement.MET for check in run.budgets) else []
    parts += [Text(line) for line in choice.sentences(run)] if run.budgets else []
    told = (bought, instructions, engines, energy, agreement, endurance, peers)
    parts += [Text(line) for about in told for line in about.sentences(run)]
    parts += [Text(line) for line in figures.notes(run)]
    parts += [Text(line, style="yellow") for line in (*reasons(run), *run.warnings)]
    parts += night_lines(run.night) if run.night else []
    return Group(*parts)


def as_text(run: Run, width: int = 80, color: bool = False) -> str:
    """Return the summary as lines of at most `width` columns, with ANSI colours if asked."""
    from rich.console import Console  # noqa: PLC0415

    stream = io.StringIO()
    console = Console(
        file=stream,
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        legacy_windows=False,
    )
    console.print(summary(run))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def table(run: Run, target: Target) -> Table:
    """Return the cells of a target, a row each; figures that are missing are "–"."""
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    cells = _cells(run, target)
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 0), title=Text(_title(target, cells)), title_justify="left")
    shown.add_column("variant", overflow="fold", min_width=12)
    columns = _columns(run, target)
    for name in columns:
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("trust", no_wrap=True)
    mixed = len({(cell.key.runtime, cell.key.provider) for cell in cells}) > 1
    for cell in cells:
        name = cell.key.variant + (f"\n {cell.key.runtime} {cell.key.provider}" if mixed else "")
        word = figures.standing(cell)
        standing = Text(word, style=_COLOURS.get(word, "yellow"))
        shown.add_row(Text(name), *(Text(figure(cell)) for figure in columns.values()), standing)
    return shown


def _columns(run: Run, target: Target) -> dict[str, Callable[[Cell], str]]:
    """Return the columns of a target's table that are figures: as many as 80 columns have room for.

    Frames per second of an emulator are good for nothing; instructions, where they are counted, are. Where packed sizes
    need the room, frames per second, the reciprocal of p50, are left out.
    """
    packed = figures.packed(run)
    columns: dict[str, Callable[[Cell], str]] = {"thr": lambda cell: str(cell.key.threads), "p50 ms": figures.latency}
    if not target.emulated:
        columns["finds"] = bought.detectable
    columns["p95"] = lambda cell: figures.number(cell.value("latency_p95", "end_to_end"))
    if target.emulated:
        columns["M instr"] = lambda cell: instructions.millions(cell, "end_to_end")
    elif not packed:
        columns["fps"] = lambda cell: figures.number(cell.value("fps", "end_to_end"))
    columns["MiB"] = figures.memory
    columns["AUC"] = lambda cell: figures.rate(cell.metric("auc", "all"))
    columns["MB"] = lambda cell: figures.megabytes(run, cell)
    if packed:
        columns["packed"] = lambda cell: figures.packed_megabytes(run, cell)
    return columns


def comparisons(run: Run) -> Table:
    """Return the comparisons with the baseline, a row each, what is worst first."""
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    title = f"against {comparison_view.against(run)}"
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 0), title=Text(title), title_justify="left")
    shown.add_column("cell", overflow="fold", min_width=12)
    shown.add_column("decision", no_wrap=True)
    for name in ("p50", "pairs", "finds", "AUC", "flips"):
        shown.add_column(name, justify="right")
    for row in comparison_view.rows(run):
        style = {"regression": "red", "improvement": "green", "same": "green"}.get(row.word, "yellow")
        p50 = f"{row.p50}\n{row.bounds}" if row.bounds else row.p50
        shown.add_row(Text(row.cell), Text(row.word, style=style), p50, row.pairs, row.finds, row.auc, row.flips)
    return shown


def night_lines(night: Night) -> list[RenderableType]:
    """Return what a night was, and its findings, a line each."""
    from rich.text import Text  # noqa: PLC0415

    head = Text(sentence(night), style="bold " + _LOUD.get(night.exit_code, "green"))
    findings = [
        Text.assemble((f"  {finding.level:>7}  ", _LOUD.get(finding.exit_code, "dim")), finding.text)
        for finding in night.findings
    ]
    return [head, *findings]


def budget_table(run: Run) -> Table:
    """Return the budgets that are not met, a row each, with what would decide those that are undecided."""
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    keys = {cell.id: cell.key for cell in run.cells}
    title = Text(f"Budgets: {budgets.counts(run)}")
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title=title, title_justify="left", show_header=False)
    shown.add_column(no_wrap=True)
    shown.add_column(overflow="fold")
    for check in run.budgets:
        if check.verdict is not Judgement.MET:
            said = f"{check.budget} of {keys[check.cell]}: {budgets.held(check)}"
            step = f" -> {check.next_step}" if check.next_step else ""
            word = str(check.verdict).replace("-", " ")
            shown.add_row(Text(word, style="red" if word == "broken" else "yellow"), Text(said + step))
    return shown


def reasons(run: Run) -> list[str]:
    """Return a line for each cell that is not ok or not trusted: why, and what to do next."""
    lines = []
    for cell in run.cells:
        if cell.outcome is not Outcome.OK:
            lines.append(_reason(f"{cell.key}: {cell.outcome}", cell.reason, cell.next_step))
        elif cell.verdict and cell.verdict.trust != "trusted" and cell.role == "candidate":
            verdict = cell.verdict
            lines.append(_reason(f"{cell.key}: {verdict.trust}", verdict.reason, verdict.next_step))
    undecided = (row for row in comparison_view.rows(run) if row.step)
    return [*lines, *(_reason(f"{row.cell}: {row.word}", row.why, row.step) for row in undecided)]


def to_frames(run: Run) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return cells (a row a cell) and results (a row a figure) as data frames, columns as in the CSV files.

    What was not measured is NaN or None; no name is changed as it is for spreadsheets.
    """
    import pandas as pd  # noqa: PLC0415

    cells = pd.DataFrame(list(tables.cell_rows(run)), columns=list(tables.CELL_COLUMNS))
    results = pd.DataFrame(list(tables.result_rows(run)), columns=list(tables.RESULT_COLUMNS))
    return cells, results


def notebook(run: Run) -> str:
    """Return headline and table as a piece of HTML, everything escaped: for `_repr_html_`."""
    from markupsafe import Markup, escape  # noqa: PLC0415

    head = Markup("").join(Markup("<th>{}</th>").format(name) for name in ("target", *_names(run)))
    rows = Markup("").join(_html_row((cell.key.target, *_row(run, cell), figures.standing(cell))) for cell in run.cells)
    title = escape(run.headline or headline(run))
    return f"<p><strong>{title}</strong></p><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _names(run: Run) -> tuple[str, ...]:
    packed = ("packed MB",) if figures.packed(run) else ()
    return ("variant", "threads", "p50 ms", "finds", "p95 ms", "fps", "peak MiB", "AUC", "size MB", *packed, "trust")


def _html_row(values: tuple[str, ...]) -> str:
    from markupsafe import Markup  # noqa: PLC0415

    cells = Markup("").join(Markup("<td>{}</td>").format(value) for value in values)
    return Markup("<tr>{}</tr>").format(cells)


def _row(run: Run, cell: Cell) -> tuple[str, ...]:
    return (
        cell.key.variant,
        str(cell.key.threads),
        figures.latency(cell),
        bought.detectable(cell),
        figures.number(cell.value("latency_p95", "end_to_end")),
        figures.number(cell.value("fps", "end_to_end")),
        figures.memory(cell),
        figures.rate(cell.metric("auc", "all")),
        figures.megabytes(run, cell),
        *([figures.packed_megabytes(run, cell)] if figures.packed(run) else []),
    )


def _cells(run: Run, target: Target) -> list[Cell]:
    return [cell for cell in run.cells if cell.key.target == target.name]


def _title(target: Target, cells: list[Cell]) -> str:
    ran = sorted({f"{cell.key.runtime} {cell.key.provider}" for cell in cells})
    device = f" ({target.device})" if target.device else ""
    emulated = ", emulated: times are not those of a device" if target.emulated else ""
    return f"{target.name}{device}, {', '.join(ran)}{emulated}"


def _reason(what: str, why: str, step: str) -> str:
    return what + (f": {why}" if why else "") + (f" -> {step}" if step else "")
