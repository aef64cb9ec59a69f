from __future__ import annotations

import math

import pytest

from reports.records import Method, Metric, Outcome, Round, Trust, Verdict, Vitals
from reports.trust import counted, half_width, verdict
from tests.reports.synthetic import METHOD, QUICK, a_round, vitals


def p50(width: float = 0.005, frames: int = 320) -> Metric:
    """Return a p50 of 10 ms that is known to ± width."""
    low, high = 10 / (1 + width), 10 * (1 + width)
    return Metric(metric="latency_p50", scope="end_to_end", unit="ms", value=10.0, ci_low=low, ci_high=high, n=frames)


def rounds(count: int = 5, **changes: object) -> list[Round]:
    return [a_round(number, **changes) for number in range(count)]


def judged(
    entries: list[Round], metric: Metric | None = None, method: Method = METHOD, emulated: bool = False
) -> Verdict:
    found = verdict(entries, method, metric or p50(), emulated)
    assert found is not None
    return found


def test_a_calm_cell_is_trusted_and_says_why() -> None:
    found = judged(rounds())
    assert found.trust is Trust.TRUSTED
    assert found.reason == "5 rounds, 320 frames, p50 to ±0.5 %"
    assert found.next_step == ""


def test_no_time_no_verdict() -> None:
    assert verdict(rounds(), METHOD, None, False) is None
    assert verdict(rounds(outcome=Outcome.CRASHED), METHOD, p50(), False) is None


@pytest.mark.parametrize(("width", "trust"), [(0.019, Trust.TRUSTED), (0.021, Trust.NOISY)])
def test_noisy_is_wider_than_twice_the_half_width_asked(width: float, trust: Trust) -> None:
    assert judged(rounds(), p50(width)).trust is trust


def test_noisy_names_both_widths() -> None:
    found = judged(rounds(), p50(0.034))
    assert found.reason == "p50 is known to ±3.4 % from 5 rounds, asked was ±1 %"
    assert found.next_step


def test_a_p50_without_interval_is_noisy() -> None:
    bare = p50().model_copy(update={"ci_low": None, "ci_high": None})
    assert half_width(bare) is None
    assert judged(rounds(), bare).trust is Trust.NOISY


def test_throttled_rounds_that_count_are_said_with_the_temperature() -> None:
    entries = [*rounds(4), a_round(4, vitals=vitals(throttled=True))]
    found = judged(entries)
    assert found.trust is Trust.THROTTLED
    assert found.reason == "1 of 5 rounds throttled, up to 52 °C"


def test_throttled_rounds_that_were_left_out_do_no_harm_if_enough_remain() -> None:
    hot = [a_round(9, tainted="throttled at 85 C", vitals=vitals(throttled=True))]
    assert judged(rounds(5) + hot).trust is Trust.TRUSTED
    assert judged(rounds(4) + hot, p50(frames=256)).trust is Trust.THROTTLED


def test_where_all_rounds_are_tainted_they_count_and_are_marked() -> None:
    assert judged(rounds(tainted="throttled")).trust is Trust.THROTTLED
    swapping = judged(rounds(tainted="swapping"))
    assert swapping.trust is Trust.NOISY
    assert "swapping" in swapping.reason


def test_counted_prefers_untainted_rounds_that_went_well() -> None:
    entries = [a_round(0, tainted="load"), a_round(1), a_round(2, outcome=Outcome.LOST)]
    assert [entry.number for entry in counted(entries)] == [1]
    assert [entry.number for entry in counted(entries[::2])] == [0]
    assert counted(entries[2:]) == []


def test_under_sampled_is_quick_or_below_a_floor() -> None:
    quick = judged(rounds(2), p50(0.5, 32), QUICK)
    assert (quick.trust, quick.reason) == (Trust.UNDER_SAMPLED, "a quick run: 2 rounds and 32 frames")
    assert "--quick" in quick.next_step
    assert judged(rounds(4), p50(frames=256)).trust is Trust.UNDER_SAMPLED
    assert judged(rounds(5), p50(frames=319)).trust is Trust.UNDER_SAMPLED


def test_a_cell_that_was_measured_to_its_end_is_not_sent_to_a_resume() -> None:
    disturbed = [a_round(number, tainted="other processes had its processor") for number in range(3, 10)]
    assert judged(rounds(3)).next_step == "resume the run"
    found = judged([*rounds(3), *disturbed])
    assert (found.trust, found.next_step.endswith("run it again")) == (Trust.UNDER_SAMPLED, True)


def test_unwatched_is_where_nothing_tells_of_heat() -> None:
    blind = rounds(vitals=vitals(watched=False))
    assert judged(blind).trust is Trust.UNWATCHED
    assert judged(rounds(vitals=())).trust is Trust.UNWATCHED
    for reading in ({"clock_mhz": 600.0}, {"temperature_c": 40.0}, {"throttled": False}):
        seen = (Vitals.model_validate({"when": "before", "seconds": 0.0} | reading),)
        assert judged([*blind[1:], a_round(0, vitals=seen)]).trust is Trust.TRUSTED


def test_precedence_from_what_voids_to_what_leaves_a_doubt() -> None:
    blind, wide = vitals(watched=False), p50(0.5, 32)
    assert judged(rounds(2, vitals=vitals(throttled=True)), wide, QUICK, emulated=True).trust is Trust.EMULATED
    assert judged(rounds(2, vitals=vitals(throttled=True)), wide, QUICK).trust is Trust.THROTTLED
    assert judged(rounds(2, vitals=blind), wide, QUICK).trust is Trust.UNDER_SAMPLED
    assert judged(rounds(vitals=blind), p50(0.5)).trust is Trust.NOISY


def test_every_label_but_trusted_has_a_next_step() -> None:
    found = [
        judged(rounds(), emulated=True),
        judged(rounds(vitals=vitals(throttled=True))),
        judged(rounds(3)),
        judged(rounds(), p50(0.1)),
        judged(rounds(vitals=())),
    ]
    assert {entry.trust for entry in found} == set(Trust) - {Trust.TRUSTED}
    assert all(entry.next_step for entry in found)


def test_a_noisy_cell_says_what_the_asked_width_would_cost() -> None:
    found = judged(rounds(), p50(0.03))  # three times as wide as asked: nine times the rounds
    seconds = math.ceil(45 * rounds()[0].seconds)
    assert found.next_step.endswith(f", or give the cell about 45 rounds: --budget {seconds}")
