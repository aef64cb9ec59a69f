"""The journal: what happened in a run, one JSON object per line, durable before the next step begins.

It is the only truth of a run. Everything else in its folder but raw frames and scores is derived from it.

    {"event": "run", "plan": {...}}                      once, first
    {"event": "target", "target": ..., "identity": {...}}
    {"event": "check", "cell": ..., "outcome": ..., "reason": ..., "facts": {...}}
    {"event": "round", "cell": ..., "round": {...}}
    {"event": "cached", "cell": ..., "run": ...}         the events of an emulated cell are those of that run
    {"event": "again", "cell": ..., "round": {...}}      of a second session, which confirms what was flagged
    {"event": "memory", "cell": ..., "memory": {...}}
    {"event": "accuracy", "scores_id": ..., "accuracy": {...}}
    {"event": "validation", "scores_id": ..., "accuracy": {...}}
    {"event": "operators", "cell": ..., "operators": [...]}
    {"event": "sustained", "cell": ..., "sustained": {...}}
    {"event": "realtime", "cell": ..., "realtime": {...}}
    {"event": "skipped", "cell": ..., "reason": ...}     left out this time; a resume tries again
    {"event": "dropped", "cell": ..., "reason": ...}     out of the race
    {"event": "lost", "target": ..., "reason": ...}
    {"event": "finished"}
    {"event": "night", "night": {...}}                   what a night's run means; the last one counts
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgerig import files
from edgerig.errors import RunError

NAME = "journal.jsonl"

Event = dict[str, Any]


class Journal:
    """The journal of a run that this process, and no other, may write.

    Args:
        folder: of the run.

    Raises:
        RunError: another controller has it.
        OutputError: it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / NAME
        with files.writing(path):
            # Not O_APPEND only: a line that was cut off by a crash must be taken away before we go on.
            self._stream = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b", buffering=0)
        self._lock = threading.Lock()
        try:
            # The kernel frees the lock with the process, however that ends.
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._stream.close()
            raise RunError(f"another controller is at work on {folder}.", "Wait for it, or stop it.") from error
        self._stream.truncate(_whole(path.read_bytes()))
        self._stream.seek(0, os.SEEK_END)

    def append(self, event: str, **fields: Any) -> None:
        """Add an event; when this returns, it is on the disk. Raises OutputError or DiskFull."""
        line = json.dumps({"event": event, **fields}, separators=(",", ":")).encode() + b"\n"
        with self._lock, files.writing(self.folder / NAME):
            start = self._stream.tell()
            try:
                view = memoryview(line)
                while view:
                    view = view[self._stream.write(view) :]
                os.fsync(self._stream.fileno())
            except OSError:
                self._stream.truncate(start)
                self._stream.seek(start)
                raise

    def close(self) -> None:
        """Let go of the run."""
        self._stream.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _whole(data: bytes) -> int:
    """Return the length of the complete lines in `data`."""
    return data.rfind(b"\n") + 1


def read(folder: Path) -> list[Event]:
    """Return the events of a run; a last line that was cut off is left out.

    Raises:
        RunError: there is no journal, or one of its lines is damaged.
    """
    return list(_events(folder))


def _events(folder: Path) -> Iterator[Event]:
    path = folder / NAME
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunError(
            f"{folder} is not the folder of a run: it has no {NAME}.", "`edgerig list runs` names them."
        ) from error
    for number, line in enumerate(data[: _whole(data)].splitlines(), 1):
        try:
            event = json.loads(line)
        except ValueError as error:
            raise RunError(f"line {number} of {path} is damaged.", "Take that line out to go on without it.") from error
        if not isinstance(event, dict) or "event" not in event:
            raise RunError(f"line {number} of {path} is no event.", "Take that line out to go on without it.")
        yield event
