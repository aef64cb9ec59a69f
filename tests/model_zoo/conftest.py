"""Faces that nothing was tuned or trained on, drawn once a session, on two processors."""

from __future__ import annotations

import multiprocessing

import pytest

from model_zoo.drawn import CATEGORIES, REAL, draw
from model_zoo.drawn.samples import single_threaded

SEED = 424_242
PAIRS = 150


@pytest.fixture(scope="session")
def unseen() -> dict[tuple[int, str], bytes]:
    """Return JPEG bytes by scene and category: of each of 150 scenes the real face, then a fake by one method."""
    wanted = [(index, category) for index in range(PAIRS) for category in (REAL, CATEGORIES[index % len(CATEGORIES)])]
    with multiprocessing.get_context("spawn").Pool(2, initializer=single_threaded) as pool:
        drawn = pool.starmap(draw, [(SEED, *which) for which in wanted], chunksize=10)
    return dict(zip(wanted, drawn, strict=True))
