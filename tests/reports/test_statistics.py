from __future__ import annotations

import math
import time
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import roc_auc_score

from reports import statistics
from reports.statistics import Interval

positive = st.floats(1e-3, 1e6)


def holds(interval: Interval | None, truth: float) -> bool:
    assert interval is not None
    return interval.low <= truth <= interval.high


@given(st.lists(positive, min_size=1, max_size=50), st.floats(0, 100))
def test_percentile_is_the_linear_one_of_hyndman_and_fan(values: list[float], q: float) -> None:
    ordered = sorted(values)
    place = q / 100 * (len(values) - 1)
    below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
    assert statistics.percentile(values, q) == pytest.approx(below + (above - below) * (place % 1))


def test_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        statistics.percentile([], 50)


@pytest.mark.parametrize(("q", "frames"), [(90, 64), (95, 130), (99, 662)])
def test_a_percentile_is_carried_as_soon_as_two_frames_lie_above_it_with_99_percent(q: int, frames: int) -> None:
    share = 1 - q / 100
    assert stats.binom.cdf(1, frames, share) <= 0.01 < stats.binom.cdf(1, frames - 1, share)
    assert q in statistics.carried(frames)
    assert q not in statistics.carried(frames - 1)


def test_p50_is_carried_by_any_frame() -> None:
    assert statistics.carried(1) == (50,)
    assert statistics.carried(0) == ()


@given(st.lists(positive, min_size=1, max_size=20))
def test_geometric_mean_agrees_with_scipy_and_lies_among_the_values(values: list[float]) -> None:
    mean = statistics.geometric_mean(values)
    assert mean == pytest.approx(stats.gmean(values))
    assert min(values) <= mean <= max(values)


def test_geometric_mean_of_a_time_below_the_tick_is_zero() -> None:
    assert statistics.geometric_mean([0.0, 2.0]) == 0.0
    with pytest.raises(ValueError, match="negative"):
        statistics.geometric_mean([-1.0])


@given(st.lists(positive, min_size=2, max_size=12).filter(lambda values: len(set(values)) > 1))
def test_t_interval_agrees_with_scipy_on_logs(values: list[float]) -> None:
    logs = np.log(values)
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(logs)
    interval = statistics.t_interval(values)
    assert interval is not None
    assert math.log(interval.low) == pytest.approx(logs.mean() - half, abs=1e-9)
    assert math.log(interval.high) == pytest.approx(logs.mean() + half, abs=1e-9)


def test_t_interval_needs_two_rounds_of_more_than_nothing() -> None:
    assert statistics.t_interval([1.0]) is None
    assert statistics.t_interval([1.0, 0.0]) is None
    still = statistics.t_interval([2.0, 2.0])
    assert still is not None
    assert (still.low, still.high) == pytest.approx((2.0, 2.0))


def test_t_interval_covers_what_it_says() -> None:
    draw = np.random.default_rng(1)
    hits = [holds(statistics.t_interval(np.exp(draw.normal(0, 0.02, 5))), 1.0) for _ in range(2000)]
    assert fmean(hits) == pytest.approx(0.95, abs=0.015)  # three standard errors


def test_relative_half_width_is_the_same_to_either_side() -> None:
    assert statistics.relative_half_width(Interval(10 / 1.02, 10 * 1.02)) == pytest.approx(0.02)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_agrees_with_scipy_and_holds_the_rate(trial: tuple[int, int]) -> None:
    successes, n = trial
    expected = stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
    interval = statistics.wilson(successes, n)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= interval.low <= successes / n <= interval.high <= 1


def test_wilson_of_no_trial_says_nothing() -> None:
    assert statistics.wilson(0, 0) is None


