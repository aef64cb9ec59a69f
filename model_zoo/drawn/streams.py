"""Named random streams: one (seed, index) pair feeds each part of a face from a stream of its own.

A part that starts drawing one number more leaves every other part as it was.
"""

from __future__ import annotations

import zlib

import numpy as np


def stream(seed: int, index: int, name: str) -> np.random.Generator:
    """A generator for the part called `name` of scene `index`."""
    return np.random.default_rng([seed, index, zlib.crc32(name.encode())])


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """One plain float: OpenCV refuses numpy scalars in places."""
    return float(rng.uniform(low, high))


def chance(rng: np.random.Generator, probability: float) -> bool:
    """True with the given probability."""
    return bool(rng.random() < probability)
