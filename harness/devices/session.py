"""A session with a device: the agent is put there, started and spoken with; files go by content."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from edgerig import digest, files
from edgerig.deadline import Deadline
from edgerig.errors import EdgerigError, LinkLost, ProtocolError, TargetError, TargetRefused
from harness.agent import protocol
from harness.agent.protocol import ArrayFile, Identity, Job, JobResult, Message, Progress, Vital, VitalSample
from harness.devices import pack
from harness.devices.readiness import Found
from targets import shell
from targets.transport import Channel, Transport

Body = TypeVar("Body")
Done = TypeVar("Done")
Listener = Callable[[Progress], None]

ANSWER_S = 60.0  # a device that says nothing for so long is lost; identity on a slow board takes 10 s
RECONNECTS = 2  # after a lost link, more where the transport's patience lasts; the pause doubles up to 5 s
PAUSE_S = 0.5
LONGEST_PAUSE_S = 5.0
MOST_BYTES = 1 << 30  # of an array; half an hour of .4 ms frames is 64 MB
LOSSES = 3  # links that one job may lose; a job that takes the device down with it would go on for ever


class Conversation:
    """Requests and answers with a running agent.

    Args:
        channel: to the agent's process.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._numbers = itertools.count(1)
        self._buffer = b""
        self._closed = False

    def ask(self, kind: str, body: object, deadline: Deadline, listen: Listener | None = None) -> Message:
        """Send a request and return its answer; progress on the way goes to `listen`.

        Raises:
            LinkLost: the link ended or the deadline passed.
            ProtocolError: what came is not our protocol.
            TargetError: the agent says that it cannot do it.
        """
        number = next(self._numbers)
        self._channel.send(protocol.encode(kind, number, body))
        while True:
            answer = self._next(deadline.sooner(ANSWER_S))  # an agent at work says so once a second
            if answer.id != number:
                continue  # the rest of a request that was given up
            if answer.kind == "error":
                raise TargetRefused(f"the agent could not serve '{kind}': {_text(answer.body.get('message'))}")
            if answer.kind != "progress":
                return answer
            if listen:
                listen(checked(Progress, answer.body))

    def _next(self, deadline: Deadline) -> Message:
        while b"\n" not in self._buffer:
            data = self._channel.receive(deadline)
            if not data:
                raise LinkLost("the agent ended without an answer.", self._channel.errors()[-300:])
            self._buffer += data
            if len(self._buffer) > 2 * protocol.MAX_LINE:
                raise ProtocolError("the device sent a line without an end.")
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            return protocol.decode(line)
        except (ValueError, RecursionError) as error:
            raise ProtocolError(f"the device sent something that is not our protocol: {error}.") from error

    def drop(self) -> None:
        """Let go without a word: an agent that may linger goes on with its job."""
        self._closed = True
        self._channel.close()

    def close(self) -> None:
        """End the agent; a second time does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            with contextlib.suppress(LinkLost):
                self._channel.send(protocol.encode("bye", next(self._numbers)))
        finally:  # a worker that is told to stop is told so by its send
            self._channel.close()


def checked(kind: type[Body], body: object) -> Body:
    """Return what a device sent as a record of the protocol; raises ProtocolError where it is none."""
    try:
        return TypeAdapter(kind).validate_python(body)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        raise ProtocolError(f"the device sent a wrong {kind.__name__}: '{key}' {problem['msg']}.") from error


def _text(value: object) -> str:
    return str(value)[: protocol.MAX_TEXT]


class Session:
    """A device with our agent at work on it.

    Args:
        transport: the way there; closed with the session.
        command: what starts Python there, for the agent and each measuring process; "{root}" is the device's folder.
        build: folder of the controller for the packed agent.
        cache_mb: most MB of pushed files that the device keeps; older ones make room for new ones.
        commands: the same by runtime, for those that have an environment of their own.
        refused: why a runtime cannot be had there, by the same.

    Attributes:
        found: what the device was found as, for who made the session to say.

    Raises:
        TargetError: the device cannot be used; the class says whether trying again can help.
    """

    def __init__(
        self,
        transport: Transport,
        command: Sequence[str],
        build: Path,
        cache_mb: int = 2048,
        commands: Mapping[str, Sequence[str]] | None = None,
        refused: Mapping[str, str] | None = None,
    ) -> None:
        self._transport = transport
        self.found = Found()
        self._command = tuple(command)
        self._commands = commands or {}
        self.refused = dict(refused or {})
        self._cache_mb = cache_mb
        self._agent = pack.build(build)
        self.pushed_bytes = 0
        try:
            self._conversation, self.identity = self._started()
        except BaseException:
            transport.close()
            raise

    def _started(self) -> tuple[Conversation, Identity]:
        """Start the agent that is there, or put it there first; what starts is verified by its digest."""
        try:
            return self._hello()
        except (LinkLost, ProtocolError):
            self._transport.put(self._agent, f"agents/{self._agent.name}", Deadline(ANSWER_S))
            self.pushed_bytes += self._agent.stat().st_size
        try:
            return self._hello()
        except LinkLost as error:
            raise TargetRefused(
                f"the agent does not run with {' '.join(self._command)} on the device: {error.hint or error.message}",
                "It needs Python 3.8 or newer with numpy.",
            ) from error

    def _hello(self) -> tuple[Conversation, Identity]:
        agent = f"{{root}}/agents/{self._agent.name}"
        patience = int(self._transport.patience_s)
        linger = ["--linger", str(patience)] if patience else []
        conversation = Conversation(self._transport.start([*self._command, agent, "--root", "{root}", *linger]))
        try:
            answer = conversation.ask("hello", None, Deadline(ANSWER_S))
            identity = checked(Identity, answer.body)
            if identity.agent_sha256 != digest.of_file(self._agent):
                raise ProtocolError("the agent on the device is not the one that was put there.")
        except BaseException:
            conversation.close()
            raise
        return conversation, identity

    def missing(self, wanted: Mapping[str, Path]) -> dict[str, Path]:
        """Return those of `wanted` (sha256 -> path) that the device does not have."""
        answer = self._conversation.ask("have", {"digests": list(wanted)}, Deadline(ANSWER_S))
        absent = set(checked(list[str], answer.body.get("digests")))
        return {sha256: path for sha256, path in wanted.items() if sha256 in absent}

    def push(self, wanted: Mapping[str, Path]) -> int:
        """Send what is missing, have it verified on the device, and return the bytes sent."""
        return self._persist(lambda: self._push(wanted))

    def _push(self, wanted: Mapping[str, Path]) -> int:
        sent = 0
        absent = self.missing(wanted)
        if absent:
            room = {
                "bytes": sum(path.stat().st_size for path in absent.values()),
                "limit_bytes": self._cache_mb * 10**6,
            }
            self._conversation.ask("room", room, Deadline(ANSWER_S))
        for sha256, path in absent.items():
            size = path.stat().st_size
            deadline = Deadline(ANSWER_S + size / 100_000)  # 100 kB/s is a bad link
            self._transport.put(path, f"incoming/{sha256}", deadline)
            self._conversation.ask("accept", {"sha256": sha256}, deadline)
            sent += size
        self.pushed_bytes += sent
        return sent

    def command(self, runtime: str) -> list[str]:
        """Return what starts Python on the device for a runtime, as a run names it."""
        return list(self._commands.get(runtime, self._command))

    def execute(self, argv: Sequence[str], deadline: Deadline) -> shell.Done:
        """Run a program on the device beside the agent, to its end; `{root}` in a word is the device's folder."""
        return self._persist(lambda: shell.run(self._transport, argv, deadline))

    def run(self, job: Job, listen: Listener | None = None) -> JobResult:
        """Have a job done; a lost link is made again and the finished result collected, once.

        A job that does not say what starts Python is started as the agent is.

        Raises:
            TargetError: the device is lost, or what it sent is not our protocol.
        """
        if not job.command:
            job = replace(job, command=self.command(job.runtime))
        for lost in range(LOSSES + 1):
            try:
                return self._result(self._answer(job, lost > 0, listen), job)
            except LinkLost:
                if lost == LOSSES:
                    raise
                self._reconnect()
        raise AssertionError("the last attempt returns or raises")

    def _answer(self, job: Job, again: bool, listen: Listener | None) -> Message:
        """Have a job done, or collect what a lost link kept back."""
        if again:
            deadline = Deadline(job.deadline_s + ANSWER_S)
            answer = self._conversation.ask("collect", {"token": job.token}, deadline, listen)
            if answer.kind != "unknown":
                return answer
        return self._conversation.ask("job", job, Deadline(job.deadline_s + ANSWER_S), listen)

    def _result(self, answer: Message, job: Job) -> JobResult:
        result = checked(JobResult, answer.body)
        if result.token != job.token or result.outcome not in protocol.OUTCOMES:
            raise ProtocolError("the device answered another question than the one that was asked.")
        return result

    def _reconnect(self) -> None:
        self._conversation.drop()
        patience, pause = Deadline(self._transport.patience_s), PAUSE_S
        for attempt in itertools.count(1):
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
            try:
                self._conversation, self.identity = self._hello()
                return
            except TargetError as error:
                if not error.transient or (attempt >= RECONNECTS and patience.expired):
                    raise

    def _persist(self, action: Callable[[], Done]) -> Done:
        """Do something that may be done twice; a lost link is made again once."""
        try:
            return action()
        except LinkLost:
            self._reconnect()
            return action()

    def fetch(self, job: Job, array: ArrayFile, destination: Path) -> None:
        """Copy one array of a result here, verified.

        Raises:
            TargetError: it cannot be had, or it is not what the result says.
            OutputError, DiskFull: it cannot be written here.
        """
        self._persist(lambda: self._fetch(job, array, destination))

    def _fetch(self, job: Job, array: ArrayFile, destination: Path) -> None:
        if array.name not in protocol.ARRAYS:  # it becomes a part of a path
            raise ProtocolError(f"the device offers an array that no job makes: {_text(array.name)!r}.")
        if not 0 <= array.bytes <= MOST_BYTES:
            raise ProtocolError(f"the device offers {array.name} of {array.bytes} bytes.")
        part = destination.with_name(destination.name + ".part")
        try:
            with files.writing(destination):
                self._transport.get(f"spool/{job.token}/{array.name}", part, Deadline(ANSWER_S + array.bytes / 100_000))
            if part.stat().st_size != array.bytes or digest.of_file(part) != array.sha256:
                raise LinkLost(f"{array.name} did not arrive whole.")
            files.write(destination, part.read_bytes())
        finally:
            part.unlink(missing_ok=True)

    def forget(self, job: Job) -> None:
        """Tell the agent that a result is safe here."""
        self._persist(lambda: self._conversation.ask("forget", {"token": job.token}, Deadline(ANSWER_S)))

    def look(self, vitals: Sequence[Vital]) -> VitalSample | None:
        """Return what the device says of itself now; None where nothing was asked."""
        body = {"vitals": [vars(vital) for vital in vitals]}
        answer = self._persist(lambda: self._conversation.ask("look", body, Deadline(ANSWER_S)))
        samples = checked(list[VitalSample], answer.body.get("samples"))
        return samples[0] if samples else None

    def close(self) -> None:
        """End the agent and let go of the device; trouble with either is no news any more."""
        try:
            with contextlib.suppress(EdgerigError, OSError):
                self._conversation.close()
        finally:
            with contextlib.suppress(EdgerigError, OSError):
                self._transport.close()


__all__ = ["Conversation", "Session", "checked"]
