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
    folders = workflow.run_folders(runs)
    newest = folders[-store.keep_runs :] if store.keep_runs else []
    kept = {folder.name for folder in newest} | _decided_by(history, now)
    since = (now - timedelta(days=store.keep_days)).isoformat() if store.keep_days else "9"
    candidates = [folder for folder in folders if folder.name not in kept and not folder.is_symlink()]
    return [
        Old(folder, started, _size(folder))
        for folder in candidates
        if (started := _started(folder)) and started < since and not _at_work(folder)
    ]


def _decided_by(history: History, now: datetime) -> set[str]:
    today = now.astimezone(UTC).date().isoformat()
    accepted = {entry.run for entry in history.acceptances() if entry.until >= today}
    return accepted | {entry.run for entry in history.promotions()}


def _started(folder: Path) -> str:
    try:
        return state.read(folder).plan.started
    except EdgerigError:
        return ""


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
