"""`job-summary.md`: the summary in the room that GitHub gives a step of a job; worst cells first.

https://docs.github.com/actions: "Job summaries are isolated between steps and each step is restricted to a maximum size
of 1MiB"; what is larger is not shown at all.
"""

from __future__ import annotations

from pathlib import Path

from edgerig import files as storage
from reports.formats import markdown
from reports.records import Cell, Outcome, Run

LIMIT = 1024 * 1024 - 1024  # bytes; the rest is spare for line ends that others add


def files(run: Run, _folder: Path | None) -> dict[str, str]:
    """Return the summary, cut so that it fits into an empty page."""
    return {"job-summary.md": fitted(_summary(run), LIMIT)}


def append(run: Run, page: Path) -> None:
    """Add the summary to a page, in the room that is left there; raises OutputError or DiskFull."""
    with storage.writing(page):
        there = page.stat().st_size if page.exists() else 0
        with page.open("a", encoding="utf-8") as stream:
            stream.write(fitted(_summary(run), LIMIT - there))


def _summary(run: Run) -> str:
    ordered = run.model_copy(update={"cells": tuple(sorted(run.cells, key=lambda cell: _calm(run, cell)))})
    return markdown.files(ordered, None)["summary.md"]


def _calm(run: Run, cell: Cell) -> int:
    """Return how late a cell may come: 0 where the night names it, 1 where it is not ok, 2 otherwise."""
    named = any(cell.id in finding.cells for finding in (run.night.findings if run.night else ()))
    return 0 if named else 1 if cell.outcome is not Outcome.OK else 2


def fitted(text: str, limit: int) -> str:
    """Return Markdown in at most `limit` bytes: tables lose rows from the last on, and a sentence says how many.

    Args:
        text: Markdown, a line a row.
        limit: bytes in UTF-8.
    """
    if len(text.encode()) <= limit:
        return text
    lines = text.splitlines()
    heads = {place - 1 for place, line in enumerate(lines) if line.startswith("|---")}
    rows = [place for place, line in enumerate(lines) if line.startswith(("| ", "- ")) and place not in heads]
    over = len(text.encode()) + _SPARE - limit
    dropped = set()
    while over > 0 and rows:
        place = rows.pop()
        dropped.add(place)
        over -= len(lines[place].encode()) + 1
    kept = [line for place, line in enumerate(lines) if place not in dropped]
    cut = "\n".join([*kept, "", _TOLD.format(len(dropped))]) + "\n"
    return cut if over <= 0 else ""


_TOLD = "{} more lines are left out here, as GitHub shows 1 MiB: they are in the run's report.html."
_SPARE = 256  # bytes for that sentence
