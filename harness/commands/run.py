"""`edgerig run`."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgerig import toml
from harness import progress, workflow
from harness.commands import common
from harness.commands.common import Words
from harness.config import RunTable
from harness.devices import lease
from harness.planning import foresee, limits, prepare
from harness.planning.plan import Plan
from reports.figures import duration

wait_option = click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0),
    is_flag=False,
    flag_value=lease.FOR_EVER,
    default=0.0,
    metavar="[SECONDS]",
    help="Wait for devices that another controller has; for ever where no seconds are given.",
)


@click.command()
@click.argument("name", required=False)
@common.several(
    "--variants",
    of=Words(),
    help="Names, manifests, models, folders; 'shipped' for all that ship.  [default: six of them]",
)
@click.option("--faces", help="Folder or pack of faces.  [default: the shipped drawn faces]")
@common.several("--target", "targets", of=Words(), help="Targets, or tags.  [default: x86, this machine]")
@common.several(
    "--runtime", "runtimes", of=Words(), help="Runtimes, or RUNTIME==VERSION.  [default: that of the format]"
)
@common.several("--provider", "providers", of=Words(), help="Providers, or PROVIDER?OPTION=VALUE.  [default: cpu]")
@common.threads_option
@click.option("--quick", "setting", flag_value="quick", help="Two short rounds, 200 faces: a look, not a measurement.")
@click.option("--full", "setting", flag_value="full", help="Rounds of 1,024 frames and 60 s, as MLPerf Mobile asks.")
@click.option("--sample", type=click.IntRange(1), metavar="N", help="Use about N faces for accuracy, stratified.")
@click.option("--seed", type=click.IntRange(0), metavar="S", help="Of the order of rounds, of samples.  [default: 0]")
@click.option(
    "--budget",
    "budget_s",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="No round beyond the fewest after so many seconds of a cell's.  [default: 60]",
)
@click.option(
    "--baseline",
    metavar="RUN|DIR|promoted",
    help="Measure the files of an earlier run, or the variants of a folder, beside it and decide what got worse.",
)
@click.option(
    "--measure-unchanged", is_flag=True, default=None, help="Also compare where the baseline's files are the same."
)
@click.option("--fresh", is_flag=True, default=None, help="Measure emulated cells again of which nothing has changed.")
@common.rounds_option
@click.option(
    "--half-width",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    help="More rounds while p50's interval is wider.  [default: 0.01]",
)
@common.require_option
@click.option(
    "--refit-threshold",
    is_flag=True,
    default=None,
    help="Fit each threshold on validation faces too: a second column.",
)
@click.option("--profile", "operators", is_flag=True, default=None, help="Add a per-operator profile to each cell.")
@click.option("--sustain", "sustain_s", type=common.Seconds(), help="Then run so long without a pause: 30m, 90s, 1h.")
@click.option("--fps", type=click.FloatRange(0, min_open=True), metavar="N", help="Then be sent N frames a second.")
@click.option("--streams", type=click.IntRange(1), metavar="N", help="By so many cameras.  [default: 1]")
@click.option("--race", is_flag=True, default=None, help="Drop variants that are beaten in everything, or over budget.")
@click.option("--finish-by", metavar="TIME", help="Be done by then (06:30, 2h); what waits longest comes first.")
@click.option("--tag", metavar="T", help="A word of yours that is kept with the run.")
@common.out_option
@common.config_option
@wait_option
@click.option("--dry-run", is_flag=True, help="Print cells, megabytes and minutes, and measure nothing.")
@common.json_option
def run(
    name: str | None,
    out: Path | None,
    config_path: Path | None,
    wait_s: float,
    dry_run: bool,
    as_json: bool,
    required: tuple[str, ...],
    **options: Any,
) -> int:
    """Measure variants on targets and write RUNS/<id>/ with report.html, cells.csv, results.csv and run.json.

    NAME is a [runs.NAME] of edgerig.toml; options outrank its keys. Every result is on the disk before the next is
    measured: a run that was cut short goes on with `edgerig resume`.
    """
    space = common.workspace(config_path)
    given = {key: value for key, value in options.items() if value not in (None, ())}
    configured = space.run_table(name).model_dump()
    budgets = limits.over(configured["budgets"], limits.parsed(required))
    table = toml.validated(RunTable, {**configured, **given, "budgets": budgets}, "the command line")
    runs, argv = common.runs_folder(space, out), ["edgerig", *sys.argv[1:]]
    planned = prepare.prepared(space, table, runs, name=name, argv=argv)
    if dry_run:
        return _print_plan(planned, as_json)
    for warning in planned.warnings:
        common.stderr().print(f"Note: {warning}", markup=False, highlight=False, soft_wrap=True)
    with stoppable():
        teller = progress.shown_on(common.stderr())
        measured, folder = workflow.start(planned, runs, teller, wait_s)
    return common.print_run(measured, folder, as_json)


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Say how to go on when a run is stopped."""
    try:
        yield
    except KeyboardInterrupt as stop:
        for folder in getattr(stop, "__notes__", []):
            again = f"edgerig resume {shlex.quote(common.shown(Path(folder)))}"
            click.echo(f"\nStopped; what was measured is kept. To go on: {again}", err=True)
        raise


def _print_plan(planned: Plan, as_json: bool) -> int:
    rows = [_foreseen(planned, target.name) for target in planned.targets]
    if as_json:
        cells = [{**cell.key.model_dump(), "id": cell.id, "unsupported": cell.unsupported} for cell in planned.cells]
        found = {"targets": rows, "cells": cells, "warnings": list(planned.warnings)}
        common.print_json({**found, "budgets": planned.budgets, "undecidable": foresee.undecidable(planned)})
        return 0
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(_cells_table(planned))
    for row in rows:
        low, high = duration(row["seconds_least"]), duration(row["seconds_most"])
        time = low if low == high else f"{low} to {high}"
        megabytes = f"at most {row['push_bytes'] / 1e6:.1f} MB to push"
        console.print(f"{row['target']}: {row['cells']} cells, {megabytes}, {time}", markup=False, highlight=False)
    for warning in (*planned.warnings, *foresee.undecidable(planned)):
        console.print(f"Note: {warning}", markup=False, highlight=False)
    return 0


def _foreseen(planned: Plan, target: str) -> dict[str, Any]:
    least, most = planned.seconds(target)
    cells = [cell for cell in planned.cells_on(target) if not cell.unsupported]
    return {
        "target": target,
        "cells": len(cells),
        "push_bytes": planned.push_bytes(target),
        "seconds_least": round(least, 1),
        "seconds_most": round(most, 1),
    }


def _cells_table(planned: Plan) -> Table:
    table = Table("variant", "target", "runtime", "provider", "threads", "")
    for cell in planned.cells:
        key = cell.key
        words = (key.variant, key.target, key.runtime, key.provider, str(key.threads), cell.unsupported)
        table.add_row(*(Text(word) for word in words))
    return table
