"""What is computed from scores: every figure of a table from the same scores, so that none can contradict another.

Labels are 1 for the positive class ("fake") and 0 for the other; a score is the probability of the positive class.
Definitions follow scikit-learn, which the tests hold these against.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Confusion:
    """Counts of decisions against labels, "fake" being positive."""

    tn: int
    fp: int
    fn: int
    tp: int

    @property
    def n(self) -> int:
        """Number of faces."""
        return self.tn + self.fp + self.fn + self.tp

    @property
    def accuracy(self) -> float | None:
        """Share of right decisions."""
        return _ratio(self.tn + self.tp, self.n)

    @property
    def precision(self) -> float | None:
        """Share of right ones among those called fake."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float | None:
        """Share of the fakes that were called fake."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float | None:
        """Share of the real ones that were called real."""
        return _ratio(self.tn, self.tn + self.fp)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def confusion(labels: ArrayLike, scores: ArrayLike, threshold: float) -> Confusion:
    """Return the confusion matrix where scores at or above `threshold` are decided positive."""
    truth, score = _checked(labels, scores)
    decided = score >= threshold
    return Confusion(
        tn=int(np.sum(~truth & ~decided)),
        fp=int(np.sum(~truth & decided)),
        fn=int(np.sum(truth & ~decided)),
        tp=int(np.sum(truth & decided)),
    )


def roc_auc(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Return the area under the ROC curve, ties counted half; None with one class only (Mann-Whitney U)."""
    truth, score = _checked(labels, scores)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return None
    rank_sum = float(_midranks(score)[truth].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def _midranks(values: Floats) -> Floats:
    """Return ranks from 1, equal values sharing the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    middle: Floats = last - (counts - 1) / 2
    return middle[inverse]


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return false-positive rates, true-positive rates and thresholds, from the strictest on.

    The first point is (0, 0) at an infinite threshold. Raises ValueError with one class only.
    """
    truth, score = _checked(labels, scores)
    if truth.all() or not truth.any():
        raise ValueError("a ROC curve needs both classes")
    thresholds, true_positives, called = _sweep(truth, score)
    tpr: Floats = np.concatenate([np.zeros(1), true_positives / float(truth.sum())])
    fpr: Floats = np.concatenate([np.zeros(1), (called - true_positives) / float((~truth).sum())])
    limits: Floats = np.concatenate([np.full(1, np.inf), thresholds])
    return fpr, tpr, limits


def _sweep(truth: NDArray[np.bool_], score: Floats) -> tuple[Floats, Floats, Floats]:
    """Return distinct thresholds falling, and how many true positives and faces each one calls fake."""
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.diff(score[order], append=np.nan) != 0)
    hits: Floats = np.cumsum(truth[order])[ends].astype(np.float64)
    called: Floats = (ends + 1).astype(np.float64)
    return score[order][ends], hits, called


def equal_error_rate(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Return the rate where false positives equal false negatives, linear between the points of the curve.

    None with one class only. Source: ISO/IEC 19795-1.
    """
    truth, score = _checked(labels, scores)
    if truth.all() or not truth.any():
        return None
    fpr, tpr, _ = roc_curve(truth, score)
    gap = fpr - (1 - tpr)  # rises from -1 to 1
    right = int(np.argmax(gap >= 0))
    left = max(right - 1, 0)
    share = 0.0 if gap[right] == gap[left] else -gap[left] / (gap[right] - gap[left])
    return float(fpr[left] + share * (fpr[right] - fpr[left]))


def balanced_threshold(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Return the threshold with the best balanced accuracy (Youden 1950), in the middle of the gap that it lies in.

    Of several that are as good, the middle one. None with one class only, and where no threshold beats calling all
    faces the same.
    """
    truth, score = _checked(labels, scores)
    if truth.all() or not truth.any():
        return None
    fpr, tpr, limits = roc_curve(truth, score)
    gain = tpr - fpr
    best = np.flatnonzero(gain >= gain.max() - 1e-12)
    if gain.max() <= 1e-12:
        return None
    at = int(best[len(best) // 2])
    below = float(limits[at + 1]) if at + 1 < len(limits) else 0.0
    middle = (float(limits[at]) + below) / 2
    return middle if middle > below else float(limits[at])


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Return the sum over thresholds of precision times the step in recall; None without positives."""
    truth, score = _checked(labels, scores)
    if not truth.any():
        return None
    _, true_positives, called = _sweep(truth, score)
    steps = np.diff(true_positives / truth.sum(), prepend=0.0)
    return float(np.sum(steps * true_positives / called))


def log_loss(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Return the mean negative log likelihood in nats, scores clipped to [eps, 1 - eps] of float64."""
    truth, score = _checked(labels, scores)
    if not len(score):
        return None
    eps = float(np.finfo(np.float64).eps)
    clipped = np.clip(score, eps, 1 - eps)
    return float(-np.mean(np.where(truth, np.log(clipped), np.log1p(-clipped))))


def decision_flips(scores: ArrayLike, others: ArrayLike, threshold: float, other_threshold: float) -> NDArray[np.intp]:
    """Return the positions of the faces that two variants decide differently."""
    mine, theirs = np.asarray(scores) >= threshold, np.asarray(others) >= other_threshold
    return np.flatnonzero(mine != theirs)


def _checked(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    truth, score = np.asarray(labels).astype(bool), np.asarray(scores, np.float64)
    if truth.shape != score.shape or truth.ndim != 1:
        raise ValueError(f"labels {truth.shape} and scores {score.shape} must be two lists of the same length")
    if not np.all(np.isfinite(score)):
        raise ValueError("scores must be finite")
    return truth, score
