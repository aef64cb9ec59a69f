"""Devices side by side: a thread for each queue, one thing after the other in it, and all of them end together."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from edgerig.deadline import Deadline
from edgerig.errors import EdgerigError
from harness.agent import protocol
from targets.transport import Channel, Transport

Item = TypeVar("Item")

POLL_S = 0.5
GRACE_S = 8.0  # for agents to end their children and for workers to end; who hangs on a silent device is left behind


class Stopped(BaseException):
    """A worker was told to end; not an Exception, as nothing but the worker's own end may catch it."""


class Stop:
    """Tells workers to end, also those that wait for a device: their agents are told to leave, which answers them."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._channels: set[Channel] = set()

    def now(self) -> None:
        """Have all workers end; a second time does nothing more."""
        self._event.set()
        with self._lock:
            channels = list(self._channels)
        for channel in channels:
            # A worker that is sending as well may garble both lines; either way the agent ends soon.
            with contextlib.suppress(EdgerigError, OSError, ValueError):
                channel.send(protocol.encode("bye", 0))

    def check(self) -> None:
        """Raise Stopped where workers are to end."""
        if self._event.is_set():
            raise Stopped

    def pause(self, seconds: float) -> None:
        """Sleep, and raise Stopped as soon as workers are to end."""
        self._event.wait(seconds)
        self.check()

    def over(self, transport: Transport) -> Transport:
        """Return a transport whose user is stopped with all others."""
        return _Stoppable(transport, self)

    def add(self, channel: Channel) -> None:
        """Have a channel's agent told to leave when all are stopped."""
        with self._lock:
            self._channels.add(channel)
        self.check()

    def remove(self, channel: Channel) -> None:
        """Forget a channel that is closed."""
        with self._lock:
            self._channels.discard(channel)


class _StoppableChannel:
    def __init__(self, inner: Channel, stop: Stop) -> None:
        self._inner = inner
        self._stop = stop
        try:
            stop.add(inner)
        except Stopped:
            self.close()
            raise

    def send(self, data: bytes) -> None:
        self._inner.send(data)  # also after a stop: it may be the word that ends the agent

    def receive(self, deadline: Deadline) -> bytes:
        self._stop.check()
        try:
            return self._inner.receive(deadline)
        finally:
            self._stop.check()  # what came is the end that we asked for

    def errors(self) -> str:
        return self._inner.errors()

    def close(self) -> None:
        self._stop.remove(self._inner)
        self._inner.close()


class _Stoppable:
    def __init__(self, inner: Transport, stop: Stop) -> None:
        self.root = inner.root
        self.patience_s = inner.patience_s
        self._inner = inner
        self._stop = stop

    def put(self, source: Path, name: str, deadline: Deadline) -> None:
        self._stop.check()
        self._inner.put(source, name, deadline)

    def get(self, name: str, destination: Path, deadline: Deadline) -> None:
        self._stop.check()
        self._inner.get(name, destination, deadline)

    def start(self, argv: Sequence[str]) -> Channel:
        self._stop.check()
        channel = self._inner.start(argv)
        try:
            return _StoppableChannel(channel, self._stop)
        except Stopped:
            channel.close()
            raise

    def close(self) -> None:
        self._inner.close()


def side_by_side(queues: Sequence[Sequence[Item]], work: Callable[[Item], None], stop: Stop) -> None:
    """Work through queues, each in a thread of its own, and return when all are done.

    Args:
        queues: what to do; things in one queue are done one after the other.
        work: does one thing; what it raises stops all others and is raised here.
        stop: what the work is stopped by. So it is when this thread is interrupted.
    """
    ends: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
    threads = [threading.Thread(target=_worker, args=(items, work, stop, ends), daemon=True) for items in queues]
    try:
        for thread in threads:
            thread.start()
        for _ in threads:
            error = _next(ends)
            if error is not None:
                raise error
    except BaseException:
        stop.now()
        grace = Deadline(GRACE_S)
        for thread in threads:
            if thread.ident is not None:
                thread.join(grace.remaining)
        raise


def _next(ends: queue.SimpleQueue[BaseException | None]) -> BaseException | None:
    """Return how the next worker ended; looking up often, for a signal that a worker takes wakes nobody here."""
    while True:
        with contextlib.suppress(queue.Empty):
            return ends.get(timeout=POLL_S)


def _worker(
    items: Sequence[Item], work: Callable[[Item], None], stop: Stop, ends: queue.SimpleQueue[BaseException | None]
) -> None:
    try:
        for item in items:
            stop.check()
            work(item)
    except BaseException as error:  # noqa: BLE001 - it is raised again where somebody can act on it
        ends.put(error)
    else:
        ends.put(None)
