"""Starting programs: arguments are lists, a failure is one exception that carries everything."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgerig.deadline import Deadline
from edgerig.errors import ProcessFailed


def run(
    argv: Sequence[str],
    *,
    deadline: Deadline | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a program to its end and return what it printed.

    Args:
        argv: the program and its arguments.
        deadline: for all of it; then it is killed.
        cwd: its working folder, if not ours.
        env: its whole environment, if not ours.

    Raises:
        ProcessFailed: it could not be started, ended with another status than 0, or outlived the deadline.
    """
    try:
        done = subprocess.run(
            list(argv),
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=deadline.remaining if deadline else None,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ProcessFailed(argv, -9, "", f"no end within {error.timeout:.0f} s") from error
    except OSError as error:
        raise ProcessFailed(argv, 127, "", str(error)) from error
    out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    if done.returncode:
        raise ProcessFailed(argv, done.returncode, out, err)
    return out
