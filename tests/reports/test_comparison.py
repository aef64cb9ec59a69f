"""A candidate against its baseline: figure by figure, then one decision, red only where it is confirmed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from reports import comparison, paired
from reports.comparison import Rounds, Side
from reports.paired import Scored
from reports.records import Comparison, Decision, Gates

GATES = Gates()


def rounds(factor: float = 1.0, noise: float = 0.002, count: int = 16, seed: int = 0, tail: float = 1.3) -> Rounds:
    """Return rounds of some 2 ms whose minutes both sides share."""
    minutes = np.random.default_rng(99).normal(0, 0.05, count)
    own = np.random.default_rng(seed).normal(0, noise, count)
    p50 = {(1, at + 1): float(2e6 * factor * np.exp(minutes[at] + own[at])) for at in range(count)}
    return Rounds(p50, {place: tail * value for place, value in p50.items()})


def scored(skill: float = 3.0, shift: float = 0.0, count: int = 400) -> Scored:
    """Return the scores of a detector on faces of 40 persons; `shift` moves its decisions."""
    labels = [at % 2 for at in range(count)]
    logits = np.asarray(labels) * skill - skill / 2 + np.random.default_rng(1).normal(0, 1, count) + shift
    groups = [f"person-{at // 10}" for at in range(count)]
    return Scored([f"{at}.png" for at in range(count)], labels, groups, 1 / (1 + np.exp(-logits)))


def side(**changes: object) -> Side:
    """Return a cell on a real device, some of its fields changed."""
    fields: dict[str, object] = {"cell": "c", "bytes": 1000, "rounds": rounds(), "scored": scored()}
    return Side(**{**fields, **changes})  # type: ignore[arg-type]


BASE = side(cell="b", rounds=rounds(seed=5))


def found(**changes: object) -> Comparison:
    """Return the comparison of a changed candidate with an unchanged baseline."""
    return comparison.compare(side(**changes), BASE, GATES)


def test_minutes_that_both_share_cancel() -> None:
    # Each side varies by 5 %, their ratio by .3 %.
    same = found()
    assert (same.decision, same.confirmed, same.red) == (Decision.SAME, None, False)
    gate = same.gate("p50")
    assert gate is not None
    assert gate.value == pytest.approx(1.0, abs=0.01)
    assert same.pairs == 5


def test_rounds_are_paired_by_number_within_a_visit() -> None:
    mine = rounds(1.04)
    later = Rounds({(visit, number + 3): value for (visit, number), value in mine.p50.items()})
    one = {(1, 1): 2.0, (1, 2): 3.0, (1, 4): 1.0, (2, 5): 7.0}
    other = {(1, 2): 1.5, (1, 3): 9.0, (1, 4): 2.0, (1, 5): 7.0}
    assert comparison.ratios(one, other) == [2.0, 0.5]
    assert len(comparison.ratios(later.p50, BASE.rounds.p50)) == 13


def test_a_slow_down_is_flagged_and_not_yet_red() -> None:
    slow = found(rounds=rounds(1.04))
    assert (slow.decision, slow.confirmed, slow.red) == (Decision.REGRESSION, None, False)
    assert comparison.flagged_times(slow) == ["p50"]
    assert slow.reason.startswith("p50 +4.")


def settle(entry: Comparison, factor: float) -> Comparison:
    """Return a comparison after a second session in which the candidate took `factor` times as long."""
    again = {entry.cell: (rounds(factor, seed=21), rounds(seed=22))}
    return comparison.settled([entry], again, GATES)[0]


def test_what_a_second_session_confirms_is_red() -> None:
    red = settle(found(rounds=rounds(1.04)), 1.05)
    assert (red.decision, red.confirmed, red.red) == (Decision.REGRESSION, True, True)
    assert red.confirmations[0].p_adjusted is not None


def test_what_a_second_session_does_not_see_is_not_red() -> None:
    gone = settle(found(rounds=rounds(1.04)), 1.0)
    assert (gone.decision, gone.confirmed, gone.red) == (Decision.UNDECIDED, False, False)
    assert "second session did not agree" in gone.reason


def test_only_what_was_seen_again_is_red() -> None:
    both = settle(found(rounds=rounds(1.04), scored=scored(1.0)), 1.0)
    assert both.red
    assert "p50" not in {gate.gate for gate in comparison.red(both)}
    assert "auc" in {gate.gate for gate in comparison.red(both)}


def test_without_a_second_session_nothing_is_red_and_it_is_said() -> None:
    alone = comparison.settled([found(rounds=rounds(1.04))], {}, GATES)[0]
    assert (alone.confirmed, alone.red) == (None, False)
    assert "no second session" in alone.reason


def test_the_more_are_flagged_the_more_a_second_session_must_show() -> None:
    slow = found(rounds=rounds(1.04))
    many = [slow.model_copy(update={"cell": f"c{at}"}) for at in range(20)]
    again = {entry.cell: (rounds(1.0, seed=at), rounds(seed=50 + at)) for at, entry in enumerate(many)}
    again["c0"] = (rounds(1.012, noise=0.004, seed=3), rounds(noise=0.004, seed=4))
    alone = comparison.settled(many[:1], again, GATES)[0].confirmations[0]
    among = comparison.settled(many, again, GATES)[0].confirmations[0]
    assert alone.p is not None
    assert alone.p == alone.p_adjusted
    assert among.p_adjusted is not None
    assert among.p_adjusted == pytest.approx(min(1.0, 20 * alone.p))


def test_a_tail_is_judged_where_its_noise_allows() -> None:
    # The median stays, the tail grows by a fifth.
    longer = found(rounds=replace(rounds(), p95=rounds(1.2).p95))
    assert comparison.flagged_times(longer) == ["p95"]
    wild = replace(rounds(), p95={(1, at): 3e6 * (1 + at % 3) for at in range(1, 17)})
    gate = found(rounds=wild).gate("p95")
    assert gate is not None
    assert gate.decision is None
    assert gate.reason.startswith("not judged")


def test_an_auc_that_drops_on_the_same_faces_is_red_without_a_second_session() -> None:
    worse = found(scored=scored(1.0))
    gate = worse.gate("auc")
    assert gate is not None
    assert gate.decision is Decision.REGRESSION
    assert gate.value == pytest.approx(
        roc_auc_score(scored().labels, scored(1.0).scores) - roc_auc_score(scored().labels, scored().scores)
    )
    assert worse.red


def test_the_same_scores_are_the_same_auc_for_certain() -> None:
    gate = found().gate("auc")
    assert gate is not None
    assert (gate.value, gate.decision) == (0.0, Decision.SAME)


def test_a_difference_of_aucs_covers_what_it_says() -> None:
    # Two noisy readings of one detector on 60 persons, a hundred times: the true difference is 0.
    draw = np.random.default_rng(0)
    inside = 0
    for _ in range(100):
        labels = [at % 2 for at in range(240)]
        base = np.asarray(labels) * 1.5 + draw.normal(0, 1, 240)
        mine, theirs = (base + draw.normal(0, 0.5, 240) for _ in range(2))
        names, groups = [str(at) for at in range(240)], [str(at // 4) for at in range(240)]
        both = [Scored(names, labels, groups, values) for values in (mine, theirs)]
        areas = paired.areas(both[0], both[1], replicates=200)
        assert areas is not None
        assert areas.error is not None
        inside += abs(areas.difference) < 1.96 * areas.error
    assert 87 <= inside <= 100


def test_flips_count_both_directions_and_name_faces() -> None:
    moved = found(scored=scored(shift=1.5))
    assert moved.flips is not None
    assert moved.flips.count == moved.flips.worse + moved.flips.better
    assert len(moved.flips.paths) == min(moved.flips.count, paired.SHOWN)
    gate = moved.gate("flips")
    assert gate is not None
    assert gate.decision is Decision.REGRESSION


def test_other_faces_are_not_compared() -> None:
    other = replace(scored(), paths=[f"other-{at}.png" for at in range(400)])
    assert found(scored=other).gate("auc") is None


EMULATED = side(emulated=True, rounds=Rounds(), instructions=1e6)


@pytest.mark.parametrize(
    ("changes", "decision", "flagged"),
    [
        ({}, Decision.SAME, set()),
        ({"instructions": 1.02e6}, Decision.REGRESSION, {"instructions"}),
        ({"instructions": 0.9e6}, Decision.IMPROVEMENT, set()),
        ({"bytes": 1020}, Decision.REGRESSION, {"size"}),
        ({"scored": scored(shift=1.5)}, Decision.REGRESSION, {"flips"}),
        ({"rounds": rounds(3.0)}, Decision.SAME, set()),
    ],
)
def test_an_emulator_is_judged_by_counts_and_never_by_time(
    changes: dict[str, object], decision: Decision, flagged: set[str]
) -> None:
    entry = comparison.compare(replace(EMULATED, **changes), replace(EMULATED, cell="b"), GATES)  # type: ignore[arg-type]
    assert entry.decision is decision
    assert {gate.gate for gate in entry.gates if gate.decision is Decision.REGRESSION} == flagged
    assert entry.gate("p50") is None
    assert entry.red is bool(flagged)


def test_a_real_device_is_not_judged_by_size() -> None:
    bigger = found(bytes=5000)
    gate = bigger.gate("size")
    assert gate is not None
    assert (gate.value, gate.decision, bigger.decision) == (5.0, None, Decision.SAME)


def test_a_side_that_was_not_measured_leaves_it_undecided_and_says_which() -> None:
    entry = comparison.compare(side(), replace(BASE, trouble="crashed"), GATES)
    assert entry.decision is Decision.UNDECIDED
    assert "the baseline was not measured: crashed" in entry.reason


def test_undecided_says_what_would_decide() -> None:
    noisy = found(rounds=rounds(1.02, noise=0.02, count=8))
    assert noisy.decision is Decision.UNDECIDED
    assert "pairs of rounds would decide" in noisy.next_step


def test_a_second_session_that_was_cut_short_confirms_nothing_and_denies_nothing() -> None:
    entry = found(rounds=rounds(1.05))
    few = (rounds(1.05, count=2, seed=3), rounds(count=2, seed=4))
    cut = comparison.settled([entry], {entry.cell: few}, GATES)[0]
    assert (cut.decision, cut.confirmed, cut.red) == (Decision.REGRESSION, None, False)
    assert "no second session was held to its end" in cut.reason


def test_two_perfect_detectors_are_not_the_same_for_certain() -> None:
    labels = [at % 2 for at in range(20)]
    names = [str(at) for at in range(20)]
    both = [Scored(names, labels, names, np.asarray(labels) * reach) for reach in (0.8, 0.9)]
    areas = paired.areas(both[0], both[1], replicates=200)
    assert areas is not None
    assert areas.difference == 0.0
    assert areas.error == pytest.approx(2 * (1 - 0.025 ** (1 / 20)) / 1.96, rel=1e-3)
    told = paired.shift(areas, 0.01)
    assert told is not None
    assert not told.excluded
