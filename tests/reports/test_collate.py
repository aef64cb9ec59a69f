from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from edgerig import metrics
from reports import collate
from reports.collate import Measured, Scores
from reports.records import STAGES, Key, Memory, Metric, Outcome, Phase, Trust
from tests.reports.synthetic import METHOD, a_round, measured, memory, scores, times

KEY = Key(variant="v", target="t", runtime="r", provider="cpu", threads=1)


def find(found: Sequence[Metric], name: str, scope: str) -> Metric:
    return next(metric for metric in found if (metric.metric, metric.scope) == (name, scope))


def names(found: Sequence[Metric], scope: str) -> set[str]:
    return {metric.metric for metric in found if metric.scope == scope}


def test_latency_is_that_of_frames_after_the_warm_up() -> None:
    frames = {number: times(5.0, 300, seed=number) for number in range(3)}
    found = collate.latency_metrics([a_round(number) for number in range(3)], frames)
    pooled = np.concatenate([array[10:, 4] for array in frames.values()]) / 1e6
    medians = [np.median(array[10:, 4]) / 1e6 for array in frames.values()]
    p50 = find(found, "latency_p50", "end_to_end")
    assert p50.value == pytest.approx(stats.gmean(medians))
    assert p50.n == 900
    for q in (90, 95, 99):
        assert find(found, f"latency_p{q}", "end_to_end").value == pytest.approx(np.percentile(pooled, q))
    assert find(found, "latency_mean", "end_to_end").value == pytest.approx(pooled.mean())
    assert find(found, "latency_std", "end_to_end").value == pytest.approx(pooled.std(ddof=1))
    assert find(found, "latency_min", "end_to_end").value == pooled.min()
    assert find(found, "latency_max", "end_to_end").value == pooled.max()
    assert all(metric.lower_is_better for metric in found if metric.unit == "ms")


def test_p50_has_the_t_interval_of_the_medians_of_rounds() -> None:
    frames = {number: times(5.0 + 0.1 * number, 64, seed=number) for number in range(5)}
    p50 = find(collate.latency_metrics([a_round(number) for number in frames], frames), "latency_p50", "inference")
    logs = np.log([np.median(array[10:, 2]) / 1e6 for array in frames.values()])
    low, high = np.exp(stats.t.interval(0.95, 4, logs.mean(), stats.sem(logs)))
    assert (p50.ci_low, p50.ci_high) == pytest.approx((low, high))


def test_fps_is_the_reciprocal_of_p50_with_its_ends_turned() -> None:
    found = collate.latency_metrics([a_round(0), a_round(1)], {0: times(4.0), 1: times(5.0, seed=1)})
    p50, fps = find(found, "latency_p50", "end_to_end"), find(found, "fps", "end_to_end")
    assert p50.value is not None
    assert p50.ci_low is not None
    assert p50.ci_high is not None
    assert fps.value == pytest.approx(1000 / p50.value)
    assert (fps.ci_low, fps.ci_high) == pytest.approx((1000 / p50.ci_high, 1000 / p50.ci_low))
    assert fps.lower_is_better is False


@pytest.mark.parametrize(("frames", "percentiles"), [(63, set()), (64, {"p90"}), (130, {"p90", "p95"})])
def test_percentiles_are_given_where_the_pooled_frames_carry_them(frames: int, percentiles: set[str]) -> None:
    found = names(collate.latency_metrics([a_round(0)], {0: times(2.0, frames)}), "end_to_end")
    assert {name.removeprefix("latency_") for name in found} & {"p90", "p95", "p99"} == percentiles


def test_a_stage_that_did_not_run_has_no_metrics() -> None:
    found = collate.latency_metrics([a_round(0)], {0: times(2.0, decode=False)})
    assert {metric.scope for metric in found} == {*STAGES, "all"} - {"decode"}


def test_one_round_gives_no_interval_and_no_frame_gives_nothing() -> None:
    assert find(collate.latency_metrics([a_round(0)], {0: times(2.0)}), "latency_p50", "end_to_end").ci_low is None
    assert collate.latency_metrics([a_round(0, load_ms=None, import_ms=None, first_frame_ms=None)], {}) == ()
    only_warmup = collate.latency_metrics([a_round(0)], {0: times(2.0, 0)})
    assert names(only_warmup, "end_to_end") == set()


def test_a_refitted_threshold_knows_nothing_of_the_faces_that_it_is_reported_on() -> None:
    validation, tested = scores(3.0, seed=1), scores(1.0, seed=2)
    shifted = replace(tested, scores=np.clip(np.asarray(tested.scores) * 0.3, 0, 1))
    for one in (tested, shifted):
        found = {metric.metric: metric for metric in collate.refitted(one, validation)}
        assert {metric.scope for metric in found.values()} == {collate.REFITTED}
        threshold = found["threshold"].value
        assert threshold == metrics.balanced_threshold(validation.labels, validation.scores)
        assert threshold is not None
        table = metrics.confusion(one.labels, one.scores, threshold)
        assert found["accuracy"].value == pytest.approx(table.accuracy)
        assert found["f1"].value == pytest.approx(table.f1)
    assert collate.refitted(tested, replace(validation, scores=np.full(len(validation.labels), np.nan))) == ()


