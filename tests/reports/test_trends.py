"""Trends over nights: a gap is a gap, a change is named, an emulator's times stay out."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from reports import history_page, trend_chart, trends
from reports.charts import COLOURS
from reports.history import CellRow, NightRow
from reports.patterns import chosen, matches, path
from reports.records import Acceptance, Key
from reports.trends import Trend, sparkline
from tests.reports.synthetic import HOSTILE

KEY = Key(variant="int8", target="pi4", runtime="onnxruntime", provider="cpu", threads=1)


def nights(*days: int, job: str = "nightly") -> dict[int, NightRow]:
    return {day: NightRow(f"run-{day}", job, f"2026-01-{day:02}T01:00:00+00:00", 0, "fine", "") for day in days}


def row(night: int, p50: float | None, **changes: object) -> CellRow:
    outcome = "ok" if p50 is not None else "lost"
    figures = {"p50_ms": p50, "p50_low_ms": p50 and p50 * 0.99, "p50_high_ms": p50 and p50 * 1.01, "auc": 0.9}
    told = {"reason": "" if p50 else "no answer", "trust": "trusted", "verdict": "", "sha256": "aa"}
    cell = CellRow(night, KEY, outcome, emulated=False, runtime_version="1.23", device="Pi 4", figures=figures, **told)
    return replace(cell, **changes)  # type: ignore[arg-type]


def one(rows: list[CellRow], *days: int) -> Trend:
    (trend,), _ = trends.trends(nights(*days), rows, "p50_ms")
    return trend


def test_a_night_without_a_value_is_a_gap() -> None:
    trend = one([row(2, 1.0), row(3, None), row(5, 1.2)], 1, 2, 3, 4, 5)
    assert [value.value for value in trend.values] == [1.0, None, None, 1.2]  # from the first night that knew the cell
    assert [value.why for value in trend.values] == ["", "lost: no answer", "not in the run", ""]
    assert trend.ratio == pytest.approx(1.2)
    assert (trend.gaps, trends.change(trend)) == (2, "+20 %")
    assert sparkline([value.value for value in trend.values]) == "▁··█"


def test_what_changed_is_named_against_the_last_report() -> None:
    rows = [row(1, 1.0), row(2, None, sha256="", runtime_version="", device=""), row(3, 1.0, sha256="bb")]
    trend = one([*rows, row(4, 1.0, sha256="bb", runtime_version="1.24", device="Pi 5")], 1, 2, 3, 4)
    told = [[str(change) for change in value.changes] for value in trend.values]
    assert told == [[], [], ["model aa -> bb"], ["runtime 1.23 -> 1.24", "device Pi 4 -> Pi 5"]]


def test_jobs_do_not_share_a_trend() -> None:
    both = nights(1, 3) | nights(2, job="smoke")
    found, _ = trends.trends(both, [row(1, 1.0), row(2, 9.0), row(3, 1.0)], "p50_ms")
    assert {trend.job: [value.value for value in trend.values] for trend in found} == {
        "nightly": [1.0, 1.0],
        "smoke": [9.0],
    }


def test_a_night_that_ends_while_the_history_is_read_is_not_in_it_yet() -> None:
    assert one([row(1, 2.0), row(2, 3.0)], 1).values[-1].value == 2.0


def test_times_of_emulators_are_left_out_and_their_accuracy_is_not() -> None:
    rows = [row(1, 1.0, emulated=True)]
    assert trends.trends(nights(1), rows, "p50_ms") == ([], 1)
    (trend,), left_out = trends.trends(nights(1), rows, "auc")
    assert (trend.known[0].value, left_out) == (0.9, 0)


@pytest.mark.parametrize(
    ("values", "bars"),
    [
        ([], ""),
        ([None, None], "··"),
        ([1.0], "▅"),
        ([1.0, 1.001, 1.0], "▄▅▄"),
        ([0.0, 0.0], "▅▅"),
        ([1, 2, 3, 4, 5, 6, 7, 8], "▁▂▃▄▅▆▇█"),
    ],
)
def test_sparklines(values: list[float | None], bars: str) -> None:
    assert sparkline(values) == bars


def test_a_line_is_not_drawn_over_gaps_or_pauses() -> None:
    rows = [row(day, 1.0 + 0.1 * day) for day in (1, 2, 4, 5, 9)] + [row(3, None)]
    drawn = trend_chart.draw(one(rows, 1, 2, 3, 4, 5, 9), "t", "trend")
    found = [element for element in ElementTree.fromstring(drawn).iter("path") if _is_curve(element)]
    (line,) = (element.get("d", "") for element in found)
    # A pen put down for each stretch: 1-2, 4-5, and 9 alone; a line inside the first two only.
    assert (line.count("M"), line.count("L")) == (3, 2)


def _is_curve(element: ElementTree.Element) -> bool:
    style = element.get("style", "")
    return f"stroke: {COLOURS[0]}" in style and "fill: none" in style


def test_a_page_holds_what_was_decided_and_escapes_all_of_it() -> None:
    hostile = KEY.model_copy(update={"variant": HOSTILE})
    rows = [row(1, 1.0, key=hostile), row(2, None, key=hostile, reason="<b>gone</b>")]
    found, _ = trends.trends(nights(1, 2), rows, "p50_ms")
    word = Acceptance(key=hostile, until="2026-02-01", reason="<i>why</i>", author="<u>Ann</u>", accepted="2026-01-01")
    page = history_page.render(found, list(nights(1, 2).values()), [word], [])
    assert "<script" not in page
    assert all(part not in page for part in ("<b>gone", "<i>why", "<u>Ann"))
    assert all(part in page for part in ("&lt;i&gt;why", "2026-02-01", "1 gap<", "run-2"))
    assert page == history_page.render(found, list(nights(1, 2).values()), [word], [])


def test_a_page_of_gaps_alone_has_no_chart() -> None:
    found, _ = trends.trends(nights(1), [row(1, None)], "p50_ms")
    assert "<svg" not in history_page.render(found, list(nights(1).values()), [], [])


# -- how cells are named


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("", True),
        ("int8", True),
        ("int", False),
        ("int*/pi4", True),
        ("*/pi5", False),
        ("int8/pi4/onnxruntime/cpu/1", True),
        ("int8/pi4/onnxruntime/cpu/2", False),
        ("//onnxruntime", True),
        ("int8/pi4/onnxruntime/cpu/1/2", False),
    ],
)
def test_patterns(pattern: str, meant: bool) -> None:
    assert matches(pattern, KEY) is meant


@pytest.mark.parametrize("provider", ["cpu?cache=/tmp/a/b", "cpu", "cpu?a=[1]"])
@pytest.mark.parametrize("variant", ["int8", "a*b", "[x]"])
def test_the_path_of_a_cell_means_that_cell(variant: str, provider: str) -> None:
    key = KEY.model_copy(update={"variant": variant, "provider": provider})
    assert chosen(path(key), [KEY.model_copy(update={"threads": 7}), key, key]) == [key]
