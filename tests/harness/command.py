"""The command line as people run it: a process of its own, in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

PATIENCE_S = 60.0


class Workplace:
    """A folder to run commands in, with a cache of its own.

    Args:
        folder: where commands run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "EDGERIG_CACHE": str(folder / "cache"), "NO_COLOR": "1"}

    def run(self, *words: object, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run `edgerig WORDS` to its end; the exit code is checked unless it is None."""
        done = subprocess.run(
            self._argv(words), cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        if code is not None:
            assert done.returncode == code, f"{words} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *words: object, code: int = 0) -> Any:
        """Run `edgerig WORDS --json` and return what it printed."""
        return json.loads(self.run(*words, "--json", code=code).stdout)

    def start(self, *words: object) -> subprocess.Popen[str]:
        """Start `edgerig WORDS` and return the process."""
        return subprocess.Popen(
            self._argv(words),
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
