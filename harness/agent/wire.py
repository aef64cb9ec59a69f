"""The two ends of the conversation: lines in, lines out, by file descriptor and with bounds."""

from __future__ import annotations

import os
import selectors
from collections import deque
from typing import Any

from harness.agent import protocol

CHUNK = 1 << 16


class GoneError(Exception):
    """Nobody is at the other end any more."""


class Wire:
    """JSON lines over two file descriptors.

    Args:
        listen: where requests come from.
        speak: where answers go.
        linger_s: seconds for which a controller that vanished during a job may come back; 0: it does not.
    """

    def __init__(self, listen: int, speak: int, linger_s: float = 0.0) -> None:
        self.listen = listen
        self.linger_s = linger_s
        self._speak = speak
        self._lines: deque[bytes] = deque()
        self._rest = b""
        self._skipping = False
        self._held = 0

    def send(self, kind: str, number: int, body: object = None) -> None:
        """Send one message; raises GoneError where nobody listens."""
        line = memoryview(protocol.encode(kind, number, body))
        try:
            while line:
                line = line[os.write(self._speak, line) :]
        except OSError as error:
            raise GoneError(str(error)) from error

    def line(self) -> bytes:
        """Return the next line, waiting for it; an overlong one as its first bytes. Raises GoneError at the end."""
        while not self._lines:
            self.hear()
        line = self._lines.popleft()
        self._held -= len(line)
        return line

    def hear(self) -> None:
        """Take in what has come, waiting for at least one byte; raises GoneError at the end."""
        try:
            data = os.read(self.listen, CHUNK)
        except OSError as error:
            raise GoneError(str(error)) from error
        # Requests that pile up while a job runs: a controller that does so is none of ours.
        if not data or self._held > 2 * protocol.MAX_LINE:
            raise GoneError("the end of stdin" if not data else "too many requests at once")
        self._take(data)

    def parted(self) -> bool:
        """Whether the last line that came takes leave: who says so does not come back."""
        return bool(self._lines) and b'"kind":"bye"' in self._lines[-1][:40]

    def _take(self, data: bytes) -> None:
        *complete, rest = (self._rest + data).split(b"\n")
        for line in complete:
            if not self._skipping:
                self._lines.append(line)
                self._held += len(line)
            self._skipping = False
        if len(rest) > protocol.MAX_LINE:
            # Answered as the overlong line it is, once; the remainder of it is dropped as it comes.
            if not self._skipping:
                self._lines.append(rest[: protocol.MAX_LINE + 1])
                self._held += len(rest)
            self._skipping, rest = True, b""
        self._rest = b"" if self._skipping else rest


class Ears:
    """Waits for several file descriptors at once.

    poll rather than epoll: stdin may be a plain file, which epoll refuses.
    """

    def __init__(self, *descriptors: int) -> None:
        self._poll: Any = selectors.PollSelector()
        for descriptor in descriptors:
            self._poll.register(descriptor, selectors.EVENT_READ)

    def wait(self, seconds: float) -> list[int]:
        """Return the descriptors that have something to read, after at most `seconds`."""
        return [key.fd for key, _ in self._poll.select(seconds)]

    def drop(self, descriptor: int) -> None:
        """Wait for this one no longer."""
        self._poll.unregister(descriptor)
