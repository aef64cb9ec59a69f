"""`cells.csv`, a row a cell, `results.csv`, a row a figure, and two tables more.

`agreement.csv` has a row a comparison of scores, `budgets.csv` a row a budget and cell.

`comparison.csv`, a row a figure that was held against a baseline's, is there where there was a baseline.

UTF-8, commas, empty: not measured.

A name from outside that a spreadsheet would take for a formula gets an apostrophe before it (OWASP, CSV
injection); numbers stay numbers, since only text can begin with what is dangerous.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from reports import comparison_view, tables
from reports.records import Run

_FORMULA = ("=", "+", "-", "@", "\t", "\n")


def files(run: Run, _folder: Path | None) -> dict[str, str]:
    """Return the tables as CSV, those of budgets and of a baseline where there are any."""
    found = {
        "cells.csv": _csv(tables.CELL_COLUMNS, tables.cell_rows(run)),
        "results.csv": _csv(tables.RESULT_COLUMNS, tables.result_rows(run)),
        "agreement.csv": _csv(tables.AGREEMENT_COLUMNS, tables.agreement_rows(run)),
    }
    if run.comparisons:
        found["comparison.csv"] = _csv(comparison_view.CSV_COLUMNS, comparison_view.csv_rows(run))
    if run.budgets:
        found["budgets.csv"] = _csv(tables.BUDGET_COLUMNS, tables.budget_rows(run))
    return found


def _csv(columns: Iterable[str], rows: Iterator[Mapping[str, object]]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(columns), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return stream.getvalue()


def _cell(value: object) -> str:
    """Return a value as text: numbers in the shortest form that reads back equal, names made harmless."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    text = str(value).replace("\r", "\n")  # a bare one would end the row, unquoted
    return "'" + text if text.startswith(_FORMULA) else text
