from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Callable
from subprocess import run as start
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from reports import charts, svg
from reports.charts import Bar, Curve, Label, Point, Style
from tests.reports.synthetic import HOSTILE


def luminance(colour: str) -> float:
    """Return the relative luminance of WCAG 2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colour", [*charts.COLOURS, *charts.STAGE_COLOURS.values()])
@pytest.mark.parametrize("paper", ["#ffffff", "#14171b"])
def test_colours_stand_out_on_light_and_dark(colour: str, paper: str) -> None:
    assert contrast(colour, paper) >= 3


def test_forty_eight_variants_look_different() -> None:
    looks = {(Style(at).colour, Style(at).dash, Style(at).marker) for at in range(48)}
    assert len(looks) == 48
    assert len({Style(at).colour for at in range(12)}) == 12


def curves() -> list[Curve]:
    draw = np.random.default_rng(0)
    return [Curve(Style(at), np.exp(draw.normal(at, 0.1, 300))) for at in range(3)]


def points(count: int = 12, seed: int = 0, label: str = "efficientnet-lite0-pruned-") -> list[Point]:
    draw = np.random.default_rng(seed)
    made = []
    for at in range(count):
        ms, quality = float(np.exp(draw.normal(1, 0.5))), float(draw.uniform(0.8, 0.99))
        ends = (quality - 0.02, quality, min(1.0, quality + 0.02))
        made.append(Point(f"{label}{at}", Style(at), (ms * 0.98, ms, ms * 1.02), ends, float(draw.uniform(0.3, 20))))
    return made


BARS = [Bar(HOSTILE, {"decode": 1.0, "inference": 2.0}, 3.1), Bar("_hidden", {"inference": 0.0}, 0.0)]


@pytest.mark.parametrize("name", ["a", "b"])
def test_charts_are_the_same_every_time_and_well_formed(name: str) -> None:
    drawings: tuple[Callable[[], str], ...] = (
        lambda: charts.ecdf(curves(), name, "t"),
        lambda: charts.stages(BARS, name, "t"),
        lambda: charts.scatter(points(), name, "t", "AUC"),
        lambda: charts.swatch(Style(5), name),
    )
    for draw in drawings:
        page = draw()
        assert page == draw()
        root = ElementTree.fromstring(page)
        assert root.tag == "svg"
        identities = {element.get("id") for element in root.iter() if element.get("id")}
        assert all(identity and identity.startswith(f"{name}-") for identity in identities)
        used = re.findall(r'(?:url\(#|href="#)([^)"]+)', page)
        assert set(used) <= identities


def test_ink_follows_the_page_and_nothing_is_loaded() -> None:
    page = charts.scatter(points(3), "x", "t", "AUC")
    assert svg.INK not in page
    assert svg.PAPER not in page
    assert "currentColor" in page
    assert "http" not in page
    assert "<style" not in page
    assert "<metadata" not in page


def test_names_are_text_whatever_they_hold() -> None:
    page = charts.stages(BARS, "x", HOSTILE)
    texts = ["".join(element.itertext()) for element in ElementTree.fromstring(page).iter("text")]
    assert HOSTILE in texts
    assert "_hidden" in texts
    assert "<script>" not in page


@pytest.mark.parametrize("name", ["\x00\x1b[31m\nred", "日本語 😀", "$\\frac{1}{0}$", "", "x" * 500])
def test_odd_names_do_not_break_a_chart(name: str) -> None:
    page = charts.stages([Bar(name, {"inference": 1.0}, 1.0)], "x", "t")
    ElementTree.fromstring(page)
    assert "\x00" not in page
    charts.scatter([*points(1), Point(name, Style(1), (1, 1, 1), (0.5, 0.5, 0.5), 0.0)], "x", "t", "AUC")


def test_long_names_lose_their_middle() -> None:
    assert svg.printable("a" * 30 + "b" * 31) == "a" * 29 + "…" + "b" * 30
    assert svg.printable("a" * 60) == "a" * 60


def placed(given_points: list[Point]) -> tuple[list[Label], list[charts.Box]]:
    figure = Figure(figsize=(charts.SCATTER[0] / 72, charts.SCATTER[1] / 72), dpi=72)
    axes = figure.subplots()
    charts._scale(axes, min(p.ms[0] for p in given_points), max(p.ms[2] for p in given_points))
    axes.set_ylim(*charts._room(given_points))
    labels = charts.place_labels(axes, given_points)
    boxes = [label.box for label in labels]
    assert all(
        box[2] - box[0] >= 0.6 * charts.LABEL_SIZE * len(label.text) for label, box in zip(labels, boxes, strict=True)
    )
    return labels, boxes


@given(st.integers(0, 10_000), st.integers(2, 12))
@settings(max_examples=15, deadline=None)
def test_labels_of_a_scatter_cover_neither_each_other_nor_leave_the_figure(seed: int, count: int) -> None:
    labels, boxes = placed(points(count, seed))
    assert {label.text for label in labels} == {point.label for point in points(count, seed)}
    assert not any(charts.overlap(*pair) for pair in itertools.combinations(boxes, 2))
    for left, bottom, right, top in boxes:
        assert left >= 0
        assert bottom >= 0
        assert right <= charts.SCATTER[0]
        assert top <= charts.SCATTER[1]


def test_labels_of_points_in_one_place_are_spread() -> None:
    same = [Point(f"mobilenetv3-small-{at}", Style(at), (1.0, 1.0, 1.0), (0.9, 0.9, 0.9), 2.0) for at in range(12)]
    _, boxes = placed(same)
    assert not any(charts.overlap(*pair) for pair in itertools.combinations(boxes, 2))


def test_best_leaves_out_what_another_beats() -> None:
    made = [
        Point(name, Style(0), (ms, ms, ms), (auc, auc, auc), 1.0)
        for name, ms, auc in (("slow", 3.0, 0.9), ("fast", 1.0, 0.8), ("beaten", 2.0, 0.7), ("good", 2.0, 0.9))
    ]
    assert [point.label for point in charts.best(made)] == ["fast", "good"]


@given(st.floats(1e-4, 1e5), st.floats(1.05, 1e6))
def test_ticks_are_few_and_inside(low: float, ratio: float) -> None:
    for logarithmic in (True, False):
        if logarithmic and ratio <= 4:  # drawn linear
            continue
        found = charts.ticks(low, low * ratio, logarithmic)
        assert 2 <= len(found) <= 8
        assert all(low * (1 - 1e-9) <= place <= low * ratio * (1 + 1e-9) for place in found)
        assert len({f"{place:,.6g}" for place in found}) == len(found)


def test_matplotlib_is_loaded_only_by_a_drawing() -> None:
    code = "import reports.charts, reports.html, reports.files, sys; sys.exit('matplotlib' in sys.modules)"
    assert start([sys.executable, "-c", code], check=False).returncode == 0


def test_settings_of_the_caller_are_kept() -> None:
    with mpl.rc_context({"font.size": 33.0, "text.parse_math": True}):
        charts.swatch(Style(0), "x")
        assert mpl.rcParams["font.size"] == 33.0