def test_design_effect_of_twins_is_two() -> None:
    hits = np.repeat([1, 0, 1, 1, 0, 1, 0, 1] * 50, 2)
    twins = [str(at // 2) for at in range(len(hits))]
    assert statistics.design_effect(hits, twins) == pytest.approx(2.0, rel=0.01)
    assert statistics.design_effect(hits, None) == 1.0
    assert statistics.design_effect([1, 1], ["a", "b"]) == 1.0
    assert statistics.design_effect([1, 0], ["a", "a"]) == 1.0


def test_wilson_covers_rates_of_faces_that_come_in_groups_only_with_the_design_effect() -> None:
    draw = np.random.default_rng(2)
    groups = [str(at // 10) for at in range(600)]
    plain, corrected = [], []
    for _ in range(300):
        hits = draw.random(600) < np.repeat(draw.beta(4, 1, 60), 10)
        total, effect = int(hits.sum()), statistics.design_effect(hits, groups)
        plain.append(holds(statistics.wilson(total, 600), 0.8))
        corrected.append(holds(statistics.wilson(total, 600, design_effect=effect), 0.8))
    assert fmean(plain) < 0.85
    assert fmean(corrected) > 0.91


def drawn(faces: int, seed: int, groups: int | None = None) -> tuple[NDArray[np.int64], NDArray[np.float64], list[str]]:
    """Return labels, scores one and a half deviations apart (AUC Phi(1.5 / sqrt 2)), and groups."""
    draw = np.random.default_rng(seed)
    labels = np.arange(faces) % 2
    return labels, labels * 1.5 + draw.normal(0, 1, faces), [str(at % (groups or faces)) for at in range(faces)]


TRUE_AUC = float(stats.norm.cdf(1.5 / math.sqrt(2)))


def test_auc_delong_covers_what_it_says() -> None:
    hits = [holds(statistics.auc_delong(*drawn(120, seed)[:2]), TRUE_AUC) for seed in range(600)]
    assert fmean(hits) == pytest.approx(0.95, abs=0.027)


def test_auc_bootstrap_covers_what_it_says() -> None:
    hits = []
    for seed in range(150):
        labels, scores, groups = drawn(200, seed, groups=50)
        hits.append(holds(statistics.auc_bootstrap(labels, scores, groups, seed, replicates=400), TRUE_AUC))
    assert 0.88 < fmean(hits) <= 1


def test_auc_bootstrap_draws_groups_whole() -> None:
    """Every face ten times over is no more knowledge; without groups it looks like ten times as much."""
    labels, scores, _ = drawn(60, 3)
    copies = np.tile(scores, 10)
    people = [str(at % 60) for at in range(600)]
    grouped = statistics.auc_bootstrap(np.tile(labels, 10), copies, people)
    apart = statistics.auc_bootstrap(np.tile(labels, 10), copies, [str(at) for at in range(600)])
    assert grouped is not None
    assert apart is not None
    assert grouped.high - grouped.low > 2 * (apart.high - apart.low)


@given(st.integers(0, 10_000), st.booleans())
@settings(max_examples=30, deadline=None)
def test_weighted_auc_agrees_with_scikit_learn(seed: int, ties: bool) -> None:
    draw = np.random.default_rng(seed)
    labels = np.array([0, 1, *draw.integers(0, 2, 28)])
    scores = draw.normal(0, 1, 30).round(1 if ties else 9)
    weights = draw.integers(0, 4, (5, 30))
    weights[:, :2] = 1  # both classes in every replicate
    expected = [roc_auc_score(labels, scores, sample_weight=row) for row in weights]
    assert statistics.weighted_auc(labels, scores, weights) == pytest.approx(expected)


def test_auc_interval_is_seeded_and_fast() -> None:
    labels, scores, groups = drawn(600, 5, groups=120)
    began = time.perf_counter()
    first = statistics.auc_interval(labels, scores, groups, seed=1)
    assert time.perf_counter() - began < 1
    assert first == statistics.auc_interval(labels, scores, groups, seed=1)
    assert first != statistics.auc_interval(labels, scores, groups, seed=2)
    assert holds(first, float(roc_auc_score(labels, scores)))


def test_auc_interval_is_none_where_nothing_is_known_of_its_width() -> None:
    labels, scores, groups = drawn(40, 5)
    assert statistics.auc_interval(labels, scores, [str(at % 9) for at in range(40)]) is None  # nine groups
    assert statistics.auc_interval(np.ones(40), scores, groups) is None
    assert statistics.auc_interval([1, 0, 0], [0.3, 0.2, 0.5]) is None  # one fake


def test_a_perfect_auc_is_as_sure_as_so_many_pairs_without_a_miss() -> None:
    labels, _, _ = drawn(40, 5)
    for right in (labels.astype(float), 1 - labels):
        found = statistics.auc_interval(labels, right)
        assert found is not None
        reach = max(found.low, 1 - found.high)  # of 20 pairs none was wrong: binomial, one side of 95 %
        assert stats.binom.pmf(20, 20, reach) == pytest.approx(0.025)
        assert {found.low, found.high} & {0.0, 1.0}
    few = statistics.auc_interval(labels, labels.astype(float), [str(at % 12) for at in range(40)])
    assert few is not None
    assert few.low == pytest.approx(0.025 ** (1 / 6))  # twelve groups make six pairs
    assert statistics.auc_interval(labels, labels.astype(float), [str(at % 9) for at in range(40)]) is None


def test_a_drop_of_auc_is_known_better_in_pairs_and_of_equal_scores_as_the_rule_of_three_says() -> None:
    labels, scores, groups = drawn(400, 5, groups=80)
    worse = scores + np.random.default_rng(3).normal(0, 0.3, 400)
    found = statistics.auc_difference(labels, scores, worse, groups)
    truth = float(roc_auc_score(labels, scores) - roc_auc_score(labels, worse))
    assert holds(found, truth)
    alone = statistics.auc_interval(labels, worse, groups)
    assert found is not None
    assert alone is not None
    assert found.high - found.low < 0.7 * (alone.high - alone.low)
    same = statistics.auc_difference(labels, scores, scores, groups)
    assert same is not None
    assert same.high == -same.low == pytest.approx(2 * (1 - 0.025 ** (1 / 80)))
    assert statistics.auc_difference(labels, scores, worse, [str(at % 9) for at in range(400)]) is None


@pytest.mark.parametrize(("q", "frames", "count"), [(95, 100, 5), (95, 100, 12), (99, 300, 8)])
def test_a_tail_percentile_over_rounds_covers_what_frames_of_dependent_rounds_need(
    q: int, frames: int, count: int
) -> None:
    draw = np.random.default_rng(q + count)

    def rounds(number: int) -> NDArray[np.float64]:  # each round is a little slower or faster as a whole
        shared = np.exp(draw.normal(0, 0.015, (number, 1)))
        return np.asarray(shared * np.exp(draw.normal(0, 0.05, (number, frames))))

    truth = float(np.percentile(rounds(5000), q))
    found = [statistics.percentile_interval(list(rounds(count)), q) for _ in range(300)]
    assert np.mean([holds(interval, truth) for interval in found]) > 0.92


def test_few_rounds_or_frames_give_no_interval_of_a_percentile() -> None:
    times = [np.arange(1.0, 65.0) for _ in range(5)]
    assert statistics.percentile_interval(times, 90) is not None
    assert statistics.percentile_interval(times[:4], 90) is None
    assert statistics.percentile_interval(times, 99) == Interval(63.0, 64.0)  # no further than the slowest frame
    assert statistics.percentile_interval([*times, np.array([])], 90) is None


def test_rounds_needed_are_those_at_which_the_interval_is_narrow_enough() -> None:
    draw = np.random.default_rng(5)
    sample = np.exp(draw.normal(0, 0.02, 6))
    interval = statistics.t_interval(sample)
    assert interval is not None
    needed = statistics.rounds_needed(interval, 6, 0.005, 1000)
    assert needed is not None
    deviation = float(np.std(np.log(sample), ddof=1))
    reach = [stats.t.ppf(0.975, n - 1) * deviation / math.sqrt(n) for n in (needed - 1, needed)]
    assert reach[0] > 0.005 >= reach[1]
    assert statistics.rounds_needed(interval, 6, 1e-9, 1000) is None


def test_a_face_without_a_group_is_a_group_of_its_own() -> None:
    assert len(set(statistics.group_index(["", "a", "", "a"]))) == 3


def test_bootstrap_in_pieces_gives_the_same_number_of_replicates(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, scores, groups = drawn(100, 7, groups=30)
    whole = statistics.auc_bootstrap(labels, scores, groups, 3)
    monkeypatch.setattr(statistics, "_CHUNK", 10_000)
    assert statistics.auc_bootstrap(labels, scores, groups, 3) == whole
