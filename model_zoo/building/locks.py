"""Locks of the kernel's between builds: it lets go of them with the process that held them."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from edgerig import files

LOOK_S = 0.5  # between two looks whether another one is done


def patient() -> None:
    """Wait, and say nothing; for `locked`."""


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[], object] | None) -> Iterator[None]:
    """Hold a lock; its file stays, as others may look at it.

    Args:
        path: of the lock.
        waiting: called once where somebody else holds it; None is for who does not wait.

    Raises:
        BlockingIOError: it is held, and nobody waits.
        OutputError, DiskFull: its file cannot be made.
    """
    with files.writing(path):
        stream = path.open("w")
    with stream:
        while not taken(stream):
            if waiting is None:
                raise BlockingIOError(f"{path} is held")
            waiting()
            waiting = patient
            time.sleep(LOOK_S)
        yield


def taken(stream: IO[str]) -> bool:
    """Take the lock on an open file until it is closed; False where somebody else has it."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
