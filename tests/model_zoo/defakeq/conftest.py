"""A net and faces so small that a block is tuned in a blink."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from model_zoo import faceset
from model_zoo.building.faces import TrainingFaces
from model_zoo.building.trained import Context, Trained
from model_zoo.manifest import Input
from tests.support import faces as small_faces
from tests.support.nets import Tiny

INPUT = Input(size=(32, 32), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> TrainingFaces:
    folder = tmp_path_factory.mktemp("defakeq") / "small"
    return TrainingFaces(faceset.load(small_faces.make(folder, 72, splits=("train", "train", "val"))))


@pytest.fixture
def trained() -> Trained:
    """Return a net whose batch norms have seen something: fresh ones change nothing when they are folded."""
    net = Tiny(width=16)
    torch.manual_seed(2)
    with torch.no_grad():
        for _ in range(10):
            net.train()(torch.randn(8, 3, 32, 32))
    return Trained(net.eval(), "mobilenetv3-small", INPUT)


@pytest.fixture
def context(small: TrainingFaces, tmp_path: Path) -> Callable[..., Context]:
    def make(folder: str = "work", **changes: Any) -> Context:
        (tmp_path / folder).mkdir(exist_ok=True)
        known: dict[str, Any] = {
            "faces": small,
            "other": None,
            "seed": 3,
            "device": "cpu",
            "work": tmp_path / folder,
            "teacher": None,
        }
        return Context(**{**known, **changes})

    return make
