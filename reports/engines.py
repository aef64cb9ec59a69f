"""What a provider took to compile models, in words: it is no part of loading them, and the next run need not wait."""

from __future__ import annotations

from reports.figures import duration, number
from reports.records import Run


def sentences(run: Run) -> list[str]:
    """Return a line for each engine that was built in this run."""
    return [
        f"{cell.key}: its engine was built in {_seconds(ms / 1000)}, before anything was timed"
        for cell in run.cells
        if (ms := cell.value("engine_build_ms", "all"))
    ]


def _seconds(seconds: float) -> str:
    return duration(seconds) if seconds >= 10 else f"{number(seconds, 2)} s"
