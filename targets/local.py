"""Transport `local`: this very machine is the device; its folder lies in the user's cache."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import selectors
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgerig.deadline import Deadline
from edgerig.errors import LinkLost, TargetError, TargetFull, TargetRefused

_TAIL = 4096  # bytes of stderr that are worth showing
_CHUNK = 1 << 16
_PATIENCE_S = 5.0  # for a program to end by itself
_SEND_S = 60.0  # for a program to take in what it is sent


class LocalChannel:
    """A process of this machine."""

    def __init__(self, argv: Sequence[str]) -> None:
        # stderr goes to a file: a pipe that nobody empties would block the process.
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        try:
            # A session of its own: Ctrl-C in the terminal is for the controller, which ends this in order.
            self._process = subprocess.Popen(
                list(argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            self._stderr.close()
            raise TargetRefused(f"{argv[0]} cannot be started: {error.strerror}.") from error
        assert self._process.stdin
        assert self._process.stdout
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        os.set_blocking(self._stdin.fileno(), False)  # who reads no more must not hold us up for ever
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stdout, selectors.EVENT_READ)

    def send(self, data: bytes) -> None:
        """Write all of `data` to the process."""
        deadline, view = Deadline(_SEND_S), memoryview(data)
        try:
            while view:
                if not select.select([], [self._stdin], [], deadline.remaining)[1]:
                    raise LinkLost("the agent takes in nothing more.")
                view = view[self._stdin.write(view) or 0 :]
        except (OSError, ValueError) as error:  # a ValueError where somebody else has closed it by now
            why = "" if self._stderr.closed else self.errors()
            raise LinkLost(f"the agent has ended: {why or 'it said nothing'}") from error

    def receive(self, deadline: Deadline) -> bytes:
        """Return what the process printed next, b"" at its end."""
        if not self._selector.select(deadline.remaining):
            raise LinkLost("the agent did not answer in time.")
        return os.read(self._stdout.fileno(), _CHUNK)

    def errors(self) -> str:
        """Return the end of the process's stderr."""
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - _TAIL))
        return self._stderr.read().decode(errors="replace").strip()

    def status(self, seconds: float) -> int | None:
        """Return its exit status, waiting so long for it; None where it goes on."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def kill(self) -> None:
        """End the process at once; `close` is still to be called."""
        self._process.kill()

    def close(self) -> None:
        """End the process: the end of its stdin tells it to; after 5 s it is killed."""
        if self._stderr.closed:
            return
        with contextlib.suppress(OSError):
            self._stdin.close()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._selector.close()
        self._stdout.close()
        self._stderr.close()


class LocalTransport:
    """This machine as a device.

    Args:
        root: the device's folder, made where it is missing.
    """

    patience_s = 0.0  # the controller's death ends its measurements on this machine

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TargetRefused(f"the device's folder {root} cannot be made: {error.strerror}.") from error

    def put(self, source: Path, name: str, deadline: Deadline) -> None:
        """Copy a file into the device's folder, under a temporary name until it is whole."""
        destination = Path(self.root) / name
        part = destination.with_name(destination.name + ".part")
        try:
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, part)
            part.replace(destination)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise _translated(error, f"{source.name} cannot be copied to {self.root}") from error

    def get(self, name: str, destination: Path, deadline: Deadline) -> None:
        """Copy a file out of the device's folder; trouble with `destination` is an OSError of the caller's."""
        try:
            source = (Path(self.root) / name).open("rb")
        except OSError as error:
            raise _translated(error, f"{name} cannot be read from {self.root}") from error
        with source, destination.open("wb") as target:
            shutil.copyfileobj(source, target)

    def start(self, argv: Sequence[str]) -> LocalChannel:
        """Start a program of this machine."""
        return LocalChannel([word.replace("{root}", self.root) for word in argv])

    def close(self) -> None:
        """Nothing is held."""


def _translated(error: OSError, what: str) -> TargetError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return TargetFull(f"{what}: no space is left.", "Free some space there.")
    return TargetRefused(f"{what}: {error.strerror}.")
