"""What may be said of a handful of rounds or of some hundred faces: pure functions, with source and limits.

Times are in any unit, rates are in [0, 1], intervals are 95 % unless told otherwise. None means that the data
cannot carry the answer; it is never replaced by a guess.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]

# Fewest pooled frames that carry a percentile: with so many, at least two of them lie above the true one with
# a probability of 99 %, so that no single odd frame makes it (binomial; David & Nagaraja, Order Statistics,
# 7.1). p50 is always given.
CARRIES = {50: 1, 90: 64, 95: 130, 99: 662}

# A bootstrap over fewer groups covers visibly less than it says (84 % for 95 % over five, simulated).
MIN_GROUPS = 10

_CHUNK = 4_000_000  # weights held at once by the bootstrap: 32 MB


@dataclass(frozen=True)
class Interval:
    """A confidence interval, both ends in it."""

    low: float
    high: float


def percentile(values: ArrayLike, q: float) -> float:
    """Return the q-th percentile (0 to 100) of values [n], linear between order statistics.

    Raises ValueError without values. Source: Hyndman & Fan 1996, type 7, numpy's default.
    """
    sample = np.asarray(values, np.float64)
    if not sample.size:
        raise ValueError("a percentile of no values")
    return float(np.percentile(sample, q, method="linear"))


def carried(frames: int) -> tuple[int, ...]:
    """Return the percentiles that so many pooled frames carry, e.g. (50, 90) for 100; () for none."""
    return tuple(q for q, needed in CARRIES.items() if frames >= needed)


def geometric_mean(values: ArrayLike) -> float:
    """Return exp of the mean of the logs of values [n] >= 0; 0 if any is 0. Raises ValueError without any."""
    sample = np.asarray(values, np.float64)
    if not sample.size or np.any(sample < 0):
        raise ValueError("a geometric mean needs values, none of them negative")
    if np.any(sample == 0):
        return 0.0
    # The rounding of exp(log()) must not put the mean of equal values beside them.
    return float(np.clip(np.exp(np.mean(np.log(sample))), sample.min(), sample.max()))


def t_interval(observations: ArrayLike, confidence: float = 0.95) -> Interval | None:
    """Return the Student-t interval of the geometric mean of observations [rounds] > 0.

    One observation is one round (its median), because frames of one process are not independent. None with
    fewer than two rounds, or where one is 0 (shorter than the clock's tick). Source: Student 1908, on logs;
    covers what it says where rounds are log-normal, and says nothing of what all rounds share.
    """
    sample = np.asarray(observations, np.float64)
    if sample.size < 2 or np.any(sample <= 0):
        return None
    logs = np.log(sample)
    quantile = float(special.stdtrit(sample.size - 1, 0.5 + confidence / 2))
    half = quantile * float(np.std(logs, ddof=1)) / math.sqrt(sample.size)
    centre = math.log(geometric_mean(sample))
    return Interval(math.exp(centre - half), math.exp(min(centre + half, 700.0)))


def relative_half_width(interval: Interval) -> float:
    """Return by which share an interval on a log scale reaches to either side of its centre: 0.01 is 1 %."""
    return math.sqrt(interval.high / interval.low) - 1


def wilson(successes: int, n: int, confidence: float = 0.95, design_effect: float = 1.0) -> Interval | None:
    """Return the score interval of a rate; None without trials. Source: Wilson 1927.

    `design_effect` above 1 divides the trials that count, for faces that come in groups (Dean & Pagano 2015).
    """
    if n <= 0:
        return None
    z2 = float(special.ndtri(0.5 + confidence / 2)) ** 2
    size, rate = n / design_effect, successes / n
    centre = (rate + z2 / (2 * size)) / (1 + z2 / size)
    half = math.sqrt(z2 * (rate * (1 - rate) / size + z2 / (4 * size**2))) / (1 + z2 / size)
    return Interval(max(0.0, min(centre - half, rate)), min(1.0, max(centre + half, rate)))


def design_effect(hits: ArrayLike, groups: Sequence[str] | None) -> float:
    """Return by how much groups of faces blur a rate: its variance over groups to that of independent faces.

    At least 1; 1 without groups, with one group only, and where all hits [n] are equal, since nothing is to
    be learned from those. Source: Kish 1965; variance of a ratio over clusters as in Cochran 1977, 11.8.
    """
    hit = np.asarray(hits, np.float64)
    rate = float(hit.mean()) if hit.size else 0.0
    if groups is None or rate in {0.0, 1.0}:
        return 1.0
    index = group_index(groups)
    count = int(index.max()) + 1
    if count < 2:
        return 1.0
    residuals = np.bincount(index, weights=hit - rate)
    between = count / (count - 1) * float(np.sum(residuals**2))
    return max(1.0, between / (hit.size * rate * (1 - rate)))


def group_index(groups: Sequence[str]) -> NDArray[np.intp]:
    """Return for each face [n] the number of its group, from 0; an empty name is a group of its own."""
    named = [group or f"\0{position}" for position, group in enumerate(groups)]
    return np.unique(np.asarray(named, dtype=object), return_inverse=True)[1].astype(np.intp)


def auc_interval(
    labels: ArrayLike, scores: ArrayLike, groups: Sequence[str] | None = None, seed: int = 0
) -> Interval | None:
    """Return the interval of the area under the ROC curve: bootstrap over groups, or DeLong without groups.

    None where the data cannot tell how sure it is: one class only, fewer than MIN_GROUPS groups, or a perfect
    separation (its variance is estimated as 0 by either method, which is not the same as being certain).
    """
    if groups is None:
        return auc_delong(labels, scores)
    return auc_bootstrap(labels, scores, groups, seed)


def auc_bootstrap(
    labels: ArrayLike, scores: ArrayLike, groups: Sequence[str], seed: int = 0, replicates: int = 1000
) -> Interval | None:
    """Return the 95 % percentile interval of the AUC over resampled groups; None as in `auc_interval`.

    A group (a person, a clip) is drawn whole, since its faces are alike. Source: Efron & Tibshirani 1993,
    13.3; Field & Welsh 2007 for whole clusters.
    """
    index = group_index(groups)
    count = int(index.max()) + 1 if index.size else 0
    if count < MIN_GROUPS:
        return None
    draw = np.random.default_rng(seed)
    step = max(1, _CHUNK // index.size)
    sizes = [min(step, replicates - done) for done in range(0, replicates, step)]
    shares = np.full(count, 1 / count)
    areas = [weighted_auc(labels, scores, draw.multinomial(count, shares, size)[:, index]) for size in sizes]
    return _percentile_interval(np.concatenate(areas))


def _percentile_interval(replicates: Floats) -> Interval | None:
    """Return the middle 95 % of replicates; None if a tenth of them is undefined, or if all are equal."""
    defined = replicates[np.isfinite(replicates)]
    if defined.size < 0.9 * replicates.size or float(np.ptp(defined)) == 0:
        return None
    return Interval(percentile(defined, 2.5), percentile(defined, 97.5))


def weighted_auc(labels: ArrayLike, scores: ArrayLike, weights: NDArray[np.int64]) -> Floats:
    """Return the AUC [replicates], each face counted weights [replicates, n] times; NaN with one class."""
    score, truth = np.asarray(scores, np.float64), np.asarray(labels).astype(bool)
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=np.nan) != 0)
    sorted_weights = weights[:, order].astype(np.float64)
    fakes = np.add.reduceat(sorted_weights * truth[order], starts, axis=1)
    reals = np.add.reduceat(sorted_weights * ~truth[order], starts, axis=1)
    below = np.cumsum(reals, axis=1) - reals / 2  # ties count half
    pairs = fakes.sum(axis=1) * reals.sum(axis=1)
    areas: Floats = np.full(len(pairs), np.nan)
    np.divide((fakes * below).sum(axis=1), pairs, out=areas, where=pairs > 0)
    return areas


def auc_delong(labels: ArrayLike, scores: ArrayLike, confidence: float = 0.95) -> Interval | None:
    """Return the interval of the AUC for independent faces; None at 0 and 1, or with one face of a class.

    Source: DeLong, DeLong & Clarke-Pearson 1988, by ranks as in Sun & Xu 2014; on the logit scale (Pepe 2003,
    5.2.4), so that it stays inside [0, 1].
    """
    score, truth = np.asarray(scores, np.float64), np.asarray(labels).astype(bool)
    fakes, reals = score[truth], score[~truth]
    if len(fakes) < 2 or len(reals) < 2:
        return None
    wins, losses = _shares_below(fakes, reals), _shares_below(reals, fakes)
    auc = float(wins.mean())
    if auc in {0.0, 1.0}:
        return None
    variance = float(np.var(wins, ddof=1)) / len(fakes) + float(np.var(losses, ddof=1)) / len(reals)
    half = float(special.ndtri(0.5 + confidence / 2)) * math.sqrt(variance) / (auc * (1 - auc))
    logit = float(special.logit(auc))
    return Interval(float(special.expit(logit - half)), float(special.expit(logit + half)))


def _shares_below(values: Floats, others: Floats) -> Floats:
    """Return for each value [n] the share of others that lie below it, equal ones counted half."""
    ordered = np.sort(others)
    left, right = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    shares: Floats = (left + right) / (2 * len(others))
    return shares
