"""Is a candidate slower than its baseline? Decided on rounds that were measured in pairs, the stopping rule included.

One observation is the logarithm of the ratio of two medians: of the candidate's round and of the baseline's round of
the same number, measured minutes apart at most in one session, so that what both rounds share cancels (Kalibera &
Jones 2013). Student's t is taken on these.

**Looks.** Rounds go on while nothing is decided, and looking again and again makes chance look like a finding. So
there are LOOKS only: after 5, 8, 12 … pairs, never in between, and each of them spends its equal share of the
allowed error (Bonferroni; the bound holds whatever the looks have to do with each other, unlike boundaries that
suppose a normal law with known variance, e.g. Pocock 1977). `decide` replays the looks from the ratios alone: whoever
has the ratios comes to the same verdict, and a look that was not taken changes nothing.

**Two errors.** Per decision, over all looks, ALARM bounds the chance to call a candidate slower that is not: the test
is one-sided, as only that side makes anything red, and faster is decided by a second test of the same size. MISS bounds
the chance to call a candidate the same that is slower by the margin. A slower candidate is a regression where its
estimate is nearer to the margin than to nothing: half of the margin and more. Below that a slow-down may be shown and
is still not worth a red night.

**Noise of a second kind.** A session's rounds may all be off together. That no number of rounds shows; a second session
does, and nothing is red before it agrees (`confirmed`). The second session's data are fresh, so that the
Benjamini-Hochberg procedure over the flagged cells controls the share of false ones among the red (Benjamini &
Hochberg 1995), at RED, whatever flagged them.

What this cannot tell: why; and what all pairs share, such as a baseline file that was built differently.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from reports.records import Decision

LOOKS = (5, 8, 12, 16, 22, 30, 40)  # pairs of rounds
ALARM = 0.001  # chance to call slower what is not, over all looks; the same again for faster
MISS = 0.05  # chance to call the same what is slower, or faster, by the margin, over all looks
RED = 0.01  # of a second session's test, and share of false ones among the red
POWER = 0.9  # with which a minimum detectable change is found
FDR = 0.05  # share of false ones among the differences of two runs that were compared afterwards

MARGIN = 0.02
TAIL_MARGIN = 0.10

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Decided:
    """A decision on a ratio, candidate to baseline, and what it rests upon.

    Attributes:
        decision: what was decided.
        ratio: geometric mean of the ratios, None without any.
        low: and `high`: the bounds that were held against 1, each one-sided at 1 - ALARM over all looks.
        p: one-sided, that the candidate is not slower, over all looks; None before the first look.
        pairs: of rounds that were used.
        mdc: the smallest slow-down that so many pairs of this noise find with POWER.
        needed: pairs that would probably decide, None where it is decided or nothing would.
    """

    decision: Decision
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    pairs: int = 0
    mdc: float | None = None
    needed: int | None = None


@dataclass(frozen=True)
class Rule:
    """The numbers of a sequential test; those of the second session differ in `alarm` alone."""

    margin: float = MARGIN
    alarm: float = ALARM
    miss: float = MISS
    looks: tuple[int, ...] = LOOKS

    @property
    def log_margin(self) -> float:
        """The margin on the scale of the observations."""
        return math.log1p(self.margin)


def decide(ratios: ArrayLike, rule: Rule | None = None) -> Decided:
    """Return the verdict on ratios [pairs] > 0 in the order of their rounds: that of the first look that decides.

    Raises ValueError where a ratio is not positive. Source: Student 1908 on logs; looks as above.
    """
    rule = rule or Rule()
    logs = _logs(ratios)
    taken = [look for look in rule.looks if look <= logs.size]
    if not taken:
        return Decided(Decision.UNDECIDED, _mean(logs), pairs=int(logs.size), needed=rule.looks[0])
    best = 1.0
    for look in taken:
        found = _look(logs[:look], rule)
        best = min(best, found.p if found.p is not None else 1.0)
        if found.decision is not Decision.UNDECIDED or look == taken[-1]:
            return found if found.p is None else _with_p(found, best)
    raise AssertionError("the last look returns")


def next_look(pairs: int, rule: Rule | None = None) -> int | None:
    """Return the number of pairs at the next look, None after the last one."""
    return next((look for look in (rule or Rule()).looks if look > pairs), None)


def _logs(ratios: ArrayLike) -> Floats:
    sample = np.asarray(ratios, np.float64)
    if sample.ndim != 1 or not np.all(np.isfinite(sample)) or np.any(sample <= 0):
        raise ValueError("ratios must be a list of finite, positive numbers")
    return np.log(sample)


def _mean(logs: Floats) -> float | None:
    return math.exp(float(logs.mean())) if logs.size else None


def _with_p(found: Decided, p: float) -> Decided:
    return Decided(**{**vars(found), "p": p})


def _look(logs: Floats, rule: Rule) -> Decided:
    n, mean = int(logs.size), float(logs.mean())
    error = _standard_error(logs)
    alarm = quantile(rule.alarm, rule, n) * error
    miss = quantile(rule.miss / 2, rule, n) * error
    decision = _side(mean, alarm, miss, rule.log_margin)
    return Decided(
        decision,
        ratio=math.exp(mean),
        low=_exp(mean - alarm),
        high=_exp(mean + alarm),
        p=_p_slower(mean, error, n, len(rule.looks)),
        pairs=n,
        mdc=detectable(error * math.sqrt(n), n, rule),
        needed=_needed(error * math.sqrt(n), mean, n, rule) if decision is Decision.UNDECIDED else None,
    )


def _standard_error(logs: Floats) -> float:
    # Equal ratios leave rounding errors only, and pure numbers such as counts leave none at all.
    return max(float(np.std(logs, ddof=1)) / math.sqrt(logs.size), 1e-12)


def _side(mean: float, alarm: float, miss: float, margin: float) -> Decision:
    if abs(mean) > alarm and abs(mean) >= margin / 2:
        return Decision.REGRESSION if mean > 0 else Decision.IMPROVEMENT
    return Decision.SAME if abs(mean) + miss < margin else Decision.UNDECIDED


def quantile(error: float, rule: Rule, pairs: int) -> float:
    """Return Student's quantile of one look that spends its share of an error."""
    return float(special.stdtrit(pairs - 1, 1 - error / len(rule.looks)))


