"""A disk that is really full: a small tmpfs in a mount namespace of its own."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from tests.needs import require


def on_small_disk(script: str, folder: Path, kilobytes: int = 64) -> str:
    """Run a Python script, its argument a folder that is a disk of its own, and return what it printed."""
    mount = f"mount -t tmpfs -o size={kilobytes}k none {shlex.quote(str(folder))}"
    space = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    require("unshare", "unshare of util-linux is missing")
    permitted = subprocess.run([*space, mount], capture_output=True, check=False).returncode == 0
    require(permitted, "this machine lets nobody mount a tmpfs")
    run = f"{mount} && exec {shlex.join([sys.executable, '-c', script, str(folder)])}"
    done = subprocess.run([*space, run], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout
