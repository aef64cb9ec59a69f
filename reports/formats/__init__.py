"""The ways to write a run: a new format is one file here and one row in FORMATS.

A format is a function that takes the run and its folder (for the raw frame times, None where there are none)
and returns file name -> text. It writes nothing: `reports.files` does, atomically.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from reports.formats import csv, github, html, json, junit, markdown, pytest_benchmark
from reports.records import Run

Format = Callable[[Run, Path | None], Mapping[str, str]]

FORMATS: dict[str, Format] = {
    "json": json.files,
    "csv": csv.files,
    "html": html.files,
    "markdown": markdown.files,
    "junit": junit.files,
    "github": github.files,
    "pytest-benchmark": pytest_benchmark.files,
}
