"""Raw readings of the device's health before, during and after a job: files and commands, never interpreted here."""

from __future__ import annotations

import contextlib
import glob
import os
import select
import signal
import subprocess
import threading
import time
from dataclasses import asdict
from typing import Any, Iterator, Sequence

from harness.agent.protocol import MAX_TEXT, Vital, VitalSample

COMMAND_S = 2.0  # dumpsys on a slow phone takes .3 s; what takes longer than this disturbs the measurement anyway
MAX_MATCHES = 64  # files that one "*" may find: a big server has 40 thermal zones
MAX_BYTES = 1 << 20  # of all samples of a job, a quarter of the longest line


class Vitals:
    """Reads what a profile asks for.

    Args:
        wanted: the readings.
        every_s: seconds between two samples taken during the job.

    Attributes:
        start: when the job began, on the monotonic clock.
    """

    def __init__(self, wanted: Sequence[Vital], every_s: float = 1.0) -> None:
        self._wanted = wanted
        self._every_s = every_s
        self.start = time.monotonic()
        self._samples: list[VitalSample] = []
        self._bytes = 0
        self._over = threading.Event()

    @property
    def samples(self) -> list[dict[str, Any]]:
        """What was read so far, as the protocol's VitalSample."""
        return [asdict(sample) for sample in self._samples]

    def sample(self, when: str) -> None:
        """Take one sample now."""
        if not self._wanted:
            return
        seconds = time.monotonic() - self.start
        texts: dict[str, str] = {}
        for vital in self._wanted:
            if vital.during or when != "during":
                texts.update(read(vital))
        self._samples.append(VitalSample(when, seconds, texts))
        self._bytes += sum(len(name) + len(text) for name, text in texts.items())
        if self._bytes > MAX_BYTES:
            self._thin()

    @contextlib.contextmanager
    def during(self) -> Iterator[None]:
        """Sample in a thread for as long as the block runs."""
        thread = threading.Thread(target=self._keep_sampling, daemon=True)
        if self._wanted:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            if self._wanted:
                thread.join(COMMAND_S * len(self._wanted) + 1)

    def _keep_sampling(self) -> None:
        while not self._over.wait(self._every_s):
            self.sample("during")

    def _thin(self) -> None:
        """Drop every second sample and sample half as often: a long job is covered from end to end all the same."""
        during = [sample for sample in self._samples if sample.when == "during"]
        dropped = {id(sample) for sample in during[1::2]}
        self._samples = [sample for sample in self._samples if id(sample) not in dropped]
        self._bytes = sum(len(name) + len(text) for kept in self._samples for name, text in kept.texts.items())
        self._every_s *= 2


def read(vital: Vital) -> dict[str, str]:
    """Return the text of one reading by name, or by name:path for each file that a "*" finds; {} where it fails."""
    if vital.command:
        text = _command(vital.command)
        return {} if text is None else {vital.name: text}
    if not vital.file:
        return {}
    if vital.file.count("*") != 1:
        text = _file(vital.file)
        return {} if text is None else {vital.name: text}
    found = {path: _file(path) for path in _matches(vital.file)}
    return {f"{vital.name}:{path}": text for path, text in found.items() if text is not None}


def _matches(pattern: str) -> list[str]:
    return sorted(glob.glob(pattern))[:MAX_MATCHES]  # noqa: PTH207 (Path.glob wants a relative pattern)


def _file(path: str) -> str | None:
    """Return the beginning of a file; not waiting, should it be a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(descriptor, MAX_TEXT).decode("utf-8", "replace")
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _command(argv: Sequence[str]) -> str | None:
    """Return the beginning of what a command prints within COMMAND_S; then it is killed with all that it started."""
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return None
    assert process.stdout is not None
    try:
        return _until_end(process.stdout.fileno()).decode("utf-8", "replace")
    finally:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()
        with contextlib.suppress(subprocess.TimeoutExpired):  # one that runs as root may not be ours to kill
            process.wait(1.0)


def _until_end(descriptor: int) -> bytes:
    data, end = b"", time.monotonic() + COMMAND_S
    while len(data) < MAX_TEXT:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, end - time.monotonic()))
        chunk = os.read(descriptor, MAX_TEXT - len(data)) if ready else b""
        if not chunk:
            break
        data += chunk
    return data
