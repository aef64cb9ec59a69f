"""Each command can be imported by a process that has imported nothing else of ours."""

from __future__ import annotations

import subprocess
import sys

from harness import cli

# A fork for each command, of a process that has the libraries already: they are what takes the time.
PROGRAM = """
import importlib, os, sys, traceback
import click, cv2, jinja2, numpy, onnx, pandas, paramiko, psutil, pydantic, rich.progress, scipy.stats, sqlalchemy

cv2.setNumThreads(1)
for name in sys.argv[1:]:
    child = os.fork()
    if not child:
        try:
            importlib.import_module(name)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    if os.waitpid(child, 0)[1]:
        print(name)
"""


def broken(*modules: str) -> tuple[list[str], str]:
    """Return the modules that cannot be imported alone, and the tracebacks."""
    argv = [sys.executable, "-c", PROGRAM, *modules]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return done.stdout.split(), done.stderr


def test_each_can_be_imported_alone() -> None:
    modules = {where.partition(":")[0] for where, _ in cli.COMMANDS.values()}
    assert len(modules) > 10
    found, said = broken(*sorted(modules))
    assert found == [], said


def test_what_cannot_is_named() -> None:
    assert broken("json", "harness.commands.nothing")[0] == ["harness.commands.nothing"]
