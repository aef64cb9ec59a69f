"""`report.html`: one file to read and to print; matplotlib and jinja2 are loaded only when it is made."""

from __future__ import annotations

from pathlib import Path

from reports.records import Run


def files(run: Run, folder: Path | None) -> dict[str, str]:
    """Return the report; frame times are read from `folder`/frames."""
    from reports.html import render  # noqa: PLC0415  half a second, and most commands draw nothing

    return {"report.html": render(run, folder)}
