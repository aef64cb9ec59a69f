"""Against scikit-learn, over whatever scores hypothesis thinks of: ties, extremes, one class only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from edgerig import metrics

# A coarse grid makes ties, which is where definitions part.
SCORES = st.one_of(st.integers(0, 8).map(lambda level: level / 8), st.floats(0, 1, allow_subnormal=False))
FACES = st.lists(st.tuples(st.booleans(), SCORES), min_size=1, max_size=40)
BOTH = FACES.filter(lambda faces: len({label for label, _ in faces}) == 2)
Faces = list[tuple[bool, float]]

relaxed = settings(deadline=None)


def split(faces: Faces) -> tuple[list[int], list[float]]:
    return [int(label) for label, _ in faces], [score for _, score in faces]


@relaxed
@given(FACES, st.floats(0, 1))
def test_confusion(faces: Faces, threshold: float) -> None:
    labels, scores = split(faces)
    decided = [int(score >= threshold) for score in scores]
    mine = metrics.confusion(labels, scores, threshold)
    expected = sk.confusion_matrix(labels, decided, labels=[0, 1])
    assert [[mine.tn, mine.fp], [mine.fn, mine.tp]] == expected.tolist()
    assert mine.n == len(faces)
    assert mine.accuracy == pytest.approx(sk.accuracy_score(labels, decided))
    for own, theirs in [
        (mine.precision, sk.precision_score(labels, decided, zero_division=np.nan)),
        (mine.recall, sk.recall_score(labels, decided, zero_division=np.nan)),
        (mine.specificity, sk.recall_score(labels, decided, pos_label=0, zero_division=np.nan)),
        (mine.f1, sk.f1_score(labels, decided, zero_division=np.nan)),
    ]:
        assert (np.nan if own is None else own) == pytest.approx(theirs, nan_ok=True)


@relaxed
@given(BOTH)
def test_roc_auc(faces: Faces) -> None:
    labels, scores = split(faces)
    assert metrics.roc_auc(labels, scores) == pytest.approx(sk.roc_auc_score(labels, scores))


@relaxed
@given(BOTH)
def test_roc_curve(faces: Faces) -> None:
    labels, scores = split(faces)
    for own, theirs in zip(
        metrics.roc_curve(labels, scores), sk.roc_curve(labels, scores, drop_intermediate=False), strict=True
    ):
        np.testing.assert_allclose(own, theirs)


@relaxed
@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.1, 0.2, 0.35, 0.5, 0.8])), min_size=2, max_size=30))
def test_the_balanced_threshold_is_as_good_as_any_and_lies_in_a_gap(faces: list[tuple[bool, float]]) -> None:
    labels, scores = [int(label) for label, _ in faces], [score for _, score in faces]
    found = metrics.balanced_threshold(labels, scores)

    def balance(threshold: float) -> float:
        table = metrics.confusion(labels, scores, threshold)
        return (table.recall or 0.0) + (table.specificity or 0.0)

    best = max(balance(threshold) for threshold in (0.0, 0.15, 0.3, 0.4, 0.6, 0.9))
    if len(set(labels)) == 1 or best <= 1 + 1e-9:
        assert found is None
    else:
        assert found is not None
        assert balance(found) == pytest.approx(best)
        assert found not in scores


@relaxed
@given(FACES.filter(lambda faces: any(label for label, _ in faces)))
def test_average_precision(faces: Faces) -> None:
    labels, scores = split(faces)
    assert metrics.average_precision(labels, scores) == pytest.approx(sk.average_precision_score(labels, scores))


@relaxed
@given(FACES)
def test_log_loss(faces: Faces) -> None:
    labels, scores = split(faces)
    assert metrics.log_loss(labels, scores) == pytest.approx(sk.log_loss(labels, scores, labels=[0, 1]), rel=1e-6)


@relaxed
@given(BOTH)
def test_equal_error_rate_lies_on_the_curve(faces: Faces) -> None:
    labels, scores = split(faces)
    rate = metrics.equal_error_rate(labels, scores)
    assert rate is not None
    fpr, tpr, _ = sk.roc_curve(labels, scores, drop_intermediate=False)
    # Where the curve, its points joined by lines, crosses fpr = 1 - tpr.
    ends = np.stack([fpr, 1 - tpr], axis=1)
    gaps = [_distance(ends[number], ends[number + 1], rate) for number in range(len(ends) - 1)]
    assert min(gaps) < 1e-9


def _distance(begin: np.ndarray, end: np.ndarray, rate: float) -> float:
    """Return how far (rate, rate) is from the line between two points."""
    step = end - begin
    length = float(step @ step)
    share = 0.0 if length == 0 else min(1.0, max(0.0, float((np.array([rate, rate]) - begin) @ step) / length))
    return float(np.abs(begin + share * step - rate).max())


@pytest.mark.parametrize(
    ("labels", "scores", "rate"),
    [
        ([0, 1], [0.1, 0.9], 0.0),
        ([1, 0], [0.1, 0.9], 1.0),
        ([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9], 0.5),
        ([0, 1], [0.5, 0.5], 0.5),
    ],
)
def test_equal_error_rates_known(labels: list[int], scores: list[float], rate: float) -> None:
    assert metrics.equal_error_rate(labels, scores) == pytest.approx(rate)


def test_what_cannot_be_told_is_none() -> None:
    assert metrics.roc_auc([1, 1], [0.1, 0.2]) is None
    assert metrics.equal_error_rate([0, 0], [0.1, 0.2]) is None
    assert metrics.average_precision([0], [0.1]) is None
    assert metrics.log_loss([], []) is None
    nothing = metrics.confusion([], [], 0.5)
    assert (nothing.n, nothing.accuracy, nothing.precision, nothing.f1) == (0, None, None, None)
    with pytest.raises(ValueError, match="both classes"):
        metrics.roc_curve([1], [0.5])


def test_what_is_no_score_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        metrics.roc_auc([0, 1], [0.1, np.nan])
    with pytest.raises(ValueError, match="same length"):
        metrics.roc_auc([0, 1], [0.1])


def test_decision_flips() -> None:
    flips = metrics.decision_flips([0.4, 0.6, 0.5, 0.1], [0.4, 0.4, 0.5, 0.9], 0.5, 0.45)
    assert flips.tolist() == [1, 3]
