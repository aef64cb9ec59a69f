"""How much of its time this process was kept from running: by others on its processors, and by a hypervisor.

The kernel counts both, so a load on a core shows without anybody having to guess it from the times themselves.
"""

from __future__ import annotations

import os
import time
from pathlib import Path


class Waits:
    """Counts from now on; two readings take 60 us with ten threads, so they stay outside of what is timed."""

    def __init__(self) -> None:
        self._begin = time.monotonic_ns()
        self._waited = waited_ns()
        self._ticks = processor_ticks(os.sched_getaffinity(0))

    def shares(self) -> dict[str, str]:
        """Return waited_share and stolen_share since the beginning, without what the kernel does not tell.

        waited_share: nanoseconds that threads of this process were ready and had no processor, of the time that went
        by (proc(5), schedstat). stolen_share: ticks that a hypervisor gave to others, of all ticks of the processors
        that this process may use (proc(5), stat).
        """
        found: dict[str, str] = {}
        waited = waited_ns()
        if waited is not None and self._waited is not None:
            elapsed = max(1, time.monotonic_ns() - self._begin)
            found["waited_share"] = f"{max(0, waited - self._waited) / elapsed:.4f}"
        stolen, ticks = (after - before for after, before in zip(processor_ticks(os.sched_getaffinity(0)), self._ticks))
        if ticks > 0:
            found["stolen_share"] = f"{max(0, stolen) / ticks:.4f}"
        return found


def waited_ns() -> int | None:
    """Return how long the threads of this process have waited for a processor; None where the kernel does not count."""
    try:
        texts = [(task / "schedstat").read_text() for task in Path("/proc/self/task").iterdir()]
        return sum(int(text.split()[1]) for text in texts) or None  # an emulator shows zeros
    except (OSError, ValueError, IndexError):
        return None


def processor_ticks(processors: set[int]) -> tuple[int, int]:
    """Return the ticks that were stolen from these processors, and all their ticks; zeros where nothing is told."""
    try:
        lines = Path("/proc/stat").read_text().splitlines()
    except OSError:
        return 0, 0
    stolen = ticks = 0
    for line in lines:
        name, *fields = line.split()
        if name[:3] == "cpu" and name[3:].isdigit() and int(name[3:]) in processors and len(fields) >= 8:
            numbers = [int(field) for field in fields[:8]]
            stolen, ticks = stolen + numbers[7], ticks + sum(numbers)
    return stolen, ticks
