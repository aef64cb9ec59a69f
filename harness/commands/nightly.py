"""`edgerig nightly`: run, compare, decide, report, and an exit code that is red only when something broke."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from edgerig.errors import RunError
from harness import progress, state, workflow
from harness.commands import common
from harness.commands.common import Words
from harness.commands.run import stoppable, wait_option
from harness.config import RunTable, Workspace
from harness.findings import chronicle, retention
from harness.planning import baselines, prepare
from reports import files as reports_files
from reports.formats import FORMATS, github
from reports.history import History


@click.command()
@click.argument("name", required=False)
@click.option("--judge", "judged", metavar="RUN", help="Measure nothing: judge this run of NAME again, as of today.")
@common.several("--format", "formats", of=Words(), help=f"More files: {', '.join(FORMATS)}.")
@common.summary_option
@common.out_option
@common.config_option
@wait_option
@common.json_option
def nightly(
    name: str | None,
    judged: str | None,
    out: Path | None,
    config_path: Path | None,
    wait_s: float,
    as_json: bool,
    **files: Any,
) -> int:
    """Measure NAME, a [runs.NAME] of edgerig.toml, compare it with its promoted baseline, and judge the night.

    Exit codes: 1 a regression or a broken budget that nobody accepted; 3 a cell failed, more devices are missing than
    missing_ok allows, or a cell has been silent for silent_nights; 4 nothing was measured; 0 otherwise.
    """
    common.known_formats(files["formats"])
    page = common.summary_page() if files["summary"] else None
    space = common.workspace(config_path)
    _require_name(space, name)
    table, runs = space.run_table(name), common.runs_folder(space, out)
    with chronicle.open_history(space, runs) as history:  # before anything is measured: a night must be kept
        compared = _compared(table, history, name)
        folder = _night_of(name, runs, judged) if judged else _measured(space, name, compared, runs, wait_s)
        run = chronicle.judge(folder, name or "", table, history, datetime.now(UTC))
        reports_files.write(run, folder, files["formats"])
        _retire(space, runs, history, folder)
    if page:
        github.append(run, page)
    return common.print_run(run, folder, as_json)


def _require_name(space: Workspace, name: str | None) -> None:
    """Refuse a night without a name where the configuration has some: its history would be another one's."""
    if name is None and space.config.runs:
        raise click.UsageError(f"which night? edgerig.toml has: {', '.join(sorted(space.config.runs))}.")
    if name is None:
        note = "Note: no [runs.NAME] is asked for: shipped variants are measured on this machine."
        common.stderr().print(note, markup=False, highlight=False)  # markup would swallow the brackets


def _compared(table: RunTable, history: History, name: str | None) -> RunTable:
    """Return the table with the promoted baseline where it names none; the first night has nothing to compare with."""
    known = history.promoted(name or "") is not None
    if table.baseline is None or (table.baseline == baselines.PROMOTED and not known):
        return table.model_copy(update={"baseline": baselines.PROMOTED if known else None})
    return table


def _night_of(name: str | None, runs: Path, judged: str) -> Path:
    """Return the folder of a run of NAME; another one's figures would stand in the history as a night of it."""
    folder = workflow.find_run(runs, judged)
    plan = state.read(folder).plan
    if plan.name != (name or ""):
        whose = f"is a run of '{plan.name}'" if plan.name else "was measured without a name"
        raise RunError(f"{plan.id} {whose}, and no night of '{name or ''}'.", "`edgerig list runs` names the others.")
    return folder


def _measured(space: Workspace, name: str | None, table: RunTable, runs: Path, wait_s: float) -> Path:
    planned = prepare.prepared(space, table, runs, name=name, argv=["edgerig", *sys.argv[1:]])
    for warning in planned.warnings:
        common.stderr().print(f"Note: {warning}", markup=False, highlight=False, soft_wrap=True)
    night = planned.model_copy(update={"night": True})
    with stoppable():
        _, folder = workflow.start(night, runs, progress.shown_on(common.stderr()), wait_s)
    return folder


def _retire(space: Workspace, runs: Path, history: History, judged: Path) -> None:
    """Remove the runs that the configuration does not want to keep, but the one that was just judged.

    That one seems old where it is judged again, or where the clock was set back.
    """
    found = retention.removable(runs, space.config.store, history, datetime.now(UTC))
    old = [entry for entry in found if entry.folder.resolve() != judged.resolve()]
    freed = sum(retention.remove(entry, runs) for entry in old)
    if old:
        click.echo(f"Removed {len(old)} old runs, {freed / 1e6:.1f} MB, as [store] says.", err=True)