def _p_slower(mean: float, error: float, n: int, looks: int) -> float:
    return min(1.0, looks * float(stats.t.sf(mean / error, n - 1)))


def _exp(value: float) -> float:
    return math.exp(min(max(value, -700.0), 700.0))


def detectable(deviation: float, pairs: int, rule: Rule | None = None) -> float | None:
    """Return the smallest slow-down, as a share, that is found with POWER; None with fewer pairs than a look has.

    Args:
        deviation: standard deviation of the log-ratio of one pair.
        pairs: of rounds.
        rule: the numbers of the test.

    Source: the non-centrality at which Student's non-central t passes the quantile of one look with POWER (Owen 1965).
    Never below half of the margin, as nothing smaller is called a regression.
    """
    rule = rule or Rule()
    if pairs < rule.looks[0]:
        return None
    reach = float(special.nctdtrinc(pairs - 1, 1 - POWER, quantile(rule.alarm, rule, pairs)))
    return math.expm1(min(max(reach * deviation / math.sqrt(pairs), rule.log_margin / 2), 700.0))


def _needed(deviation: float, mean: float, pairs: int, rule: Rule) -> int | None:
    """Return the pairs of the first look at which the same mean and noise would decide, None where none would."""
    for look in rule.looks:
        error = deviation / math.sqrt(look)
        alarm, miss = quantile(rule.alarm, rule, look) * error, quantile(rule.miss / 2, rule, look) * error
        if look > pairs and _side(mean, alarm, miss, rule.log_margin) is not Decision.UNDECIDED:
            return look
    return None


def detectable_alone(medians: ArrayLike, rule: Rule | None = None) -> float | None:
    """Return the minimum detectable change of a cell that has no baseline, from the medians of its rounds [n] > 0.

    The baseline is taken to be as noisy, and the two as independent: pairing can only make it better.
    """
    sample = np.asarray(medians, np.float64)
    if sample.size < 2 or np.any(sample <= 0):
        return None
    return detectable(math.sqrt(2) * float(np.std(np.log(sample), ddof=1)), int(sample.size), rule)


def adjusted(values: Sequence[float]) -> list[float]:
    """Return p-values as the Benjamini-Hochberg procedure adjusts them; [] for none."""
    return [float(value) for value in stats.false_discovery_control(values)] if values else []


@dataclass(frozen=True)
class Apart:
    """Two sessions compared: they share no rounds, so that there are no pairs.

    Attributes:
        ratio: of the geometric means of the medians, candidate to baseline.
        low: and `high`: 95 % of what the rounds tell. What lies between sessions is not in them.
        p: two-sided, that both are the same.
    """

    ratio: float
    low: float
    high: float
    p: float


def apart(candidate: ArrayLike, baseline: ArrayLike) -> Apart | None:
    """Compare medians of rounds of two sessions by Welch's t on logs; None with fewer than two on a side.

    Source: Welch 1947. Sessions differ by more than their rounds say, so this never decides anything.
    """
    mine, theirs = (np.asarray(values, np.float64) for values in (candidate, baseline))
    if min(mine.size, theirs.size) < 2 or np.any(mine <= 0) or np.any(theirs <= 0):
        return None
    logs, others = np.log(mine), np.log(theirs)
    parts = (float(logs.var(ddof=1)) / logs.size, float(others.var(ddof=1)) / others.size)
    error = max(math.sqrt(sum(parts)), 1e-12)
    spread = parts[0] ** 2 / (logs.size - 1) + parts[1] ** 2 / (others.size - 1)
    freedom = sum(parts) ** 2 / spread if spread > 0 else float(logs.size + others.size - 2)
    mean = float(logs.mean() - others.mean())
    half = float(special.stdtrit(freedom, 0.975)) * error
    p = 2 * float(stats.t.sf(abs(mean) / error, freedom))
    return Apart(_exp(mean), _exp(mean - half), _exp(mean + half), p)


def mcnemar(worse: int, better: int) -> float:
    """Return the chance of at least so many faces that turned wrong, were both directions equally likely.

    Exact and one-sided; faces that both decide rightly or both wrongly say nothing. Source: McNemar 1947.
    """
    total = worse + better
    return float(stats.binomtest(worse, total, 0.5, alternative="greater").pvalue) if total else 1.0
