from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports import figures
from reports.records import Metric, Run


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0"),
        (1.234, "1.23"),
        (12.34, "12.3"),
        (1234.5, "1,234"),
        (0.1234, "0.123"),
        (0.001234, "0.00123"),
        (-2.5, "-2.50"),
        (9.9996, "10.0"),
        (0.0009999, "0.00100"),
        (1e-9, "1e-09"),
    ],
)
def test_numbers_have_three_digits(value: float | None, text: str) -> None:
    assert figures.number(value) == text


@given(st.floats(1e-6, 1e8))
def test_numbers_read_back_within_half_a_percent(value: float) -> None:
    assert float(figures.number(value).replace(",", "")) == pytest.approx(value, rel=0.0051)


def test_percent_rate_and_interval() -> None:
    metric = Metric(metric="auc", scope="all", unit="1", value=0.9, ci_low=0.8765, ci_high=0.95, n=10)
    assert figures.percent(0.0123) == "1.2 %"
    assert figures.rate(metric) == "0.900"
    assert figures.rate(None) == "–"
    assert figures.interval(metric, 2) == "0.88 to 0.95"
    assert figures.interval(metric) == "0.876 to 0.950"
    assert figures.interval(metric.model_copy(update={"ci_low": None})) == ""


def test_standing_is_the_outcome_or_else_the_trust(run: Run) -> None:
    words = {figures.standing(cell) for cell in run.cells}
    assert words == {"trusted", "throttled", "unwatched", "crashed", "failed", "unsupported", "emulated"}


def test_size_of_an_unknown_variant_is_not_invented(run: Run) -> None:
    cell = run.cells[0]
    assert figures.megabytes(run, cell) == "6.10"
    assert figures.megabytes(run.model_copy(update={"variants": ()}), cell) == "–"