def test_times_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[n, 5\]"):
        collate.latency_metrics([a_round(0)], {0: np.zeros((3, 4), np.int64)})


def test_tainted_and_failed_rounds_do_not_count_but_are_kept() -> None:
    rounds = [a_round(0), a_round(1, tainted="throttled"), a_round(2, outcome=Outcome.LOST), a_round(3)]
    frames = {0: times(2.0), 1: times(99.0), 2: times(99.0), 3: times(2.0, seed=3)}
    cell = collate.collate(KEY, Measured(rounds=rounds, frames=frames), METHOD, emulated=False)
    p50 = cell.value("latency_p50", "end_to_end")
    assert p50 == pytest.approx(2.1, abs=0.2)
    assert [entry.model_copy(update={"p50_ms": None}) for entry in cell.rounds] == rounds
    for entry in cell.rounds:
        assert entry.p50_ms == pytest.approx(np.median(frames[entry.number][entry.warmup :, -1]) / 1e6)
    assert cell.outcome is Outcome.OK


def test_starting_is_the_median_of_rounds_inside_its_interval() -> None:
    loads = [500.0] * 4 + [20.0] * 5  # the t interval of their logs begins above 20
    rounds = [a_round(number, load_ms=ms) for number, ms in enumerate(loads)]
    load = find(collate.latency_metrics(rounds, {}), "load_ms", "all")
    assert load.value == 20.0
    assert load.n == 9
    assert load.ci_low is not None
    assert load.ci_high is not None
    assert load.ci_low == 20.0 < load.ci_high


def test_memory_is_given_by_phase_and_its_peak_as_all() -> None:
    found = collate.memory_metrics(memory(100.0))
    assert find(found, "vm_hwm_mb", "steady").value == 97.0
    assert find(found, "vm_hwm_mb", "all").value == 100.0
    assert find(found, "pss_mb", "all").value == pytest.approx(80.0)
    assert "pss_mb" not in names(found, "started")  # not measured is no row
    assert {metric.unit for metric in found} == {"MiB"}


def test_memory_that_failed_or_was_not_measured_has_no_metrics() -> None:
    assert collate.memory_metrics(None) == ()
    failed = Memory(outcome=Outcome.CRASHED, phases=(Phase(phase="started", vm_hwm_mb=1.0),))
    assert collate.memory_metrics(failed) == ()


def test_accuracy_agrees_with_scikit_learn() -> None:
    given = scores(2.0)
    record, found = collate.accuracy(given)
    labels, values = np.asarray(given.labels), np.asarray(given.scores)
    called = values >= 0.5
    tn, fp, fn, tp = sk.confusion_matrix(labels, called).ravel()
    assert record.counts is not None
    assert record.counts.model_dump() == {"tn": tn, "fp": fp, "fn": fn, "tp": tp}
    expected = {
        "accuracy": sk.accuracy_score(labels, called),
        "precision": sk.precision_score(labels, called),
        "recall": sk.recall_score(labels, called),
        "specificity": sk.recall_score(~labels.astype(bool), ~called),
        "f1": sk.f1_score(labels, called),
        "auc": sk.roc_auc_score(labels, values),
        "average_precision": sk.average_precision_score(labels, values),
        "log_loss": sk.log_loss(labels, values),
        "tp": tp,
        "fn": fn,
    }
    assert {name: find(found, name, "all").value for name in expected} == pytest.approx(expected)
    assert find(found, "precision", "all").n == tp + fp
    assert find(found, "recall", "all").n == 200


def test_every_rate_and_the_auc_lie_inside_their_intervals() -> None:
    _, found = collate.accuracy(scores(2.0))
    with_ends = [metric for metric in found if metric.ci_low is not None]
    assert {m.metric for m in with_ends} == {
        "accuracy",
        "precision",
        "recall",
        "specificity",
        "auc",
        "detection_rate",
    }
    for metric in with_ends:
        assert metric.value is not None
        assert metric.ci_low is not None
        assert metric.ci_high is not None
        assert 0 <= metric.ci_low <= metric.value <= metric.ci_high <= 1


