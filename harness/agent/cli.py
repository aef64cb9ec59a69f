"""The agent's command line: serve a controller, or be the child that measures."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from pathlib import Path
from typing import Sequence

from harness.agent import protocol
from harness.agent.wire import Wire

USAGE = "usage: python edgerig-agent-<digest>.pyz --root FOLDER [--linger SECONDS] | --version\n"


def main(own: str, arguments: Sequence[str]) -> int:
    """Do what the arguments say; returns the exit status.

    Args:
        own: the file (or folder) that Python was started with, which the child is started with too.
        arguments: `--root FOLDER`, with `--linger SECONDS` where a controller that vanishes during a job may come
            back for its result; `--version`; or `--child FOLDER PARENT`, which only the agent itself says.
    """
    if list(arguments) == ["--version"]:
        sys.stdout.write(f"edgerig-agent {digest_of(own)[:12]} protocol {protocol.VERSION}\n")
        return 0
    if len(arguments) == 3 and arguments[0] == "--child":
        from harness.agent.child import measure  # noqa: PLC0415 (the server needs nothing of it)

        return measure(Path(arguments[1]), int(arguments[2]))
    linger_s = _linger(arguments[2:])
    if len(arguments) >= 2 and arguments[0] == "--root" and linger_s is not None:
        return _serve(own, Path(arguments[1]), linger_s)
    sys.stderr.write(USAGE)
    return 2


def _linger(words: Sequence[str]) -> float | None:
    """Return the seconds of `--linger SECONDS`, 0 where it is not said, None where that is not what is said."""
    if not words:
        return 0.0
    said = len(words) == 2 and words[0] == "--linger" and words[1].isdigit()
    return float(words[1]) if said else None


def digest_of(own: str) -> str:
    """Return the sha256 of the packed agent, or "" where it runs from a folder."""
    path = Path(own)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _serve(own: str, root: Path, linger_s: float) -> int:
    from harness.agent.serve import Agent  # noqa: PLC0415 (nor the child of this)

    # Whatever a library prints must not end up between two messages: the protocol keeps the real stdout to itself.
    speak = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _end)
    if linger_s:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what a login that breaks sends to its programs
    try:
        agent = Agent(own, digest_of(own), root.absolute(), Wire(0, speak, linger_s))
    except OSError as error:
        sys.stderr.write(f"the folder {root} cannot be used: {error.strerror}\n")
        return 1
    return agent.serve()


def _end(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)
