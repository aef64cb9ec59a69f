"""How far a child is: a small file that it writes and its parent reads, so that no pipe can make the child wait."""

from __future__ import annotations

import time
from pathlib import Path

EVERY_S = 0.25


class ProgressFile:
    """The child's side; written at most four times a second except when the phase changes.

    Args:
        folder: the spool folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "progress"
        self._next = 0.0

    def phase(self, name: str, total: int = 0) -> None:
        """Say that a phase begins."""
        self._write(name, 0, total)

    def at(self, name: str, done: int, total: int) -> None:
        """Say how far the phase is."""
        if time.monotonic() >= self._next:
            self._write(name, done, total)

    def _write(self, name: str, done: int, total: int) -> None:
        self._next = time.monotonic() + EVERY_S
        self._path.write_text(f"{name} {done} {total}\n")


def read_progress(folder: Path) -> tuple[str, int, int]:
    """Return phase, done and total as the child wrote them last; a file caught half written says nothing."""
    try:
        name, done, total = (folder / "progress").read_text().split()
        return name, int(done), int(total)
    except (OSError, ValueError):
        return "start", 0, 0
