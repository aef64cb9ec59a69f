"""One job from the outside: start the child, watch it, the device and the controller, and say what came of it."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Iterator

from harness.agent.endings import Ending, explain_end, kernel_kills, memory_left
from harness.agent.failures import OutcomeError, UnsupportedError, sentence
from harness.agent.progress import read_progress
from harness.agent.protocol import MAX_LINE, MAX_TEXT, Job, JobResult, encode
from harness.agent.spool import read_json
from harness.agent.staging import stage
from harness.agent.store import Store
from harness.agent.vitals import Vitals
from harness.agent.wire import Ears, GoneError, Wire

TICK_S = 0.25  # between looks at the memory; a look costs 30 us on x86-64, on a processor that is not measured
TIGHT_TICK_S = 0.05  # when less than four times the floor is left
BEAT_S = 1.0  # between two messages of progress
REAP_S = 5.0  # for the kernel to take a killed process away


def measure(job: Job, folder: Path, store: Store, own: str, wire: Wire, number: int) -> dict[str, Any]:
    """Run one job in a child process and return its result, as the protocol's JobResult in a dictionary.

    Args:
        job: what to measure.
        folder: its spool folder.
        store: where its files are.
        own: what Python is to be started with, for the child.
        wire: the controller, told of progress; raises GoneError when it is gone for good, and the child is killed.
        number: the id of the request.
    """
    started, clock = datetime.now(timezone.utc).isoformat(timespec="seconds"), time.monotonic()
    vitals = Vitals(job.vitals)
    found: dict[str, Any] = {}
    ending = Ending(None)
    try:
        stage(job, folder, store)
        vitals.sample("before")
        ending = _watched(job, folder, own, wire, number, vitals)
        vitals.sample("after")
        found = read_json(folder / "found.json") or {}
    except (OutcomeError, OSError, ValueError) as error:
        found = {"outcome": getattr(error, "outcome", "failed"), "reason": sentence(error)}
    result = _told(job, found, ending, folder)
    result["frames_s"] = [moment - vitals.start for moment in result["frames_s"]]  # one clock for all processes
    result.update(vitals=vitals.samples, started=started, seconds=time.monotonic() - clock)
    return _bounded(result)


def _told(job: Job, found: dict[str, Any], ending: Ending, folder: Path) -> dict[str, Any]:
    """Return the result without what the parent saw itself; a child that was killed has none of its own."""
    result = asdict(JobResult(job.token, job.kind, "crashed"))
    if "outcome" in found and not ending.killed_for:
        result.update(found)
    else:
        phase, _, _ = read_progress(folder)
        result["outcome"], result["reason"] = explain_end(ending, phase, job.deadline_s)
    result["stderr"] = ending.stderr
    return result


def _bounded(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result that fits into one line, without what can be done without."""
    for key in ("vitals", "operators", "bad_images"):
        if len(encode("result", 0, result)) < MAX_LINE:
            break
        result[key] = []
    return result


def _watched(job: Job, folder: Path, own: str, wire: Wire, number: int, vitals: Vitals) -> Ending:
    kills = kernel_kills()
    with _aside(job), Child(job, folder, own) as child:
        watch = Watch(child, wire, number, job, folder)
        with vitals.during():
            killed_for = watch.until_end()
        child.kill()
        return Ending(child.status, killed_for, kernel_kills() > kills, child.stderr)


@contextlib.contextmanager
def _aside(job: Job) -> Iterator[None]:
    """Keep this process off the processors that are measured, where there are others."""
    mine = os.sched_getaffinity(0)
    others = mine - set(job.affinity or ())
    if job.affinity and others:
        os.sched_setaffinity(0, others)
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)


