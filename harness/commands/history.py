"""`edgerig history`, `accept` and `baseline`: what the nights found, and what people decided of it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgerig import files, toml
from edgerig.errors import ConfigError, RunError
from harness import workflow
from harness.commands import common
from harness.findings import chronicle, people, promotions
from reports import figures, patterns, trends
from reports.budgets import BUDGETS
from reports.history import METRICS, History
from reports.records import Acceptance, Key
from reports.trends import Trend

ACCEPTABLE = tuple(dict.fromkeys((*METRICS, *BUDGETS, "outcome", "silent")))

pattern_argument = click.argument("pattern", metavar="[CELL]", default="")


@click.command(name="history")
@pattern_argument
@click.option(
    "--metric",
    type=click.Choice(METRICS),
    default="p50_ms",
    show_default=True,
    help="Which figure; instructions: of an inference.",
)
@click.option("--name", "job", metavar="NAME", help="Only nights of [runs.NAME].")
@click.option("--html", "page", type=click.Path(path_type=Path), metavar="FILE", help="Write a page with charts.")
@common.out_option
@common.config_option
@common.json_option
def history_(
    pattern: str,
    metric: str,
    job: str | None,
    page: Path | None,
    out: Path | None,
    config_path: Path | None,
    as_json: bool,
) -> int:
    """Show how a figure went over the nights, for each CELL: VARIANT/TARGET/RUNTIME/PROVIDER/THREADS.

    Wildcards may stand in each part, and parts be left out at the end: `int8`, `*/pi4`. A night without a value is a
    gap, shown as "·".
    """
    with _opened(config_path, out) as history:
        nights = history.nights(job)
        if job is not None and not nights:
            _refuse_unknown(job, history)
        found, left_out = trends.trends(nights, history.cells(job, _chosen(history, job, pattern)), metric)
        if page:
            _write_page(page, found, history, job)
    if as_json:
        common.print_json([_record(trend) for trend in found])
        return 0
    _print_trends(found)
    if left_out:
        click.echo(
            f"Left out: {left_out} emulated cells, whose times say nothing. Try --metric instructions.", err=True
        )
    if not nights:
        click.echo("There is no history yet: `edgerig nightly` begins it.", err=True)
    if page:
        click.echo(f"\nPage: {common.shown(page.resolve())}")
    return 0


def _refuse_unknown(job: str, history: History) -> None:
    """Refuse the name of no night where there are nights of others: what is there is not to be called nothing."""
    known = {night.job for night in history.nights().values()}
    if known:
        hint = toml.nearest(job, known) or f"Names: {', '.join(sorted(filter(None, known))) or 'none has one'}."
        raise ConfigError(f"the history has no night of '{job}'.", hint)


def _opened(config_path: Path | None, out: Path | None) -> History:
    space = common.workspace(config_path)
    return chronicle.open_history(space, common.runs_folder(space, out))


def _chosen(history: History, job: str | None, pattern: str) -> list[str] | None:
    """Return the ids of the cells that are meant, None for all; raises ConfigError where there are none."""
    known = history.known(job) if pattern else []
    chosen = [entry.cell for entry in known if patterns.matches(pattern, entry.key)]
    if known and not chosen:
        raise _no_cell(pattern, [entry.key for entry in known])
    return chosen if pattern else None


def _no_cell(pattern: str, keys: list[Key]) -> ConfigError:
    variants = list(dict.fromkeys(key.variant for key in keys))
    near = toml.nearest(pattern.partition("/")[0], variants)
    return ConfigError(
        f"the history has no cell '{pattern}'.",
        near or "`edgerig history` names them: VARIANT/TARGET/RUNTIME/PROVIDER/THREADS.",
    )


def _write_page(page: Path, found: list[Trend], history: History, job: str | None) -> None:
    from reports import history_page  # noqa: PLC0415 - jinja2 and matplotlib take half a second

    nights = list(history.nights(job).values())
    text = history_page.render(found, nights, history.acceptances(), history.promotions())
    files.write(page, text.encode())


def _record(trend: Trend) -> dict[str, Any]:
    return {
        "cell": patterns.path(trend.key),
        **trend.key.model_dump(),
        "job": trend.job,
        "metric": trend.metric,
        "values": [asdict(value) for value in trend.values],
    }


def _print_trends(found: list[Trend]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    for trend in found:
        name = f"{patterns.path(trend.key)}" + (f"  ({trend.job})" if trend.job else "")
        console.print(Text(name, style="bold"), soft_wrap=True)
        console.print(Text(f"  {_line(trend)}"), soft_wrap=True)
        for value in trend.values:
            for change in value.changes:
                console.print(Text(f"  {value.started[:10]}: {change}", style="dim"), soft_wrap=True)


def _line(trend: Trend) -> str:
    known = trend.known
    if not known:
        return f"no value in {trend.gaps} nights"
    ends = f"{figures.number(known[0].value)} → {figures.number(known[-1].value)} {trend.metric}"
    share = f" ({trends.change(trend)})" if trend.ratio is not None else ""
    gaps = f", {trend.gaps} gap{'s' * (trend.gaps != 1)}" if trend.gaps else ""
    nights = f"{len(trend.values)} night{'s' * (len(trend.values) != 1)}"
    return f"{trends.sparkline([value.value for value in trend.values])}  {ends}{share}, {nights}{gaps}"


# -- accepting


@click.command()
@pattern_argument
@click.option("--until", metavar="DATE", help="The last day on which this holds, as 2026-12-31.")
@click.option("--reason", metavar="TEXT", help="Why, for those who read the report.")
@click.option("--metric", metavar="NAME", default="", help="Of this figure only; or 'outcome', or 'silent'.")
@click.option("--list", "listing", is_flag=True, help="List what was accepted.")
@common.out_option
@common.config_option
@common.json_option
def accept(pattern: str, listing: bool, out: Path | None, config_path: Path | None, as_json: bool, **word: Any) -> int:
    """Accept that each CELL is worse until a day: shown in reports, not red; then red again.

    Without --metric this is about all its figures and budgets; a crash is accepted with `--metric outcome`, a cell
    that does not report any more with `--metric silent`. The newest word on a cell and figure holds.
    """
    with _opened(config_path, out) as history:
        if not listing:
            _accept(history, pattern, **word)
        rows = [entry for entry in history.acceptances() if patterns.matches(pattern, entry.key)]
    if as_json:
        common.print_json([{"cell": patterns.path(entry.key), **entry.model_dump()} for entry in rows])
    elif listing:
        _print_acceptances(rows)
    return 0


def _accept(history: History, pattern: str, until: str | None, reason: str | None, metric: str) -> None:
    if not (pattern and until and reason):
        raise click.UsageError("accepting needs a CELL, --until DATE and --reason TEXT; --list shows what is accepted.")
    if metric and metric not in ACCEPTABLE:
        raise ConfigError(
            f"there is no figure '{metric}'.", toml.nearest(metric, ACCEPTABLE) or f"Known: {', '.join(ACCEPTABLE)}."
        )
    last = _day(until)
    keys = patterns.chosen(pattern, [known.key for known in history.known()])
    if not keys:
        raise _no_cell(pattern, [known.key for known in history.known()])
    latest = list(history.nights().values())[-1]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    told = {"metric": metric, "until": last, "reason": reason, "author": people.author()}
    history.accept(Acceptance(key=key, accepted=now, run=latest.run, **told) for key in keys)
    for key in keys:
        click.echo(f"Accepted until {last}: {patterns.path(key)}" + (f", {metric}" if metric else ""), err=True)


def _day(text: str) -> str:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"'{text}' is no day.", "Write it as 2026-12-31.") from error
    if day < datetime.now(UTC).date():
        raise ConfigError(f"{day} is in the past (days are those of UTC).")
    return day.isoformat()


def _print_acceptances(rows: list[Acceptance]) -> None:
    if not rows:
        click.echo("Nothing is accepted.", err=True)
        return
    today = datetime.now(UTC).date().isoformat()
    table = Table("cell", "figure", "until", "", "reason", "by")
    for entry in rows:
        state = "holds" if entry.until >= today else "ran out"
        words = (patterns.path(entry.key), entry.metric or "all", entry.until, state, entry.reason, entry.author)
        table.add_row(*(Text(word) for word in words))
    Console(width=None if sys.stdout.isatty() else 120).print(table)


# -- baselines


@click.group()
def baseline() -> None:
    """Promote a run to what nights are compared with, or show which is."""


@baseline.command()
@click.argument("run_name", metavar="RUN")
@click.option("--reason", metavar="TEXT", default="", help="Why, for those who read the report.")
@click.option("--force", is_flag=True, help="Also where the run is unfinished or red.")
@common.out_option
@common.config_option
@common.json_option
def promote(run_name: str, reason: str, force: bool, out: Path | None, config_path: Path | None, as_json: bool) -> int:
    """Compare coming nights with RUN: a folder, an id, the beginning of an id, or "latest"."""
    space = common.workspace(config_path)
    runs = common.runs_folder(space, out)
    folder = workflow.find_run(runs, run_name)
    with chronicle.open_history(space, runs) as history:
        done = promotions.promote(history, folder, reason, force)
    if as_json:
        common.print_json(asdict(done))
    else:
        click.echo(f"{done.run} is the baseline of {_named(done.job)} now.")
    return 0


@baseline.command()
@common.out_option
@common.config_option
@common.json_option
def show(out: Path | None, config_path: Path | None, as_json: bool) -> int:
    """Show what was promoted, the newest first, and which holds."""
    space = common.workspace(config_path)
    runs = common.runs_folder(space, out)
    with chronicle.open_history(space, runs) as history:
        rows = list(reversed(history.promotions()))
    seen: set[str] = set()
    records = [{**asdict(row), "state": _state(row, runs, seen)} for row in rows]
    if as_json:
        common.print_json(records)
    elif not records:
        click.echo("No run is promoted yet: edgerig baseline promote RUN", err=True)
    else:
        _print_promotions(records)
    return 0


def _state(row: Any, runs: Path, seen: set[str]) -> str:
    if row.job in seen:
        return "before"
    seen.add(row.job)
    try:
        promotions.place(row, runs)
    except RunError:
        return "folder is gone"
    return "holds"


def _named(job: str) -> str:
    return f"'{job}'" if job else "runs without a name"


def _print_promotions(records: list[dict[str, Any]]) -> None:
    columns = ("job", "run", "state", "promoted", "reason", "author")
    table = Table("name", *columns[1:])
    for record in records:
        words = [str(record[column]) for column in columns]
        words[2] += ", forced" if record["forced"] else ""
        table.add_row(*(Text(word) for word in words))
    Console(width=None if sys.stdout.isatty() else 120).print(table)
