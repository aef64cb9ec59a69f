"""The process that measures: one job, then its end."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import traceback
from pathlib import Path

from harness.agent.bench import Bench
from harness.agent.failures import FailedError, OutcomeError, explain
from harness.agent.passes import PASSES
from harness.agent.protocol import Job, job_from
from harness.agent.spool import read_json, write_json

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def measure(folder: Path, parent: int) -> int:
    """Do the job of a spool folder and leave found.json there; returns the exit status, if at all."""
    _die_with(parent)
    _die_first()
    bench = Bench(job_from(read_json(folder / "job.json") or {}), folder)
    outcome, reason = _tried(bench)
    _lift_memory_limit()
    write_json(folder / "found.json", {**bench.findings, "outcome": outcome, "reason": reason})
    sys.stdout.flush()
    sys.stderr.flush()
    # Without the destructors of native libraries: a crash in one of them is not the model's.
    os._exit(0)


def _tried(bench: Bench) -> tuple[str, str]:
    try:
        bench.progress.phase("start")
        _confine(bench.job)
        PASSES[bench.job.kind](bench)
    except Exception as error:  # noqa: BLE001 (a runtime may raise anything, and whatever it is is the result)
        if not isinstance(error, OutcomeError):
            traceback.print_exc()
        return explain(error)
    return "ok", ""


def _die_with(parent: int) -> None:
    """Have the kernel kill this process with its parent, however that one ends."""
    # A Python without libffi has no ctypes, an emulator no prctl: there, a child whose agent is killed runs to its end.
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes  # noqa: PLC0415

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    try:
        os.kill(parent, 0)  # gone before the line above?
    except ProcessLookupError:
        os._exit(1)
    except OSError:
        pass


def _die_first() -> None:
    """Have the kernel choose this process when memory runs out, rather than what the device is there for."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _confine(job: Job) -> None:
    """Keep to the processors and the memory that the job grants; raises FailedError."""
    if job.affinity:
        try:
            os.sched_setaffinity(0, job.affinity)
        except OSError as error:
            raise FailedError(f"processors {job.affinity} cannot be had: {error.strerror}") from error
    if job.memory_limit_mb:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = job.memory_limit_mb << 20
        resource.setrlimit(resource.RLIMIT_AS, (limit if hard < 0 else min(limit, hard), hard))


def _lift_memory_limit() -> None:
    with contextlib.suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
