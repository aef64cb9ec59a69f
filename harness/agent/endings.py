"""How a child process came to its end, told as an outcome and a reason."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from pathlib import Path

from harness.agent.failures import MEMORY_WORDS

# A child is killed when less than this is left to the device: below it Linux throws out the pages of running
# programs, and a Raspberry Pi answers nobody for minutes before its kernel kills something.
FLOOR_SHARE = 0.03
FLOOR_KB = 64 << 10

DISK_WORDS = "No space left on device"  # ENOSPC: then the child cannot leave its result either


@dataclass(frozen=True)
class Ending:
    """What is known of a child's end.

    Attributes:
        status: as `Popen.returncode`: negative for a signal; None where it could not be killed.
        killed_for: "", or why the parent killed it: "deadline" or "memory".
        kernel_killed: the kernel killed something for want of memory meanwhile.
        stderr: the end of what it said.
    """

    status: int | None
    killed_for: str = ""
    kernel_killed: bool = False
    stderr: str = ""


def explain_end(ending: Ending, phase: str, deadline_s: float) -> tuple[str, str]:
    """Return outcome and reason of a child that left no result.

    Args:
        ending: how it ended.
        phase: what it was doing last.
        deadline_s: what it was given.
    """
    outcome, reason = _by_parent(ending, deadline_s) or _by_itself(ending)
    return outcome, f"{reason}; the last phase was: {phase}"


def _by_parent(ending: Ending, deadline_s: float) -> tuple[str, str] | None:
    if ending.killed_for == "deadline":
        return "timeout", f"no end within {deadline_s:g} s"
    if ending.killed_for == "memory":
        return "out-of-memory", "the device ran out of memory, so the child was killed"
    return None


def _by_itself(ending: Ending) -> tuple[str, str]:
    name = _signal_name(ending.status)
    if name == "SIGKILL" and ending.kernel_killed:
        return "out-of-memory", "the kernel killed the child for want of memory"
    if any(word in ending.stderr for word in (*MEMORY_WORDS, "MemoryError")):
        return "out-of-memory", "no memory was left to allocate"
    if DISK_WORDS in ending.stderr:
        return "failed", "no space was left on the device"
    if name:
        return "crashed", f"the child was ended by {name}"
    return "crashed", f"the child ended with status {ending.status} and left no result"


def _signal_name(status: int | None) -> str:
    """Return the name of the signal of a status; launchers that are shells say 128 + its number."""
    number = -status if status and status < 0 else (status or 0) - 128
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""


def memory_left(meminfo: str) -> tuple[int, int] | None:
    """Return available memory and the floor below which a child is killed, in kB; None where it is not told."""
    total, available = _field(meminfo, "MemTotal"), _field(meminfo, "MemAvailable")
    if total is None or available is None:
        return None
    return available, max(int(total * FLOOR_SHARE), FLOOR_KB)


def _field(meminfo: str, name: str) -> int | None:
    match = re.search(rf"^{name}:\s*(\d+) kB$", meminfo, re.MULTILINE)
    return int(match.group(1)) if match else None


def kernel_kills() -> int:
    """Return how often the kernel has killed for want of memory, on this device or in our control group."""
    return _counted("/proc/vmstat") + _counted(_group_file())


def _group_file() -> str:
    try:
        groups = Path("/proc/self/cgroup").read_text()
    except OSError:
        return ""
    match = re.search(r"^0::(/.*)$", groups, re.MULTILINE)
    return f"/sys/fs/cgroup{match.group(1).rstrip('/')}/memory.events" if match else ""


def _counted(path: str) -> int:
    try:
        text = Path(path).read_text() if path else ""
    except OSError:
        return 0
    match = re.search(r"^oom_kill (\d+)$", text, re.MULTILINE)
    return int(match.group(1)) if match else 0
