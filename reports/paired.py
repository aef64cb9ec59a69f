"""Two variants on the same faces: how their scores, decisions and AUC differ. Pure, and exact where that is possible.

What both share, the faces, cancels: a difference of two AUCs is known far better than either of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from edgerig import metrics
from reports import decide, statistics
from reports.records import Flips

SHOWN = 50  # flipped faces that are named; more are in the scores

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """The accuracy pass of a variant, one entry a face, in the order of the pack.

    Attributes:
        paths: of the faces.
        labels: 1 is fake.
        groups: person or clip, "" for a group of its own.
        scores: probability of "fake".
        threshold: at or above it a face is called fake.
    """

    paths: Sequence[str]
    labels: Sequence[int]
    groups: Sequence[str]
    scores: ArrayLike
    threshold: float = 0.5

    @property
    def called(self) -> NDArray[np.bool_]:
        """Which faces are called fake."""
        return np.asarray(self.scores, np.float64) >= self.threshold


def same_faces(mine: Scored, theirs: Scored) -> bool:
    """Whether both scored the same faces in the same order, with numbers."""
    both = (np.asarray(entry.scores, np.float64) for entry in (mine, theirs))
    return (
        list(mine.paths) == list(theirs.paths) and len(mine.paths) > 0 and all(np.isfinite(one).all() for one in both)
    )


def flips(mine: Scored, theirs: Scored) -> Flips:
    """Return the faces that are decided differently; both must have scored the same ones."""
    truth, called, others = np.asarray(mine.labels).astype(bool), mine.called, theirs.called
    differ = called != others
    worse = int(np.sum(differ & (called != truth)))
    better = int(differ.sum()) - worse
    gap = np.abs(np.asarray(mine.scores, np.float64) - np.asarray(theirs.scores, np.float64))
    return Flips(
        faces=len(truth),
        count=int(differ.sum()),
        worse=worse,
        better=better,
        p=decide.mcnemar(worse, better),
        largest_difference=float(gap.max()),
        paths=tuple(mine.paths[int(at)] for at in np.flatnonzero(differ)[:SHOWN]),
    )


@dataclass(frozen=True)
class Areas:
    """The AUC of two variants, and how sure their difference is; `error` is None where the faces cannot tell."""

    mine: float
    theirs: float
    error: float | None

    @property
    def difference(self) -> float:
        """Candidate minus baseline."""
        return self.mine - self.theirs


def areas(mine: Scored, theirs: Scored, seed: int = 0, replicates: int = 1000) -> Areas | None:
    """Return both AUCs, and the standard error of their difference by a paired bootstrap; None with one class only.

    Groups are drawn whole, the same ones for both variants. The error is None with too few groups
    (`statistics.MIN_GROUPS`). Source: Efron & Tibshirani 1993, 6.2 and 8; whole clusters as in Field & Welsh 2007.
    """
    one, other = metrics.roc_auc(mine.labels, mine.scores), metrics.roc_auc(theirs.labels, theirs.scores)
    if one is None or other is None:
        return None
    index = statistics.group_index(mine.groups)
    if int(index.max()) + 1 < statistics.MIN_GROUPS:
        return Areas(one, other, None)
    # The same seed draws the same groups for both.
    drawn, others = (
        statistics.resampled_aucs(mine.labels, scores, index, seed, replicates)
        for scores in (mine.scores, theirs.scores)
    )
    error = float(np.nanstd(drawn - others, ddof=1))
    if error == 0 and not np.array_equal(mine.scores, theirs.scores):
        error = _unseen(int(index.max()) + 1)
    return Areas(one, other, error)


def _unseen(groups: int) -> float:
    """Return an error for a difference that no resampling moves although the scores differ: both may be perfect.

    What so many groups may hide (Clopper & Pearson 1934), with the reach of `statistics.auc_difference`.
    """
    return float(2 * (1 - 0.025 ** (1 / groups)) / special.ndtri(0.975))


@dataclass(frozen=True)
class Shift:
    """A difference of AUCs with the bounds that a decision is made on, each at 1 - `decide.ALARM`."""

    low: float
    high: float
    p: float  # one-sided, that the AUC did not drop
    excluded: bool  # a change by the margin, either way, at 1 - `decide.MISS`


def shift(found: Areas, margin: float) -> Shift | None:
    """Return what is known of a difference of AUCs; None without an error.

    The bootstrap's error with normal quantiles: its own percentiles at 99.9 % would need ten times the replicates.
    Accuracy is looked at once, after the last face, so that there is nothing to spend over looks.
    """
    if found.error is None:
        return None
    error, value = max(found.error, 1e-12), found.difference
    alarm, miss = (-float(special.ndtri(level)) * error for level in (decide.ALARM, decide.MISS / 2))
    return Shift(value - alarm, value + alarm, float(special.ndtr(value / error)), abs(value) + miss < margin)
