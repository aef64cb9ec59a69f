"""What the manifest of a variant says of where its weights come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_zoo import faceset
from model_zoo.building.build import Asked, Builder
from model_zoo.building.faces import TrainingFaces
from model_zoo.building.products import Products
from model_zoo.building.store import Store
from tests.model_zoo.building.test_recipe import TRAIN, small, write
from tests.support import faces as small_faces

PRUNE = '[[steps]]\ndo = "prune"\namount = 0.3\n'
DEFAKEQ = '[[steps]]\ndo = "defakeq"\n'
OTHER = TRAIN + 'on = "other-faces"\n'
WEIGHTS = "weights of w.pt, not trained further"


@pytest.mark.parametrize(
    ("text", "data"),
    [
        (small() + TRAIN, "faces, 16 training faces"),
        (small(), "not trained"),
        (small() + PRUNE, "not trained"),
        (small(weights="w.pt") + PRUNE, WEIGHTS),
        (small(weights="w.pt") + PRUNE + "[steps.recover]\nepochs = 1\n", "faces, 16 training faces"),
        (small(weights="w.pt") + DEFAKEQ, "faces, 16 training faces"),
        (small(weights="w.pt") + DEFAKEQ + "veft = false\n", WEIGHTS),
        (small() + OTHER, "other, 8 training faces"),
        (small() + OTHER + TRAIN, "faces, 16 training faces"),
    ],
)
def test_it_is_said_what_a_net_has_learned_from(tmp_path: Path, text: str, data: str) -> None:
    faces, other = (
        TrainingFaces(faceset.load(small_faces.make(tmp_path / name, count, splits=("train", "train", "val", "test"))))
        for name, count in (("faces", 32), ("other", 16))
    )
    (tmp_path / "w.pt").write_bytes(b"weights")
    shelf = write(tmp_path, net=text)
    shop = Products(Builder(shelf, Asked(faces, other), Store(tmp_path / "store")))
    assert shop._training(shelf["net"], {})["data"] == data
