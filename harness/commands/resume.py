"""`edgerig resume`: what a run is missing is measured, and a night is judged where it is one's."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from pathlib import Path

import click

from harness import progress, state, workflow
from harness.commands import common
from harness.commands.run import stoppable, wait_option
from harness.config import Workspace
from harness.state import State
from reports.records import Run


@click.command()
@click.argument("run_name", metavar="RUN")
@common.out_option
@common.config_option
@wait_option
@common.json_option
def resume(run_name: str, out: Path | None, config_path: Path | None, wait_s: float, as_json: bool) -> int:
    """Measure what is missing in RUN: a folder, an id, the beginning of an id, or "latest".

    A run of `edgerig nightly` is judged as the night that it is, and ends with that night's exit code.
    """
    space = common.workspace(config_path)
    folder = workflow.find_run(common.runs_folder(space, out), run_name)
    known = state.read(folder)
    job = _job(known)
    if job is None or (known.finished and known.night):  # what was decided then holds
        return common.print_run(_measured(folder, wait_s), folder, as_json)
    if job and job not in space.config.runs:
        return _without_its_night(job, space, folder, wait_s, as_json)
    return common.print_run(_judged(job, space, folder, wait_s), folder, as_json)


def _job(known: State) -> str | None:
    """Return the [runs.NAME] whose night a run is, "" for none of a name, None for a run that is no night."""
    if known.night:
        return known.night.job
    return known.plan.name if known.plan.night else None


def _measured(folder: Path, wait_s: float) -> Run:
    with stoppable():
        return workflow.resume(folder, progress.shown_on(common.stderr()), wait_s)[0]


def _judged(job: str, space: Workspace, folder: Path, wait_s: float) -> Run:
    from harness.findings import chronicle  # noqa: PLC0415 - with SQLAlchemy, for those who have nights

    with chronicle.open_history(space, folder.parent) as history:  # before anything is measured: a night must be kept
        _measured(folder, wait_s)
        return chronicle.judge(folder, job, space.run_table(job or None), history, datetime.now(UTC))


def _without_its_night(job: str, space: Workspace, folder: Path, wait_s: float, as_json: bool) -> int:
    """Measure a night of which the configuration knows nothing, and say what judges it."""
    run = _measured(folder, wait_s).model_copy(update={"night": None})  # what was judged before was of less
    code = common.print_run(run, folder, as_json)
    where = f"{space.path} has no" if space.path else "there is no edgerig.toml with"
    judge = f"edgerig nightly {job} --judge {shlex.quote(common.shown(folder))}"
    note = f"Note: this exit code is not the night's: {where} [runs.{job}]. With it: {judge}"
    common.stderr().print(note, markup=False, highlight=False, soft_wrap=True)
    return code
