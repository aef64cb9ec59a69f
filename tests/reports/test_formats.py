from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import pytest

from reports import tables, text
from reports.formats import FORMATS
from reports.records import Outcome, Run
from tests.reports.synthetic import HOSTILE


def rows(run: Run, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(FORMATS["csv"](run, None)[name])))


def test_results_have_a_row_a_figure_and_the_columns_that_are_promised(run: Run) -> None:
    found = rows(run, "results.csv")
    promised = "run,target,variant,runtime,provider,threads,metric,scope,unit,value,ci_low,ci_high,n,lower_is_better"
    assert list(found[0]) == [*promised.split(","), "outcome", "trust", "emulated"]
    assert len([row for row in found if row["metric"] != "outcome"]) == sum(len(cell.metrics) for cell in run.cells)


def test_numbers_read_back_exactly(run: Run) -> None:
    written = (metric for cell in run.cells for metric in cell.metrics)
    read = (row for row in rows(run, "results.csv") if row["metric"] != "outcome")
    for metric, row in zip(written, read, strict=True):
        assert float(row["value"]) == metric.value
        assert (float(row["ci_low"]) if row["ci_low"] else None) == metric.ci_low
        assert int(row["n"]) == metric.n
        assert row["lower_is_better"] == str(metric.lower_is_better).lower()


def test_cells_that_are_not_ok_are_rows_without_a_value(run: Run) -> None:
    bad = [row for row in rows(run, "results.csv") if row["metric"] == "outcome"]
    assert {row["outcome"] for row in bad} == {"crashed", "failed", "unsupported"}
    assert {row["value"] for row in bad} == {""}
    assert len(bad) == sum(cell.outcome is not Outcome.OK for cell in run.cells)


def test_cells_csv_has_a_row_a_cell(run: Run) -> None:
    found = rows(run, "cells.csv")
    assert [row["cell"] for row in found] == [cell.id for cell in run.cells]
    assert tuple(found[0]) == tables.CELL_COLUMNS
    assert float(found[0]["p50_ms_low"]) < float(found[0]["p50_ms"]) < float(found[0]["p50_ms_high"])
    crashed = next(row for row in found if row["outcome"] == "crashed")
    assert crashed["p50_ms"] == ""
    assert crashed["reason"] == "SIGILL at the first frame, <img src=x>"
    assert {row["emulated"] for row in found} == {"true", "false"}


def test_every_figure_of_an_emulator_is_marked(run: Run) -> None:
    marks = {row["target"]: row["emulated"] for row in rows(run, "results.csv")}
    assert marks == {target.name: str(target.emulated).lower() for target in run.targets}
    lines = FORMATS["markdown"](run, None)["summary.md"].splitlines()
    table = [line.split(" | ")[1] for line in lines if line.startswith("| ") and "onnxruntime cpu" in line]
    assert {name for name in table if name.startswith("arm64")} == {"arm64 (emulated)"}
    assert "(emulated)" not in "".join(name for name in table if not name.startswith("arm64"))


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0"])
def test_names_are_no_formulas(name: str, run: Run) -> None:
    cell = run.cells[0]
    named = cell.model_copy(update={"key": cell.key.model_copy(update={"variant": name})})
    hostile = run.model_copy(update={"cells": (named,)})
    for file in ("cells.csv", "results.csv"):
        assert {row["variant"] for row in rows(hostile, file)} == {"'" + name.replace("\r", "\n")}
    assert set(text.to_frames(hostile)[0]["variant"]) == {name}  # data frames are no spreadsheets


def test_negative_numbers_stay_numbers(run: Run) -> None:
    cell = run.cells[0]
    metric = cell.metrics[0].model_copy(update={"value": -1.5})
    hostile = run.model_copy(update={"cells": (cell.model_copy(update={"metrics": (metric,)}),)})
    assert rows(hostile, "results.csv")[0]["value"] == "-1.5"


def test_a_name_with_commas_quotes_and_lines_is_one_cell(run: Run) -> None:
    name = 'a,"b"\nc'
    cell = run.cells[0]
    named = cell.model_copy(update={"key": cell.key.model_copy(update={"variant": name})})
    assert rows(run.model_copy(update={"cells": (named,)}), "cells.csv")[0]["variant"] == name


def table_lines(run: Run) -> Iterator[str]:
    return (line for line in FORMATS["markdown"](run, None)["summary.md"].splitlines() if line.startswith("|"))


def test_markdown_has_a_row_a_cell_and_the_headline(run: Run) -> None:
    head, rule, *body = table_lines(run)
    assert len(body) == len(run.cells)
    assert head.count("|") == rule.count("|") == 12
    assert FORMATS["markdown"](run, None)["summary.md"].startswith("**mobilenetv3-small-int8, the fastest ")


def test_markdown_shows_names_as_they_are(run: Run) -> None:
    words = {"warnings": ("see [this](http://x) | @everyone <img>",), "headline": "# <b>*bold*</b>"}
    page = FORMATS["markdown"](run.model_copy(update=words), None)["summary.md"]
    assert "<script>" not in page
    assert "<img>" not in page
    assert "](http" not in page
    assert "@everyone" not in page
    assert "&lt;script&gt;" in page
    assert page.startswith("**\\# &lt;b&gt;\\*bold\\*")
    assert HOSTILE not in page
