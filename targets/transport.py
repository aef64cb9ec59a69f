"""The seam to a device is bytes: put, get, start a process and speak with it, close.

Everything above it knows no device; a new way to reach one is one file with these methods, and one row in `connect`.
Names of files on the device are relative to the device's folder (`root`), which belongs to edgerig.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from edgerig.deadline import Deadline


class Channel(Protocol):
    """A process on the device, its stdin and stdout."""

    def send(self, data: bytes) -> None:
        """Write to its stdin; raises LinkLost where nobody reads any more."""
        ...

    def receive(self, deadline: Deadline) -> bytes:
        """Return the next bytes of its stdout, b"" at its end; raises LinkLost when the deadline passes."""
        ...

    def errors(self) -> str:
        """Return the end of what it wrote to stderr so far."""
        ...

    def close(self) -> None:
        """Close its stdin, wait briefly for its end, and end it."""
        ...


class Transport(Protocol):
    """A way to a device. All methods raise a TargetError: which one says whether trying again can help.

    Attributes:
        root: the device's folder, as the device names it.
        patience_s: a device that was lost may come back within so many seconds: `start` makes a broken way anew, and
            a job goes on meanwhile. 0 where a lost device is gone, as this very machine is.
    """

    root: str
    patience_s: float

    def put(self, source: Path, name: str, deadline: Deadline) -> None:
        """Copy a file to the device; it appears under `name` whole or not at all."""
        ...

    def get(self, name: str, destination: Path, deadline: Deadline) -> None:
        """Copy a file from the device."""
        ...

    def start(self, argv: Sequence[str]) -> Channel:
        """Start a program on the device; `{root}` in a word is the device's folder."""
        ...

    def close(self) -> None:
        """Let go of the device."""
        ...
