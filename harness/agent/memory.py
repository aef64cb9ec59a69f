"""How much memory this process holds, as the kernel tells it."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

SOURCES = {
    # The most that was ever resident since `reset_peak`. Shared pages count in full.
    "vm_hwm": ("/proc/self/status", r"^VmHWM:\s*(\d+) kB$"),
    # Resident now, shared pages by their share. Linux 4.14.
    "pss": ("/proc/self/smaps_rollup", r"^Pss:\s*(\d+) kB$"),
}


def reset_peak() -> None:
    """Make VmHWM begin anew; see proc(5), clear_refs. Without the right to, it counts from the process's start."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def reading() -> dict[str, float]:
    """Return MiB by name of SOURCES, without what the kernel does not tell."""
    found = {}
    for name, (path, pattern) in SOURCES.items():
        with contextlib.suppress(OSError):
            match = re.search(pattern, Path(path).read_text(), re.MULTILINE)
            if match:
                found[name] = int(match.group(1)) / 1024
    return found
