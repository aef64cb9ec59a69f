"""Where the history is, and how a night gets into it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from sqlalchemy import URL

from edgerig import files
from edgerig.errors import TargetError
from harness import state, workflow
from harness.config import RunTable, Workspace
from harness.findings import collect
from harness.journal import Journal
from reports import files as reports_files
from reports import nights, worse
from reports.history import History, in_file, parsed_url
from reports.nights import Facts
from reports.records import Run
from targets import connect
from targets.profile import Target

FILE = "edgerig-history.sqlite"


def open_history(space: Workspace, runs: Path) -> History:
    """Return the history of a workspace: [store] history, or a file beside the folder of runs.

    Raises:
        UserError: as of `History`.
        HistoryUnusable: as of `History`.
    """
    return History(url(space, runs))


def url(space: Workspace, runs: Path) -> URL:
    """Return the URL of the history; the path of a SQLite file is relative to edgerig.toml. Raises ConfigError."""
    asked = space.config.store.history
    if asked is None:
        return in_file(files.make_folder(runs.resolve().parent) / FILE)
    parsed = parsed_url(asked)
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        return parsed
    return parsed.set(database=str((space.folder / parsed.database).resolve()))


def judge(folder: Path, job: str, table: RunTable, history: History, now: datetime) -> Run:
    """Judge a night's run, keep that in its journal and in the history, and render the run's files again.

    Args:
        folder: of the run, which nobody is measuring.
        job: [runs.NAME], "" for none.
        table: what that says of missing and silent.
        history: of the nights before.
        now: its day decides what is still accepted.

    Raises:
        RunError: it is no run's folder, or somebody is at work on it.
        HistoryUnusable: the run is not judged, and can be.
    """
    with Journal(folder) as book:
        known = state.read(folder)
        run = collect.collect(known, folder)
        known.night = nights.judge(run, _facts(run, job, table, known.plan.targets, history), now)
        run = collect.collect(known, folder)
        history.add(run, worse.words(run))  # first: a resume does not judge again what the journal says was judged
        book.append("night", night=known.night.model_dump(mode="json"))
    reports_files.write(run, folder, workflow.FORMATS)
    return run


def _facts(run: Run, job: str, table: RunTable, targets: tuple[Target, ...], history: History) -> Facts:
    earlier = [night.started for night in history.nights(job).values() if night.started < run.started]
    return Facts(
        job=job,
        baseline=worse.baseline(run),
        worse=tuple(worse.worse(run)),
        silent=nights.silent(run, history.known(job, run.started), earlier, table.silent_nights),
        accepted=history.acceptances(),
        groups={target.name: group for target in targets if (group := _group(target))},
        missing_ok=table.missing_ok,
    )


def _group(target: Target) -> str:
    """Return what a target hangs on; "" where its address cannot be read, which its own loss tells."""
    try:
        return connect.hangs_on(target)
    except TargetError:
        return ""
