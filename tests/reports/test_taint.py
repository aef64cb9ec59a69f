"""Rounds that do not count: for what the device says of itself, never for their times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from reports import taint
from reports.records import Outcome, Round, Vitals
from tests.reports.synthetic import a_round


def watched(number: int, *clocks: float, hot: float = 50.0, **changes: Any) -> Round:
    """Return a round with these clocks while it ran, and one temperature."""
    readings = [Vitals(when="before", seconds=0.0, clock_mhz=600.0, temperature_c=hot)]
    readings += [Vitals(when="during", seconds=1.0 + at, clock_mhz=clock) for at, clock in enumerate(clocks)]
    return a_round(number, vitals=tuple(readings), **changes)


def reasons(*rounds: Round, start_c: float | None = None) -> Sequence[str]:
    return [entry.tainted for entry in taint.judged(rounds, start_c)]


def test_a_quiet_round_counts() -> None:
    assert reasons(watched(0, 1800, 1795, waited_share=0.01, stolen_share=0.0), watched(1, 1800)) == ["", ""]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (watched(0, 1800, 1400), "the clock moved between 1400 and 1800 MHz"),
        (watched(0, 1800, waited_share=0.31), "other processes had its processor for 31 % of the time"),
        (watched(0, 1800, stolen_share=0.07), "the hypervisor took 7 % of its processor"),
        (watched(0, 1800, hot=71.0), "as throttled: it began at 71 °C, asked was 55 °C"),
    ],
)
def test_a_round_is_tainted_by(entry: Round, said: str) -> None:
    assert reasons(entry, watched(1, 1800), start_c=55.0) == [said, ""]


def test_a_clock_is_held_against_the_highest_of_the_rounds() -> None:
    first = reasons(watched(0, 1500))
    both = reasons(watched(0, 1500), watched(1, 1800))
    assert first == [""]
    assert both == ["the clock was 1500 MHz, in another round 1800 MHz", ""]


def test_an_idle_clock_before_the_round_is_no_taint() -> None:
    assert reasons(watched(0, 1800)) == [""]


def test_throttling_is_told_by_the_device() -> None:
    readings = tuple(
        Vitals(when=when, seconds=0.0, throttled=flag) for when, flag in (("before", True), ("during", False))
    )
    later = tuple(Vitals(when="after", seconds=2.0, throttled=True) for _ in range(1))
    assert reasons(a_round(0, vitals=readings), a_round(1, vitals=later)) == ["", "throttled"]


def test_a_failed_round_needs_no_other_reason() -> None:
    failed = a_round(0, outcome=Outcome.CRASHED, waited_share=0.9)
    assert reasons(failed) == [""]
    assert taint.clean(taint.judged([failed, a_round(1), a_round(2, waited_share=0.9)])) == [a_round(1)]
