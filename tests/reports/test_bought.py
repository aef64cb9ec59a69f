"""What a run's seconds bought, the change that would be found, and cold starts: shown wherever a cell is."""

from __future__ import annotations

import csv
import io
import re

import pytest

from reports import bought, html, text
from reports.collate import Measured, collate
from reports.formats import FORMATS
from reports.page import starting
from reports.records import Cell, Key, Run
from reports.trust import counted
from tests.reports.synthetic import METHOD, QUICK, a_round, a_run, times

KEY = Key(variant="a", target="x86", runtime="onnxruntime", provider="cpu", threads=1)


def cell(rounds: int, spread: float = 0.004, tainted: int = 0, **key: str) -> Cell:
    """Return a cell whose medians of rounds are so far apart, of which the last `tainted` do not count."""
    frames = {at: times(2.0 * (1 + spread * ((at * 7) % 5 - 2)), 64, seed=at) for at in range(rounds)}
    entries = [a_round(at, frames=f"{at}.npy", tainted="hot" if at >= rounds - tainted else "") for at in frames]
    return collate(KEY.model_copy(update=key), Measured(entries, frames), METHOD, emulated=False)


def run_of(*cells: Cell) -> Run:
    run, _ = a_run()
    return run.model_copy(update={"cells": cells})


def test_a_cell_says_what_its_rounds_bought() -> None:
    found = cell(8)
    change = found.value("min_detectable_change", "end_to_end")
    assert change is not None
    told = bought.sentence(found, METHOD)
    assert told.startswith("8 rounds in 26 s (budget 60 s): p50 known to ±0.")
    assert f", asked ±1 %; a slow-down of {100 * change:.1f} % would be found" in told


def test_rounds_that_do_not_count_are_told_and_paid() -> None:
    told = bought.sentence(cell(8, tainted=2), METHOD)
    assert told.startswith("8 rounds, 6 of which count in 26 s")


def test_too_few_rounds_find_nothing_and_a_quick_run_was_asked_for_no_width() -> None:
    told = bought.sentence(cell(2), QUICK)
    assert "asked" not in told
    assert "budget" not in told
    assert told.endswith("too few rounds to find a slow-down, which takes 5")
    assert bought.detectable(cell(2)) == "–"
    assert "p50 has no interval" in bought.sentence(cell(1), METHOD)


def test_a_cell_without_times_bought_nothing(run: Run) -> None:
    crashed = next(cell for cell in run.cells if cell.outcome == "crashed")
    assert bought.sentence(crashed, METHOD) == ""


def test_the_cells_of_a_target_are_told_together() -> None:
    [told] = bought.sentences(run_of(cell(8), cell(5, 0.03, variant="b"), cell(3, variant="c")))
    assert told.startswith("x86: 3 to 8 rounds a cell in 10 to 26 s (budget 60 s): p50 known to ±0.")
    assert "asked ±1 % and reached by 1 of 3 cells" in told
    assert told.endswith("% would be found in 2 of them")


def test_emulated_times_bought_nothing(run: Run) -> None:
    lines = bought.sentences(run)
    assert [line.partition(":")[0] for line in lines] == ["x86", "pi4"]
    emulated = next(cell for cell in run.cells if cell.key.target == "arm64")
    metric = cell(8).metric("min_detectable_change", "end_to_end")
    assert metric is not None
    assert bought.detectable(emulated.model_copy(update={"metrics": (metric,)})) == "–"


@pytest.mark.parametrize("width", [80, 160])
def test_the_terminal_shows_the_change_of_every_cell(run: Run, width: int) -> None:
    page = text.as_text(run, width)
    shown = [bought.detectable(cell) for cell in run.cells if cell.key.target != "arm64"]
    rows = re.findall(r"^ \S+ +\d +(?:–|[\d.,]+ ± [\d.]+ %) +(–|[\d.]+ %) ", page, re.MULTILINE)
    assert rows == shown
    assert " ".join(bought.sentences(run)[0].split()) in " ".join(page.split())


def test_cells_csv_has_change_seconds_and_cold_starts(run: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"](run, None)["cells.csv"])))
    first, measured = rows[0], run.cells[0]
    for column, metric in (("cold_start_ms", "p50"), ("cold_start_min_ms", "min"), ("cold_start_max_ms", "max")):
        assert float(first[column]) == measured.value(f"cold_start_{metric}", "all")
    assert float(first["min_detectable_change"]) == measured.value("min_detectable_change", "end_to_end")
    assert float(first["rounds_s"]) == pytest.approx(5 * 3.2)


def test_the_page_shows_change_sentence_and_every_process(run: Run) -> None:
    page = html.render(run)
    assert page.count(f'<td class="n">{bought.detectable(run.cells[0])}</td>') >= 14
    told = [bought.sentence(cell, run.method) for cell in run.cells if cell.key.target != "arm64"]
    assert all(page.count(sentence) >= told.count(sentence) for sentence in told if sentence)
    section = page[page.index('<section id="starts">') :]
    section = section[: section.index("</section>")]
    timed = [cell for cell in run.cells if cell.key.target != "arm64" and cell.value("cold_start_p50", "all")]
    assert section.count("<circle") == sum(len(counted(cell.rounds)) for cell in timed)
    assert section.count('class="first"') == len(timed)


def test_dots_lie_inside_the_strip_on_the_scale_of_their_target() -> None:
    slow = cell(5, variant="b")
    rounds = tuple(entry.model_copy(update={"import_ms": 500.0 + entry.number}) for entry in slow.rounds)
    slow = collate(slow.key, Measured(rounds, {at: times(2.0, 64) for at in range(5)}), METHOD, emulated=False)
    quick, other = starting.strips(run_of(cell(5), slow))
    assert quick.slowest == other.slowest == slow.value("cold_start_max", "all")
    assert 0 < max(quick.dots) < min(other.dots) < starting.WIDTH
    assert min(other.dots) <= other.median <= max(other.dots)