class Child:
    """The process that measures, in a process group of its own.

    Args:
        job: what it is for.
        folder: the spool folder, where it finds the request.
        own: what Python is to be started with.
    """

    def __init__(self, job: Job, folder: Path, own: str) -> None:
        self.output, inherited = os.pipe()
        python = [word.replace("{root}", str(folder.parents[1])) for word in job.command] or [sys.executable]
        command = [*python, own, "--child", str(folder), str(os.getpid())]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=inherited,
                stderr=inherited,
                env=_environment(job, folder),
                start_new_session=True,
            )
        except OSError as error:
            os.close(self.output)
            raise UnsupportedError(f"{command[0]} cannot be started on this device: {error.strerror}") from error
        finally:
            os.close(inherited)
        self._tail = bytearray()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill()
        os.close(self.output)

    @property
    def status(self) -> int | None:
        """Its exit status, None while it runs."""
        return self._process.poll()

    @property
    def stderr(self) -> str:
        """The end of what it said."""
        return self._tail.decode("utf-8", "replace")

    def listen(self) -> bool:
        """Take in some of what it says; returns whether there may be more."""
        data = os.read(self.output, 1 << 16)
        self._tail += data
        del self._tail[:-MAX_TEXT]
        return bool(data)

    def kill(self) -> None:
        """End it and all that it started."""
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(REAP_S)


def _environment(job: Job, folder: Path) -> dict[str, str]:
    # numpy's matrix product starts a thread for each processor when it is imported, which would take part in resizing.
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": str(job.threads)}
    # Android has neither: what a library puts there goes with the job.
    places = {} if os.access("/tmp", os.W_OK) else {"TMPDIR": str(folder), "HOME": str(folder)}  # noqa: S108
    return {**os.environ, **threads, **places, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}


class Watch:
    """Waits for a child's end, its deadline, the device's last memory, or the controller's leave.

    A controller that vanishes may come back, if the wire says so: then the child goes on for a while without anybody
    listening, and to its end once somebody waits for it.

    Args:
        child: the process.
        wire: the controller.
        number: the id of the request, for messages of progress.
        job: what the child is for.
        folder: the spool folder.
    """

    def __init__(self, child: Child, wire: Wire, number: int, job: Job, folder: Path) -> None:
        self._child = child
        self._wire = wire
        self._number = number
        self._folder = folder
        self._ears = Ears(wire.listen, child.output)
        self._tick = TICK_S
        self._end = time.monotonic() + job.deadline_s
        self._next_beat = time.monotonic() + BEAT_S
        self._leave_at = math.inf

    def until_end(self) -> str:
        """Return why the child has to be killed, or "" when it ended by itself; raises GoneError."""
        while self._child.status is None:
            if time.monotonic() >= self._end:
                return "deadline"
            if self._memory_is_gone():
                return "memory"
            self._leave_when_unwanted()
            self._beat()
            self._hear(max(0.0, min(self._tick, self._end - time.monotonic())))
        self._drain()
        return ""

    def _hear(self, seconds: float) -> None:
        for descriptor in self._ears.wait(seconds):
            if descriptor == self._wire.listen:
                self._hear_controller()
            elif not self._child.listen():
                self._ears.drop(descriptor)
                self._tick = TIGHT_TICK_S  # it closed its end: it is about to be gone

    def _hear_controller(self) -> None:
        try:
            self._wire.hear()
        except GoneError as error:
            self._ears.drop(self._wire.listen)
            self._lose_controller(error)

    def _lose_controller(self, error: GoneError) -> None:
        """Stay for a while where the controller may come back for the result, else raise `error`."""
        if not self._wire.linger_s or self._wire.parted():
            raise error
        self._next_beat = math.inf
        self._leave_at = min(self._leave_at, time.monotonic() + self._wire.linger_s)

    def _leave_when_unwanted(self) -> None:
        if time.monotonic() >= self._leave_at and not (self._folder / "wanted").exists():
            raise GoneError("nobody came back for the result")

    def _drain(self) -> None:
        """Take in what the child said last; what it started may keep the pipe open, so never wait."""
        last = Ears(self._child.output)
        while last.wait(0.0) and self._child.listen():
            pass

    def _beat(self) -> None:
        if time.monotonic() >= self._next_beat:
            self._next_beat += BEAT_S
            phase, done, total = read_progress(self._folder)
            try:
                self._wire.send("progress", self._number, {"phase": phase, "done": done, "total": total})
            except GoneError as error:
                self._lose_controller(error)

    def _memory_is_gone(self) -> bool:
        try:
            left = memory_left(Path("/proc/meminfo").read_text())
        except OSError:
            return False
        if left is None:
            return False
        available, floor = left
        if available < 4 * floor:
            self._tick = TIGHT_TICK_S
        return available < floor
