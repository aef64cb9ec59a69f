from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reports import energy, text
from reports.collate import Measured, collate
from reports.html import render
from reports.records import Key, Metric, Round, Run, Vitals
from tests.reports.synthetic import METHOD, a_round, times

WINDOW = (1.0, 4.0)


def sample(seconds: float, **reading: Any) -> Vitals:
    return Vitals(when="during", seconds=seconds, **reading)


def powered(*readings: tuple[float, float], window: tuple[float, float] | None = WINDOW, number: int = 1) -> Round:
    seen = tuple(sample(t, power_w=watts, power_of="the battery") for t, watts in readings)
    return a_round(number, vitals=seen, frames_s=window)


def counting(*readings: tuple[float, float], window: tuple[float, float] = WINDOW) -> Round:
    seen = tuple(sample(t, energy_j=joules, energy_of="the package") for t, joules in readings)
    return a_round(1, vitals=seen, frames_s=window)


def test_power_is_that_of_the_frames_alone() -> None:
    assert energy.watts(powered((0.5, 100), (1.5, 4), (2.5, 6), (3.5, 5), (4.5, 100))) == 5


def test_a_counter_gives_its_increase_over_the_frames() -> None:
    entry = counting((0, 1000), (1, 1500), (2, 1504), (3, 1510), (4, 1515), (5, 9999))
    assert energy.watts(entry) == 5


def test_a_counter_counts_where_most_of_its_time_is_of_frames() -> None:
    assert energy.watts(counting((0.6, 0), (1.6, 7), (3.6, 17), (5.2, 99))) == pytest.approx(17 / 3)
    assert energy.watts(counting((0, 0), (1.4, 7), (9, 17))) is None


def test_a_counter_that_began_anew_tells_nothing() -> None:
    assert energy.watts(counting((1, 262_140), (2, 3), (3, 9), (4, 15))) == 6


@pytest.mark.parametrize(
    "entry",
    [powered(), powered((0.5, 4)), powered((2, 4), window=None), counting((2, 5)), counting((1, 5), (2, 5))],
    ids=["nothing", "outside", "no window", "one reading", "a counter that stands"],
)
def test_what_is_not_measured_is_none(entry: Round) -> None:
    assert energy.watts(entry) is None
    assert energy.metrics([entry], {1: times(2.0)}) == ()


def found(metrics: tuple[Metric, ...]) -> dict[str, Metric]:
    return {metric.metric: metric for metric in metrics}


def test_joules_are_power_times_the_time_of_a_frame() -> None:
    frames = np.full((110, 5), 20_000_000, np.int64)
    frames[:10] = 10**12  # warm-up
    rounds = [powered((2, watts), number=n) for n, watts in enumerate((4.9, 5.0, 5.1))]
    metrics = found(energy.metrics([*rounds, powered(number=3)], dict.fromkeys(range(4), frames)))
    per_frame, power = metrics["energy_j"], metrics["power_w"]
    assert per_frame.value == pytest.approx(0.1, rel=1e-3)
    assert (per_frame.unit, per_frame.n, per_frame.lower_is_better) == ("J", 3, True)
    assert per_frame.ci_low is not None
    assert per_frame.ci_high is not None
    assert per_frame.ci_low < 0.1 < per_frame.ci_high
    assert power.value == pytest.approx(5, rel=1e-3)


KEY = Key(variant="a", target="x86", runtime="onnxruntime", provider="cpu", threads=1)


def test_an_emulator_measures_the_power_of_its_host() -> None:
    raw = Measured(rounds=[powered((2, 5), number=n) for n in range(2)], frames={n: times(2.0) for n in range(2)})
    assert collate(KEY, raw, METHOD, emulated=False).value("energy_j", "all")
    assert collate(KEY, raw, METHOD, emulated=True).value("energy_j", "all") is None


def test_the_report_says_what_was_measured(run: Run) -> None:
    assert "mJ a frame" not in render(run)
    raw = Measured(rounds=[powered((2, 5), number=n) for n in range(3)], frames={n: times(2.0) for n in range(3)})
    variants = (run.variants[0].model_copy(update={"name": KEY.variant}),)
    cells = (collate(KEY, raw, METHOD, emulated=False),)
    measured = run.model_copy(update={"cells": cells, "variants": variants})
    page = render(measured)
    assert "mJ a frame" in page
    assert "the battery" in page
    assert "mJ a frame, at 5.00 W of the battery" in " ".join(text.as_text(measured).split())
