"""What preparing arrays beforehand saves: our preprocessing against the few lines of numpy that everybody writes.

    python -m pytest benchmarks/test_preprocess.py --benchmark-only

Both turn the same 224x224 picture into the same 160x160 tensor; read the ratio in one run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from edgerig.preprocess import InputSpec, Preprocessor

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SPEC = InputSpec(160, 160, mean=MEAN, std=STD)
Picture = NDArray[np.uint8]


def shrunk(picture: Picture, height: int, width: int, method: str) -> Any:
    """Resize as the agent does where it has OpenCV."""
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def usual(picture: Picture) -> Any:
    """Do it as most scripts do: a new array at each step."""
    resized = cv2.cvtColor(cv2.resize(picture, (160, 160), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
    scaled = (resized.astype(np.float32) / 255 - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])


@pytest.fixture
def picture() -> Picture:
    """Return noise as large as a shipped face."""
    return np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)


@pytest.mark.parametrize("way", [Preprocessor(SPEC, shrunk), usual], ids=["ours", "usual"])
@pytest.mark.benchmark(group="224x224 BGR to 160x160 tensor")
def test_preprocess(benchmark: BenchmarkFixture, picture: Picture, way: Callable[[Picture], Any]) -> None:
    """Time one picture; the result is the same tensor."""
    cv2.setNumThreads(1)
    tensor = benchmark(way, picture)
    np.testing.assert_allclose(tensor, usual(picture), atol=1e-5)
