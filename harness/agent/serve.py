"""The server: one request after the other, each answered, until the controller says bye or is gone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Callable, Dict

from harness.agent import parent, protocol
from harness.agent.failures import sentence
from harness.agent.identity import identity
from harness.agent.protocol import Message
from harness.agent.spool import Spool
from harness.agent.store import Store
from harness.agent.vitals import Vitals
from harness.agent.wire import Ears, GoneError, Wire

Body = Dict[str, Any]

POLL_S = 0.1  # between looks at a job that another agent finishes


class Agent:
    """Serves one controller.

    Args:
        own: the file that Python was started with.
        digest: its sha256.
        root: the agent's folder on this device: incoming/, store/, spool/.
        wire: the conversation.
    """

    def __init__(self, own: str, digest: str, root: Path, wire: Wire) -> None:
        self._own = own
        self._digest = digest
        self._wire = wire
        self._store = Store(root)
        self._spool = Spool(root)
        self._requests: dict[str, Callable[[Message], tuple[str, object]]] = {
            "hello": self._hello,
            "have": self._have,
            "room": self._room,
            "accept": self._accept,
            "job": self._job,
            "collect": self._collect,
            "forget": self._forget,
            "look": self._look,
        }

    def serve(self) -> int:
        """Answer until there is nobody to answer; returns the exit status."""
        try:
            while self._answer(self._wire.line()):
                pass
        except GoneError:
            pass
        return 0

    def _answer(self, line: bytes) -> bool:
        try:
            message = protocol.decode(line)
        except (ValueError, RecursionError) as error:
            self._wire.send("error", 0, {"message": f"this is no message: {sentence(error)}"})
            return True
        if message.kind != "bye":
            self._wire.send(*self._reply(message))
        return message.kind != "bye"

    def _reply(self, message: Message) -> tuple[str, int, object]:
        request = self._requests.get(message.kind)
        if request is None:
            return "error", message.id, {"message": f"unknown kind of message: {message.kind[:64]!r}"}
        try:
            kind, body = request(message)
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            return "error", message.id, {"message": f"{message.kind}: {sentence(error)}"}
        return kind, message.id, body

    def _hello(self, _message: Message) -> tuple[str, object]:
        return "identity", identity(self._digest)

    def _have(self, message: Message) -> tuple[str, object]:
        return "missing", {"digests": self._store.missing(message.body["digests"])}

    def _room(self, message: Message) -> tuple[str, object]:
        freed = self._store.make_room(int(message.body["bytes"]), int(message.body["limit_bytes"]))
        return "room", {"freed_bytes": freed}

    def _accept(self, message: Message) -> tuple[str, object]:
        self._store.accept(message.body["sha256"])
        return "accepted", None

    def _job(self, message: Message) -> tuple[str, object]:
        job = protocol.job_from(message.body)
        with self._spool.begun(job) as folder:
            result = parent.measure(job, folder, self._store, self._own, self._wire, message.id)
            return "result", self._spool.finish(job.token, result)

    def _collect(self, message: Message) -> tuple[str, object]:
        token = message.body["token"]
        self._wait_for(token, message.id)
        result = self._spool.collect(token)
        return ("unknown", None) if result is None else ("result", result)

    def _wait_for(self, token: str, number: int) -> None:
        """Wait while another agent, whose link broke, is at work on a job; no longer than that job's deadline."""
        ears, next_beat = Ears(self._wire.listen), 0.0
        while self._spool.busy(token):
            self._spool.want(token)
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + parent.BEAT_S
                self._wire.send("progress", number, {"phase": "elsewhere", "done": 0, "total": 0})
            if ears.wait(POLL_S):
                self._wire.hear()  # or nobody waits any more

    def _look(self, message: Message) -> tuple[str, object]:
        vitals = Vitals([protocol.Vital(**entry) for entry in message.body["vitals"]])
        vitals.sample("before")
        return "seen", {"samples": vitals.samples}

    def _forget(self, message: Message) -> tuple[str, object]:
        self._spool.forget(message.body["token"])
        return "forgotten", None