def test_categories_are_told_apart() -> None:
    given = scores(2.0)
    _, found = collate.accuracy(given)
    assert names(found, "real") == {"specificity"}
    assert names(found, "diffusion") == {"detection_rate", "auc"}
    values, categories = np.asarray(given.scores), np.asarray(given.categories)
    hit = values[categories == "diffusion"] >= 0.5
    assert find(found, "detection_rate", "diffusion").value == pytest.approx(hit.mean())
    mask = (categories == "diffusion") | (categories == "real")
    expected = sk.roc_auc_score(np.asarray(given.labels)[mask], values[mask])
    assert find(found, "auc", "diffusion").value == pytest.approx(expected)


def test_a_category_called_all_does_not_hide_the_figure_of_all() -> None:
    given = replace(scores(2.0), categories=["all" if name != "real" else name for name in scores(2.0).categories])
    _, found = collate.accuracy(given)
    assert len([metric for metric in found if (metric.metric, metric.scope) == ("auc", "all")]) == 1
    assert names(found, "category all") == {"detection_rate", "auc"}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ([np.nan] * 12, "NaN for 12 of 400 faces"),
        ([np.inf, -np.inf], "infinite for 2 of 400 faces"),
        ([np.nan, np.inf], "NaN for 1 and infinite for 1 of 400 faces"),
    ],
)
def test_scores_that_are_no_numbers_fail_the_pass_and_the_cell(bad: list[float], reason: str) -> None:
    given = scores(2.0)
    values = np.asarray(given.scores).copy()
    values[: len(bad)] = bad
    record, found = collate.accuracy(replace(given, scores=values))
    assert (record.outcome, record.reason, record.counts, found) == (Outcome.FAILED, reason, None, ())
    cell = collate.collate(KEY, Measured(accuracy=record), METHOD, emulated=False)
    assert (cell.outcome, cell.reason) == (Outcome.FAILED, f"accuracy pass: {reason}")


def test_one_class_or_no_face_gives_what_there_is() -> None:
    _, found = collate.accuracy(Scores([1, 1], ["fake", "fake"], [0.7, 0.2], ["a", "b"]))
    assert names(found, "all") >= {"accuracy", "recall"}
    assert not {"auc", "eer", "specificity"} & names(found, "all")
    assert collate.accuracy(Scores([], [], []))[0].reason == "no face was scored"


def test_lists_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="same length"):
        collate.accuracy(Scores([1, 0], ["a"], [0.1, 0.2]))


def test_a_good_cell_is_ok_and_trusted() -> None:
    cell = collate.collate(KEY, measured(KEY, 2.0, 90.0, 3.0), METHOD, emulated=False)
    assert cell.outcome is Outcome.OK
    assert cell.verdict is not None
    assert cell.verdict.trust is Trust.TRUSTED
    assert cell.value("auc", "all") is not None
    assert cell.value("vm_hwm_mb", "all") == 90.0


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([Outcome.OK, Outcome.OK], Outcome.OK),
        ([Outcome.OK, Outcome.LOST], Outcome.OK),
        ([Outcome.LOST, Outcome.LOST], Outcome.LOST),
        ([Outcome.OK, Outcome.CRASHED], Outcome.CRASHED),
        ([Outcome.OUT_OF_MEMORY], Outcome.OUT_OF_MEMORY),
    ],
)
def test_a_cell_is_what_its_worst_round_was_unless_only_the_link_broke(
    outcomes: list[Outcome], expected: Outcome
) -> None:
    rounds = [a_round(number, outcome=outcome) for number, outcome in enumerate(outcomes)]
    assert collate.collate(KEY, Measured(rounds=rounds), METHOD, emulated=False).outcome is expected


def test_a_crash_in_one_round_keeps_the_times_of_the_others() -> None:
    raw = measured(KEY, 2.0, 90.0, 3.0)
    rounds = [*raw.rounds, a_round(9, outcome=Outcome.CRASHED, reason="SIGSEGV")]
    cell = collate.collate(KEY, replace(raw, rounds=rounds), METHOD, emulated=False)
    assert cell.reason == "1 of 6 rounds: SIGSEGV"
    assert cell.value("latency_p50", "end_to_end") is not None


def test_what_the_controller_knows_wins_and_nothing_measured_is_skipped() -> None:
    known = collate.collate(KEY, Measured(), METHOD, emulated=False, outcome=Outcome.UNSUPPORTED, reason="no")
    assert (known.outcome, known.reason, known.verdict) == (Outcome.UNSUPPORTED, "no", None)
    assert collate.collate(KEY, Measured(), METHOD, emulated=False).outcome is Outcome.SKIPPED


def test_cell_ids_are_safe_as_file_names_and_differ() -> None:
    hostile = KEY.model_copy(update={"variant": "../../etc/passwd\n" + "é" * 300})
    one, other = collate.cell_id(hostile), collate.cell_id(hostile.model_copy(update={"variant": "__/__"}))
    assert one != other
    for name in (one, other):
        assert name.isascii()
        assert len(name) < 120
        assert not set(name) & set("/\\\n \0")
        assert not name.startswith((".", "-"))
