"""Which runs may go: those beyond what [store] keeps, and never what somebody decided by."""

from __future__ import annotations

import fcntl
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edgerig.errors import EdgerigError, OutputError
from harness import journal, state, workflow
from harness.config import Store
from harness.planning.plan import Plan
from reports.history import History


@dataclass(frozen=True)
class Old:
    """A run that may go."""

    folder: Path
    started: str
    bytes: int


def removable(runs: Path, store: Store, history: History, now: datetime) -> list[Old]:
    """Return the runs that need not be kept, the oldest first; none where [store] names no limit.

    A run is kept while it is among the newest `keep_runs`, or younger than `keep_days`, or a baseline ever promoted, or
    the night by which something was accepted that still holds, or at work, or damaged: somebody should look at it.
    """
    if store.keep_runs is None and store.keep_days is None:
        return []
    folders, kept = workflow.run_folders(runs), _decided_by(history, now)
    older = folders[: -store.keep_runs] if store.keep_runs else folders
    since = (now - timedelta(days=store.keep_days)).isoformat() if store.keep_days else "9"
    plans = [(folder, plan) for folder in older if not folder.is_symlink() and (plan := _plan(folder))]
    return [
        Old(folder, plan.started, _size(folder))
        for folder, plan in plans
        if plan.id not in kept and plan.started < since and not _at_work(folder)  # the folder may have another name
    ]


def _decided_by(history: History, now: datetime) -> set[str]:
    today = now.astimezone(UTC).date().isoformat()
    accepted = {entry.run for entry in history.acceptances() if entry.until >= today}
    return accepted | {entry.run for entry in history.promotions()}


def _plan(folder: Path) -> Plan | None:
    try:
        return state.read(folder).plan
    except EdgerigError:
        return None


def _at_work(folder: Path) -> bool:
    with (folder / journal.NAME).open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def remove(old: Old, runs: Path) -> int:
    """Remove a run's folder, which lies in `runs`, and return the bytes that it took; raises OutputError."""
    assert old.folder.parent == runs, "only runs of this folder are removed"
    try:
        for path in old.folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != journal.NAME:
                path.unlink()
        (old.folder / journal.NAME).unlink()  # last: until then the run is listed, and its removal can go on
        old.folder.rmdir()
    except OSError as error:
        raise OutputError(f"{old.folder} cannot be removed: {error.strerror or error}.") from error
    return old.bytes
