"""Long passes: when a device slows down, whether the ranking holds, and who missed a deadline."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from reports import endurance
from reports.records import Cell, Outcome, RealTime, Run, Sustained, Vitals


def frames(*stretches: tuple[float, float]) -> NDArray[np.int64]:
    """Return frames of so many seconds at so many ms each, one stretch after the other."""
    rows, second = [], 0
    for seconds, ms in stretches:
        for _ in range(int(seconds)):
            rows += [(second * 10**9, int(ms * 1e6))] * max(1, int(1000 / ms))
            second += 1
    return np.array(rows, np.int64)


def heated(seconds: float) -> tuple[Vitals, ...]:
    return (
        Vitals(when="before", seconds=0.0, temperature_c=41.0, throttled=True),
        Vitals(when="during", seconds=seconds, temperature_c=83.5, throttled=True),
    )


def test_a_device_that_keeps_its_pace() -> None:
    found = endurance.sustained(frames((100, 20.0)), ())
    assert (found["first_p50_ms"], found["last_p50_ms"], found["throttled_after_s"]) == (20.0, 20.0, None)


def test_a_device_that_slows_down_is_found_at_its_first_slow_second() -> None:
    found = endurance.sustained(frames((60, 20.0), (1, 50.0), (9, 20.0), (50, 25.0)), ())
    assert found["throttled_after_s"] == 70.0
    assert (found["first_p50_ms"], found["last_p50_ms"]) == (20.0, 25.0)


def test_a_device_that_says_so_is_believed() -> None:
    found = endurance.sustained(frames((40, 20.0)), heated(12.0))
    assert (found["throttled_after_s"], found["hottest_c"]) == (12.0, 83.5)


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 600), st.floats(50.0, 400.0))
def test_a_course_is_short_and_goes_from_end_to_end(seconds: int, ms: float) -> None:
    course = endurance.course(frames((seconds, ms)))
    assert 1 < len(course) <= endurance.POINTS
    assert course[0][0] <= seconds / 2 <= course[-1][0] + 1


def cell_with(whole: Run, name: str, first: float, last: float) -> Cell:
    cell = next(
        cell for cell in whole.cells if cell.outcome is Outcome.OK and not whole.target(cell.key.target).emulated
    )
    record = Sustained(outcome=Outcome.OK, seconds=1800, count=9, first_p50_ms=first, last_p50_ms=last)
    return cell.model_copy(update={"key": cell.key.model_copy(update={"variant": name}), "sustained": record})


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (
            (10.0, 20.0),
            (12.0, 15.0),
            "small ({0}) is faster than large ({0}) at first and slower in the end",
        ),
        ((10.0, 14.0), (12.0, 15.0), "the ranking at the beginning is that at the end"),
        (
            (12.0, 15.0),
            (10.0, 20.0),
            "large ({0}) is faster than small ({0}) at first and slower in the end",
        ),
        ((10.0, 12.1), (10.1, 12.0), "the ranking at the beginning is that at the end"),
    ],
)
def test_whether_the_ranking_holds(run: Run, one: tuple[float, float], other: tuple[float, float], said: str) -> None:
    cells = (cell_with(run, "small", *one), cell_with(run, "large", *other))
    sentences = endurance.ranking(run.model_copy(update={"cells": cells}))
    assert said.format(cells[0].key.runtime) in sentences[0]
    assert len(sentences) == 1


def served(*rows: tuple[float, float, float]) -> NDArray[np.int64]:
    """Return arrivals of one camera in ms: arrival, start, end; a start of -1 was dropped."""
    ms = [
        (0, arrival * 1e6, start * 1e6 if start >= 0 else -1, end * 1e6 if start >= 0 else -1)
        for arrival, start, end in rows
    ]
    return np.array(ms).astype(np.int64)


def test_late_and_dropped_frames_miss_their_deadline() -> None:
    rows = served((0, 0, 5), (10, 10, 25), (20, -1, -1), (30, 30, 34))
    found = endurance.realtime(rows, fps=100)
    assert (found["arrivals"], found["missed"], found["dropped"]) == (4, 2, 1)
    assert (found["queue_delay_p50_ms"], found["response_p50_ms"]) == (0.0, 5.0)
    assert found["response_p95_ms"] is None


def test_rates_have_an_interval_and_name_their_pace() -> None:
    record = RealTime(outcome=Outcome.OK, fps=30, streams=2, seconds=10, arrivals=600, missed=6, dropped=0)
    found = {metric.metric: metric for metric in endurance.realtime_metrics(record)}
    missed = found["deadline_miss_rate"]
    assert (missed.scope, missed.value) == ("2 x 30 fps", 0.01)
    assert missed.ci_low is not None
    assert missed.ci_high is not None
    assert missed.ci_low < 0.01 < missed.ci_high


def test_a_frame_may_take_longer_than_a_quarter_of_the_pass() -> None:
    rows = np.array([(second * 10**9, 4_000_000_000) for second in (0, 4, 8)], np.int64)
    assert endurance.sustained(rows, ())["last_p50_ms"] == 4000.0
