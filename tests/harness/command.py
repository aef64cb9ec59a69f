"""The command line as people run it, in a folder of its own: in this process, or in one of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness import cli, workflow
from harness.devices import session
from harness.planning import method

PATIENCE_S = 60.0
PAUSE_S = 0.05

# Of a setting: rounds, frames and seconds of a round, frames and seconds of its warm-up.
Settings = Mapping[str, tuple[int, int, float, int, float]]

# The seconds are what lets people trust a median; no test here does.
SHORT: Settings = {"default": (5, 16, 0.0, 10, 0.0), "quick": (2, 16, 0.0, 10, 0.0)}


class Workplace:
    """A folder to run commands in, with a cache of its own.

    Args:
        folder: where commands run.
        settings: the rounds that are measured by commands in this process, instead of the product's.
    """

    def __init__(self, folder: Path, settings: Settings = SHORT) -> None:
        self.folder = folder
        self.settings = settings
        self.environment = {**os.environ, "EDGERIG_CACHE": str(folder / "cache"), "NO_COLOR": "1"}

    def run(self, *words: object, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run `edgerig WORDS` to its end, in this process; the exit code is checked unless it is None.

        All of the controller's imports, a second and more of them, are there already, and rounds are short.
        """
        out, err = io.StringIO(), io.StringIO()
        with self._inside(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            ended = cli.main([*map(str, words)])
        return _checked(subprocess.CompletedProcess([*map(str, words)], ended, out.getvalue(), err.getvalue()), code)

    def apart(self, *words: object, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run `edgerig WORDS` to its end as people do: a process of its own, and rounds as long as they are."""
        argv = self._argv(words)
        done = subprocess.run(argv, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False)
        return _checked(done, code)

    def json(self, *words: object, code: int = 0) -> Any:
        """Run `edgerig WORDS --json` in this process and return what it printed."""
        return json.loads(self.run(*words, "--json", code=code).stdout)

    @contextlib.contextmanager
    def _inside(self) -> Iterator[None]:
        """Let this process be where and what a process of the workplace's would be."""
        before = signal.getsignal(signal.SIGTERM)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            patch.setattr(sys, "stdin", io.StringIO())
            for name in os.environ.keys() - self.environment.keys():
                patch.delenv(name)
            for name, value in (self.environment | {"COLUMNS": "80"}).items():
                patch.setenv(name, value)
            for name, numbers in self.settings.items():
                patch.setitem(method._SETTINGS, name, numbers)
            for module in (session, workflow):  # pauses before a device is tried again
                patch.setattr(module, "PAUSE_S", PAUSE_S)
            try:
                yield
            finally:
                signal.signal(signal.SIGTERM, before)

    def start(self, *words: object, short: bool = False) -> subprocess.Popen[str]:
        """Start `edgerig WORDS` and return the process; its rounds are the product's, or as short as in this one."""
        return subprocess.Popen(
            short_argv(*words) if short else self._argv(words),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def stopped(self, process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
        """Send a signal, and return the exit code and what was said on stderr."""
        process.send_signal(number)
        _, said = process.communicate(timeout=PATIENCE_S)
        return process.returncode, said

    def journal(self) -> Path:
        """Return the journal of the only run; waits until there is one."""
        found: Path = next(_waiting(lambda: next(self.folder.glob("runs/*/journal.jsonl"), None)))
        return found

    def wait_for_rounds(self, count: int) -> Path:
        """Wait until a run has so many rounds, and return its folder."""
        path = self.journal()
        next(_waiting(lambda: len(rounds(path)) >= count or None))
        return path.parent

    def agents(self) -> list[psutil.Process]:
        """Return the agents and measuring processes of this workplace that are alive."""
        return [process for process in psutil.process_iter() if str(self.folder) in _command(process)]

    def wait_for_no_agents(self) -> None:
        """Wait until none is left; fails when one stays."""
        next(_waiting(lambda: not self.agents() or None))

    def _argv(self, words: tuple[object, ...]) -> list[str]:
        return [sys.executable, "-m", "harness", *map(str, words)]


def short_argv(*words: object, settings: Settings = SHORT) -> list[str]:
    """Return what is `edgerig WORDS` in a process of its own, but for rounds that are short."""
    program = (
        f"from harness import cli\nfrom harness.planning import method\nmethod._SETTINGS |= {settings}\ncli.entry()"
    )
    return [sys.executable, "-c", program, *map(str, words)]


def _checked(done: subprocess.CompletedProcess[str], code: int | None) -> subprocess.CompletedProcess[str]:
    if code is not None:
        assert done.returncode == code, f"{done.args} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done


def _command(process: psutil.Process) -> str:
    try:
        words = process.cmdline()
    except psutil.Error:
        return ""
    return " ".join(words) if any("edgerig-agent" in word for word in words) else ""


def _waiting(look: Any) -> Iterator[Any]:
    end = time.monotonic() + PATIENCE_S
    while (found := look()) is None:
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    yield found


def rounds(journal: Path) -> list[bytes]:
    """Return the whole lines of a journal that are rounds."""
    lines = journal.read_bytes().split(b"\n")[:-1]
    return [line for line in lines if line.startswith(b'{"event":"round"')]
