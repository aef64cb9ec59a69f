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

ROUNDS_OF_PERCENTILE = 5  # fewest whose differences tell how far a percentile of all their frames may be off

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


def percentile_interval(rounds: Sequence[Floats], q: float) -> Interval | None:
    """Return the 95 % interval of a percentile of the pooled frames of rounds [frames of each].

    How far the share of frames below it varies between rounds, on the scale of shares by Student's t, and the order
    statistics at the ends of that. A distribution-free interval of the pooled frames alone (David & Nagaraja 7.1) would
    take those of one process for independent, which they are not; it is the least that is given. Percentiles of the
    single rounds would be off where a round is short; they only stand in, beside the slowest frame, for an upper end
    above all frames. None with fewer than ROUNDS_OF_PERCENTILE rounds. Simulated: covers 93 to 100 % where rounds
    differ by up to 5 %, but down to 77 % where whole rounds differ by 10 %; such cells are noisy.
    Source: Woodruff 1952; variance of a ratio over clusters, Cochran 1977, 11.8.
    """
    count = len(rounds)
    if count < ROUNDS_OF_PERCENTILE or not all(len(times) for times in rounds):
        return None
    pooled = np.sort(np.concatenate(rounds))
    share, size = q / 100, pooled.size
    middle = percentile(pooled, q)
    below = np.array([np.count_nonzero(times <= middle) - share * len(times) for times in rounds])
    between = count / (count - 1) * float(np.sum((below - below.mean()) ** 2)) / size**2
    alone = share * (1 - share) / size
    reach = float(special.stdtrit(count - 1, 0.975)) * math.sqrt(max(between, alone))
    low, high = math.floor((share - reach) * size), math.ceil((share + reach) * size)
    upper = float(pooled[high]) if high < size else _above_all(rounds, q, float(pooled[-1]))
    return Interval(min(float(pooled[max(0, low)]), middle), max(upper, middle))


def _above_all(rounds: Sequence[Floats], q: float, slowest: float) -> float:
    """Return an upper end for a percentile that may lie above all frames: theirs, or that of the rounds' own ones."""
    own = t_interval([float(np.percentile(times, q, method="weibull")) for times in rounds])
    return max(slowest, own.high) if own else slowest


def rounds_needed(interval: Interval, rounds: int, distance: float, most: int) -> int | None:
    """Return how many rounds make a t_interval of `rounds` reach less far than `distance` on the log scale.

    An estimate: the noise of further rounds is taken to be that of these. None where `most` would not do.
    """
    if rounds < 2 or distance <= 0 or interval.low <= 0:
        return None
    half = math.log(interval.high / interval.low) / 2
    deviation = half * math.sqrt(rounds) / float(special.stdtrit(rounds - 1, 0.975))
    sizes = np.arange(2, most + 1)
    enough = np.flatnonzero(special.stdtrit(sizes - 1, 0.975) * deviation / np.sqrt(sizes) <= distance)
    return int(sizes[enough[0]]) if enough.size else None


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

    A perfect separation has no variance, which is not the same as being certain: see `auc_separated`. None where the
    data cannot tell how sure it is: one class only, or fewer than MIN_GROUPS groups.
    """
    separated = auc_separated(labels, scores, groups)
    if separated or groups is None:
        return separated or auc_delong(labels, scores)
    return auc_bootstrap(labels, scores, groups, seed)


def auc_separated(labels: ArrayLike, scores: ArrayLike, groups: Sequence[str] | None = None) -> Interval | None:
    """Return the interval of an AUC of 0 or 1; None where the scores do not separate, or there are too few groups.

    Faces make so many pairs of a fake and a real one that share no face, half as many as groups where faces come in
    groups; each is independent of the others and rightly ordered with the probability AUC, and all of them were:
    the interval ends at .025 ** (1 / pairs). Source: Clopper & Pearson 1934 for all of n trials; conservative.
    """
    score, truth = np.asarray(scores, np.float64), np.asarray(labels).astype(bool)
    fakes, reals = score[truth], score[~truth]
    count = min(len(fakes), len(reals))
    if groups is not None:
        index = group_index(groups)
        among = len(set(index.tolist()))
        if among < MIN_GROUPS:
            return None
        count = min(len(set(index[truth].tolist())), len(set(index[~truth].tolist())), among // 2)
    if not count or not (fakes.min() > reals.max() or fakes.max() < reals.min()):
        return None
    reach = 0.025 ** (1 / count)
    return Interval(reach, 1.0) if fakes.min() > reals.max() else Interval(0.0, 1 - reach)


def auc_difference(
    labels: ArrayLike, scores: ArrayLike, others: ArrayLike, groups: Sequence[str], seed: int = 0
) -> Interval | None:
    """Return the 95 % interval of AUC(scores) - AUC(others), both of the same faces: bootstrap over groups, paired.

    Where no resample differs from another, the groups that would change the difference are fewer than the rule of
    three says, and each changes it by its share among fakes and among real faces at most. None with fewer than
    MIN_GROUPS groups or one class. Source: Efron & Tibshirani 1993, 13.3; Clopper & Pearson 1934.
    """
    index = group_index(groups)
    truth = np.asarray(labels).astype(bool)
    count = int(index.max()) + 1 if index.size else 0
    if count < MIN_GROUPS or truth.all() or not truth.any():
        return None
    # The same groups are drawn for both: the seed is the same.
    mine, theirs = (resampled_aucs(truth, values, index, seed) for values in (scores, others))
    ends = _percentile_interval(mine - theirs)
    if ends is None and float(np.nanmax(mine - theirs) - np.nanmin(mine - theirs)) == 0:
        middle, reach = float(np.nanmean(mine - theirs)), 2 * (1 - 0.025 ** (1 / count))
        ends = Interval(max(-1.0, middle - reach), min(1.0, middle + reach))
    return ends


def auc_bootstrap(
    labels: ArrayLike, scores: ArrayLike, groups: Sequence[str], seed: int = 0, replicates: int = 1000
) -> Interval | None:
    """Return the 95 % percentile interval of the AUC over resampled groups; None as in `auc_interval`.

    A group (a person, a clip) is drawn whole, since its faces are alike. Source: Efron & Tibshirani 1993,
    13.3; Field & Welsh 2007 for whole clusters.
    """
    index = group_index(groups)
    if (int(index.max()) + 1 if index.size else 0) < MIN_GROUPS:
        return None
    return _percentile_interval(resampled_aucs(labels, scores, index, seed, replicates))


def resampled_aucs(
    labels: ArrayLike, scores: ArrayLike, index: NDArray[np.intp], seed: int, replicates: int = 1000
) -> Floats:
    """Return the AUC [replicates] of resampled groups, `index` [n] numbering them; the same ones for the same seed."""
    count = int(index.max()) + 1
    draw = np.random.default_rng(seed)
    step = max(1, _CHUNK // index.size)
    sizes = [min(step, replicates - done) for done in range(0, replicates, step)]
    shares = np.full(count, 1 / count)
    areas = [weighted_auc(labels, scores, draw.multinomial(count, shares, size)[:, index]) for size in sizes]
    return np.concatenate(areas)


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
