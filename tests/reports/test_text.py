from __future__ import annotations

import re

import pytest

from reports import figures, text
from reports.records import Run
from tests.reports.synthetic import HOSTILE


def test_eighty_columns_suffice_and_no_number_is_cut(run: Run) -> None:
    page = text.as_text(run, width=80)
    assert max(map(len, page.splitlines())) <= 80
    assert "…" not in page
    for cell in run.cells:
        p50 = cell.value("latency_p50", "end_to_end")
        assert p50 is None or f" {figures.number(p50)} " in page


@pytest.mark.parametrize("width", [80, 120, 200])
def test_every_cell_has_a_row_with_its_standing(width: int, run: Run) -> None:
    page = text.as_text(run, width=width)
    table = page[: page.index("throttled: 5 of 5") if "throttled: 5 of 5" in page else len(page)]
    for word, count in (("crashed", 1), ("unsupported", 1), ("throttled", 1), ("unwatched", 1)):
        assert len(re.findall(rf" {word}$", table, re.MULTILINE)) == count, word


def test_reasons_and_next_steps_are_said(run: Run) -> None:
    lines = text.reasons(run)
    crashed = next(line for line in lines if "crashed" in line)
    assert "SIGILL at the first frame" in crashed
    assert any(line.endswith("-> compare the outputs of each layer") for line in lines)
    assert not any(": trusted" in line for line in lines)


def test_markup_in_names_is_not_markup(run: Run) -> None:
    name = "[bold red]boo[/bold red] [link=http://x]y[/]"
    cell = run.cells[0]
    named = cell.model_copy(update={"key": cell.key.model_copy(update={"variant": name})})
    page = text.as_text(run.model_copy(update={"cells": (named,), "headline": name}), width=200, color=True)
    assert page.count(name) == 2  # in the headline and in the table


def test_colour_only_where_asked(run: Run) -> None:
    assert "\x1b[" not in text.as_text(run)
    assert "\x1b[" in text.as_text(run, color=True)


def test_several_runtimes_on_one_target_are_named_in_the_rows(run: Run) -> None:
    page = text.as_text(run, width=120)
    assert re.search(r"^ +tflite xnnpack", page, re.MULTILINE)


def test_frames_hold_what_the_files_hold(run: Run) -> None:
    cells, results = text.to_frames(run)
    assert len(cells) == len(run.cells)
    p50 = results.query("metric == 'latency_p50' and scope == 'end_to_end' and target == 'x86' and threads == 1")
    assert p50["value"].dtype == float
    assert sorted(p50["value"]) == sorted(cells.query("target == 'x86' and threads == 1")["p50_ms"])
    assert set(results.query("metric == 'outcome'")["outcome"]) == {"crashed", "failed", "unsupported"}


def test_frames_of_an_empty_run_have_their_columns(run: Run) -> None:
    cells, results = text.to_frames(run.model_copy(update={"cells": ()}))
    assert {"p50_ms", "auc"} <= set(cells.columns)
    assert {"metric", "value"} <= set(results.columns)


def test_the_notebook_table_escapes_names(run: Run) -> None:
    page = text.notebook(run)
    assert page.count("<tr>") == len(run.cells) + 1
    assert "<script>" not in page
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(1)" in page
