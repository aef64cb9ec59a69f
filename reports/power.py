"""How well a face set of a given size can tell AUCs apart, before anything is measured: pure functions, with source.

These are forecasts for faces that are independent of each other; faces that come in groups tell less.
"""

from __future__ import annotations

import math

from scipy import special

# Of a pair of fakes' or of real faces' scores, between a model and what was compressed of it. The shipped fp32 and
# int8 detectors have more; with less, more faces are needed than is said.
CORRELATION = 0.9
TYPICAL_AUC = 0.9


def auc_half_width(auc: float, fakes: int, reals: int, confidence: float = 0.95) -> float:
    """Return how far the interval of an AUC will reach to either side; infinite without faces of both kinds.

    Source: Hanley & McNeil 1982, formulas 1 and 2 (negative exponential model of the scores).
    """
    return float(special.ndtri(0.5 + confidence / 2)) * auc_error(auc, fakes, reals)


def auc_error(auc: float, fakes: int, reals: int) -> float:
    """Return the standard error of an AUC; source as of `auc_half_width`."""
    if fakes < 1 or reals < 1:
        return math.inf
    one, two = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = (fakes - 1) * (one - auc**2) + (reals - 1) * (two - auc**2)
    return math.sqrt((auc * (1 - auc) + spread) / (fakes * reals))


def drop_half_width(fakes: int, reals: int, auc: float = TYPICAL_AUC, correlation: float = CORRELATION) -> float:
    """Return how far the interval of a difference of two AUCs of the same faces will reach to either side.

    Source: Hanley & McNeil 1983: the variance of the difference is 2 (1 - r) times that of one of them, where both
    are alike; r is taken to be the correlation of the scores, which is a little above that of the areas.
    """
    return auc_half_width(auc, fakes, reals) * math.sqrt(2 * (1 - correlation))


def faces_for(limit: float, fakes: int, reals: int, half_width: float) -> int:
    """Return about how many faces of the same mixture make a half-width as small as `limit`, in tens."""
    return math.ceil((fakes + reals) * (half_width / limit) ** 2 / 10) * 10
