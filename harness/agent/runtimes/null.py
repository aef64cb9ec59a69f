"""A runtime without a model: latencies, scores and failures by script, so that the whole pipeline meets known numbers.

The model is a JSON file named *.null; every key may be left out:

    {"input": {"shape": [1, 3, 8, 8], "dtype": "float32"},
     "outputs": 1,                          values of one answer
     "latency_ms": 2.5  or  [2, 2, 9],      cycled over all frames, warm-up included
     "wobble": 0.5,                         a process takes longer by one share, drawn from 0 to this
     "wait": "spin"  or  "sleep",
     "scores": 0.7  or  [0.1, "nan"]  or  {"mode": "mean"},
                                            cycled over frames, or the mean of the tensor
     "drift": {"gpu": 0.1},                 added to the scores on that provider
     "precision": "float32",                what it says it ran with
     "build_ms": 300,                       the provider compiles: so long, where no engine is kept
     "provider": "cpu",                     what it says it ran on; another than asked is a fallback
     "fail": {"how": "abort", "at": "load", "frame": 0}}

`how`: segv, abort, exit, kill, hang, oom, raise, bad_alloc, noise (prints to stdout and goes on); `at`: load or frame.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Callable, Iterator, Sequence

import numpy as np

from harness.agent.failures import FailedError
from harness.agent.protocol import Operator, Tensor
from harness.agent.runtimes.base import Array, Infer, LoadRequest, Ran, Session

FORMATS = (".null",)
CHUNK = 16 << 20  # bytes that "oom" takes at a time


def load(request: LoadRequest) -> Session:
    """Read the script."""
    try:
        script = json.loads(request.model.read_text())
    except ValueError as error:
        raise FailedError(f"null cannot load {request.model.name}: {error}") from error
    fail = script.get("fail", {})
    if fail.get("at") == "load":
        FAILURES[fail["how"]]()
    _build(script.get("build_ms", 0), request.engines)
    return NullSession(script, request)


def _build(ms: float, engines: Path | None) -> None:
    """Take the time of a compiler, and leave an engine where one is kept."""
    engine = engines / "engine" if engines else None
    if not ms or (engine and engine.exists()):
        return
    time.sleep(ms / 1000)
    if engine:
        engine.write_text("compiled")


class NullSession(Session):
    """A script, being played."""

    def __init__(self, script: dict[str, Any], request: LoadRequest) -> None:
        entry = script.get("input", {})
        self._script = script
        self._frames = 0
        self._drift = float(script.get("drift", {}).get(request.provider, 0.0))
        self._values = int(script.get("outputs", 1))
        self.inputs = [Tensor("x", entry.get("shape", [1, 3, None, None]), entry.get("dtype", "float32"))]
        self.outputs = [Tensor("y", [1, self._values], "float32")]
        self._request = request

    def ran(self) -> Ran:
        """Return what the script says that it ran."""
        asked, provider = self._request.provider, self._script.get("provider", self._request.provider)
        facts = {
            "runtime_version": "1",
            "runtime_build": "",
            "provider": provider,
            "precision": self._script.get("precision", "float32"),
            "threads": str(self._request.threads),
            "threads_asked": str(self._request.threads),
        }
        return Ran(facts, "" if provider == asked else f"null was asked for {asked} and runs {provider}")

    def bind(self, tensor: Array) -> Infer:
        """Return what plays one frame; a script that says nothing of frames costs a call and no more."""
        answers = self._answers(tensor)
        if not {"latency_ms", "fail"} & set(self._script):
            return answers
        return self._played(answers)

    def _played(self, answers: Infer) -> Infer:
        longer = 1e6 * (1 + self._script.get("wobble", 0.0) * np.random.default_rng().random())
        waits = itertools.cycle([int(ms * longer) for ms in _listed(self._script.get("latency_ms", 0))])
        wait = _sleep if self._script.get("wait") == "sleep" else _spin
        fail = self._script.get("fail", {})
        failing = fail.get("frame", 0) if fail.get("at") == "frame" else -1
        numbers = itertools.count()

        def play() -> Sequence[Array]:
            begin = time.perf_counter_ns()
            if next(numbers) == failing:
                FAILURES[fail["how"]]()
            wait(begin + next(waits))
            return answers()

        return play

    def _answers(self, tensor: Array) -> Infer:
        scores = self._script.get("scores", 0.5)
        if isinstance(scores, dict):
            return lambda: [self._row(float(tensor.mean()))]
        rows: Iterator[list[Array]] = itertools.cycle([[self._row(float(score))] for score in _listed(scores)])
        return rows.__next__

    def _row(self, score: float) -> Array:
        """Return an answer with `score` at index 1, or alone; the rest shares what is left to 1."""
        score += self._drift
        if self._values == 1:
            return np.full((1, 1), score, np.float32)
        row = np.full((1, self._values), (1 - score) / (self._values - 1), np.float32)
        row[0, 1] = score
        return row

    def operators(self, warmup: int) -> list[Operator]:
        """Return one made-up operator."""
        return [Operator("Null", "null", float(_listed(self._script.get("latency_ms", 0))[0]), 1.0)]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _spin(end: int) -> None:
    while time.perf_counter_ns() < end:
        pass


def _sleep(end: int) -> None:
    time.sleep(max(0.0, (end - time.perf_counter_ns()) / 1e9))


def _signal(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def _exit() -> None:
    os._exit(7)


def _hang() -> None:
    while True:
        time.sleep(3600)


def _oom() -> None:
    taken = []
    while True:
        taken.append(bytearray(b"\1") * CHUNK)  # written to, so that it is really taken


def _raise() -> None:
    raise RuntimeError("raised as the script says")


def _bad_alloc() -> None:
    sys.stderr.write("terminate called after throwing an instance of 'std::bad_alloc'\n")
    os.abort()


def _noise() -> None:
    sys.stdout.write("noise from Python\n")
    os.write(1, b'{"v":1,"kind":"result","id":1,"body":{}}\n')


FAILURES: dict[str, Callable[[], None]] = {
    "segv": _signal(signal.SIGSEGV),
    "abort": os.abort,
    "exit": _exit,
    "kill": _signal(signal.SIGKILL),
    "hang": _hang,
    "oom": _oom,
    "raise": _raise,
    "bad_alloc": _bad_alloc,
    "noise": _noise,
}
