"""Decisions on pairs of rounds: who alarms, who finds, and who says that it does not know."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reports import decide
from reports.decide import ALARM, LOOKS, Rule
from reports.records import Decision

ratio = st.floats(0.5, 2.0)


def sessions(effect: float, deviation: float, count: int, rounds: int = LOOKS[-1]) -> Counter[Decision]:
    """Return what so many sessions with log-normal noise decide."""
    draw = np.random.default_rng(7)
    drawn = np.exp(draw.normal(math.log1p(effect), deviation, (count, rounds)))
    return Counter(decide.decide(row).decision for row in drawn)


def test_what_is_not_slower_is_not_called_slower() -> None:
    found = sessions(0.0, 0.0141, 4000)
    # Looking after every round at 99.9 % would raise some 40 false alarms here.
    assert found[Decision.REGRESSION] <= stats.binom.ppf(0.999, 4000, ALARM)
    assert found[Decision.SAME] > 3900


def test_looks_that_do_not_share_the_error_would_raise_more_false_alarms() -> None:
    draw = np.random.default_rng(3)
    logs = draw.normal(0.0, 0.02, (4000, LOOKS[-1]))
    counts = np.arange(1, LOOKS[-1] + 1)
    means = logs.cumsum(axis=1) / counts
    spread = np.sqrt(((logs**2).cumsum(axis=1) - counts * means**2)[:, 4:] / (counts[4:] - 1))
    scores = means[:, 4:] / (spread / np.sqrt(counts[4:]))
    alarms = int(np.sum((scores > stats.t.isf(ALARM, counts[4:] - 1)).any(axis=1)))
    assert alarms > stats.binom.ppf(0.999, 4000, ALARM)


@pytest.mark.parametrize(("effect", "deviation", "share"), [(0.05, 0.03, 0.99), (0.02, 0.0141, 0.95)])
def test_a_slow_down_is_found(effect: float, deviation: float, share: float) -> None:
    # .0141 is a pair of rounds of 1 % noise each.
    assert sessions(effect, deviation, 400)[Decision.REGRESSION] >= share * 400


def test_two_percent_takes_some_sixteen_rounds_at_one_percent_noise() -> None:
    draw = np.random.default_rng(5)
    drawn = np.exp(draw.normal(math.log1p(0.02), 0.0141, (300, LOOKS[-1])))
    assert np.median([decide.decide(row).pairs for row in drawn]) <= 16


def test_a_slow_down_of_the_margin_is_seldom_called_the_same() -> None:
    assert sessions(0.02, 0.02, 400, rounds=22)[Decision.SAME] <= decide.MISS * 400


@given(st.lists(ratio, min_size=1, max_size=45))
@settings(max_examples=60, deadline=None)
def test_a_decision_is_that_of_its_own_look_whatever_follows(values: list[float]) -> None:
    found = decide.decide(values)
    if found.decision is not Decision.UNDECIDED:
        assert decide.decide([*values, 3.0, 0.2]).decision is found.decision
        assert decide.decide(values[: found.pairs]) == found


@given(st.lists(ratio, min_size=5, max_size=40))
@settings(max_examples=60, deadline=None)
def test_swapping_the_sides_swaps_the_decision(values: list[float]) -> None:
    one, other = decide.decide(values), decide.decide([1 / value for value in values])
    swapped = {Decision.REGRESSION: Decision.IMPROVEMENT, Decision.IMPROVEMENT: Decision.REGRESSION}
    assert other.decision is swapped.get(one.decision, one.decision)
    assert one.ratio is not None
    assert other.ratio == pytest.approx(1 / one.ratio)


@given(st.lists(ratio, min_size=5, max_size=40))
@settings(max_examples=60, deadline=None)
def test_a_regression_lies_above_its_margin_and_its_bound_above_one(values: list[float]) -> None:
    found = decide.decide(values)
    assert found.low is not None
    assert found.high is not None
    assert found.ratio is not None
    assert found.low <= found.ratio <= found.high
    if found.decision is Decision.REGRESSION:
        assert found.low > 1
        assert found.ratio >= math.sqrt(1 + decide.MARGIN) * (1 - 1e-9)
        assert found.p is not None
        assert found.p <= ALARM


def test_what_is_shown_and_small_is_no_regression() -> None:
    values = 1.004 * np.exp(np.random.default_rng(0).normal(0, 0.0005, 40))
    found = decide.decide(values)
    assert found.low is not None
    assert found.low > 1
    assert found.decision is Decision.SAME


def test_too_few_pairs_are_undecided_and_say_how_many_are_looked_at() -> None:
    found = decide.decide([1.3, 1.3])
    assert (found.decision, found.pairs, found.needed) == (Decision.UNDECIDED, 2, LOOKS[0])
    assert decide.decide([]).ratio is None


def test_between_looks_the_last_one_counts() -> None:
    values = list(np.exp(np.random.default_rng(1).normal(0.012, 0.02, 11)))
    assert decide.decide(values) == decide.decide(values[:8])


def test_more_rounds_that_would_decide_are_named() -> None:
    values = np.exp(np.random.default_rng(2).normal(0.02, 0.02, 8))
    found = decide.decide(values)
    assert found.decision is Decision.UNDECIDED
    assert found.needed in LOOKS
    assert found.needed is not None
    assert found.needed > 8
    noise = decide.decide(np.exp(np.random.default_rng(2).normal(0.0, 0.3, 8)))
    assert noise.needed is None


@pytest.mark.parametrize("bad", [[1.0, 0.0], [1.0, -1.0], [1.0, math.nan], [[1.0]]])
def test_ratios_must_be_positive_numbers(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="ratios"):
        decide.decide(bad)


@pytest.mark.parametrize("pairs", [8, 16])
def test_the_minimum_detectable_change_is_found_as_often_as_it_says(pairs: int) -> None:
    deviation = 0.02
    change = decide.detectable(deviation, pairs)
    assert change is not None
    rule = Rule(looks=LOOKS)
    draw = np.random.default_rng(11)
    logs = draw.normal(math.log1p(change), deviation, (4000, pairs))
    bound = decide.quantile(rule.alarm, rule, pairs) * logs.std(axis=1, ddof=1) / math.sqrt(pairs)
    share = float(np.mean(logs.mean(axis=1) > bound))
    assert share == pytest.approx(decide.POWER, abs=0.05)


def test_the_minimum_detectable_change_falls_with_rounds_and_never_below_half_of_the_margin() -> None:
    found = [decide.detectable(0.02, pairs) for pairs in LOOKS]
    assert found == sorted(found, key=lambda one: -(one or 0))
    assert decide.detectable(1e-6, 40) == pytest.approx(math.sqrt(1 + decide.MARGIN) - 1)
    assert decide.detectable(0.02, 4) is None
    assert decide.detectable_alone([1.0]) is None


def test_a_lone_cell_detects_no_more_than_its_pair_would() -> None:
    draw = np.random.default_rng(4)
    shared = draw.normal(0, 0.02, 16)
    mine, theirs = (np.exp(shared + draw.normal(0, 0.003, 16)) for _ in range(2))
    alone, paired = decide.detectable_alone(mine), decide.decide(mine / theirs).mdc
    assert alone is not None
    assert paired is not None
    assert alone > paired


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
@settings(max_examples=40, deadline=None)
def test_adjusted_chances_are_never_smaller_and_keep_their_order(values: list[float]) -> None:
    found = decide.adjusted(values)
    assert all(adjusted >= value for adjusted, value in zip(found, values, strict=True))
    assert [found[at] for at in np.argsort(values)] == sorted(found)
    assert decide.adjusted([]) == []


def test_sessions_apart_agree_with_scipy() -> None:
    draw = np.random.default_rng(9)
    mine, theirs = np.exp(draw.normal(0.1, 0.02, 7)), np.exp(draw.normal(0.0, 0.05, 5))
    found = decide.apart(mine, theirs)
    known = stats.ttest_ind(np.log(mine), np.log(theirs), equal_var=False)
    ends = known.confidence_interval()
    assert found is not None
    assert found.p == pytest.approx(known.pvalue)
    assert found.low == pytest.approx(math.exp(ends.low))
    assert found.high == pytest.approx(math.exp(ends.high))
    assert decide.apart([1.0], theirs) is None


@pytest.mark.parametrize(("worse", "better", "p"), [(0, 0, 1.0), (10, 0, 0.5**10), (5, 5, 0.623046875)])
def test_flips_in_one_direction_are_unlikely_by_chance(worse: int, better: int, p: float) -> None:
    assert decide.mcnemar(worse, better) == pytest.approx(p)
