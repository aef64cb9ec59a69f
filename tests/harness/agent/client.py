"""A controller of a few lines, for the real packed agent over real pipes."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from pydantic import TypeAdapter

from harness.agent import protocol
from harness.agent.protocol import InputSpec, Job, JobResult, Message, OutputSpec, StoredFile
from harness.devices import pack

ANSWER_S = 30.0
SMALL = InputSpec(height=8, width=8)
ALONE = OutputSpec("probability", index=0)


class Client:
    """Speaks with one agent."""

    def __init__(self, folder: Path, env: Mapping[str, str] | None = None, linger_s: int = 0) -> None:
        self.root = folder / "device"
        linger = ["--linger", str(linger_s)] if linger_s else []
        self.process = subprocess.Popen(
            [sys.executable, str(pack.build(folder)), "--root", str(self.root), *linger],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(env or {})},
        )
        self._numbers = itertools.count(1)
        self._rest = b""
        self.progress: list[dict[str, Any]] = []

    def say(self, kind: str, body: object = None) -> int:
        number = next(self._numbers)
        self.write(protocol.encode(kind, number, body))
        return number

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def hear(self) -> Message:
        """Return the next message that is no progress."""
        end = time.monotonic() + ANSWER_S
        while True:
            while b"\n" not in self._rest:
                self._rest += self._read(end)
            line, _, self._rest = self._rest.partition(b"\n")
            message = protocol.decode(line)
            if message.kind != "progress":
                return message
            self.progress.append(message.body)

    def _read(self, end: float) -> bytes:
        assert self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        ready, _, _ = select.select([descriptor], [], [], max(0.0, end - time.monotonic()))
        assert ready, "the agent says nothing"
        data = os.read(descriptor, 1 << 16)
        assert data, "the agent is gone"
        return data

    def ask(self, kind: str, body: object = None) -> Message:
        number = self.say(kind, body)
        answer = self.hear()
        assert answer.id == number
        return answer

    def put(self, data: bytes) -> str:
        """Push a file and have it accepted; returns its digest."""
        name = hashlib.sha256(data).hexdigest()
        if self.ask("have", {"digests": [name]}).body["digests"]:
            (self.root / "incoming" / name).write_bytes(data)
            assert self.ask("accept", {"sha256": name}).kind == "accepted"
        return name

    def put_script(self, **script: object) -> StoredFile:
        return StoredFile("model.null", self.put(json.dumps(script).encode()))

    def run(self, job: Job) -> JobResult:
        answer = self.ask("job", job)
        assert answer.kind == "result", answer.body
        return result_of(answer)

    def array(self, job: Job, name: str) -> np.ndarray[Any, Any]:
        loaded: np.ndarray[Any, Any] = np.load(self.root / "spool" / job.token / name)
        return loaded

    def child(self) -> psutil.Process:
        """Return the process that measures, once it has begun to."""
        end = time.monotonic() + ANSWER_S
        while time.monotonic() < end:
            found = [entry for entry in psutil.Process(self.process.pid).children() if "--child" in _argv(entry)]
            if found and any(self.root.glob("spool/*/progress")):
                return found[0]
            time.sleep(0.01)
        raise AssertionError("no child was started")

    def leave(self) -> int:
        """Close the agent's stdin; returns its exit status."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        return self.process.wait(ANSWER_S)

    def close(self) -> None:
        self.leave()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


def result_of(message: Message) -> JobResult:
    return TypeAdapter(JobResult).validate_python(message.body)


def _argv(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
