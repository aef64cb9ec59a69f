"""The packed size: a column of its own, never the size of what ran, and only where a variant has one."""

from __future__ import annotations

import csv
import io

import pytest

from reports import html, text
from reports.formats import FORMATS
from reports.records import Run

BYTES = 123_456


@pytest.fixture
def packed(run: Run) -> Run:
    first, *others = run.variants
    return run.model_copy(update={"variants": (first.model_copy(update={"packed_bytes": BYTES}), *others)})


def test_the_packed_size_stands_beside_the_size_of_what_ran(packed: Run) -> None:
    first = packed.variants[0]
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"](packed, None)["cells.csv"])))
    for row in rows:
        own = row["variant"] == first.name
        assert row["packed_bytes"] == (str(BYTES) if own else "")
        assert not own or row["bytes"] == str(first.bytes)
    table = [line for line in FORMATS["markdown"](packed, None)["summary.md"].splitlines() if line.startswith("|")]
    assert " size MB | packed MB | trust |" in table[0]
    assert {line.count("|") for line in table[: 2 + len(packed.cells)]} == {13}
    assert sum("0.123" in line for line in table) == sum(cell.key.variant == first.name for cell in packed.cells)


def test_pages_show_it_and_say_what_it_is(packed: Run) -> None:
    page = html.render(packed)
    assert page.count("packed<br>MB") == 2  # real and emulated cells
    assert "no runtime here runs it" in page
    assert "0.123" in page
    shown = text.as_text(packed, width=80)
    assert "packed" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert "packed MB" in text.notebook(packed)


def test_without_any_there_is_no_such_column(run: Run) -> None:
    for page in (html.render(run), text.as_text(run), FORMATS["markdown"](run, None)["summary.md"], text.notebook(run)):
        assert "packed" not in page
