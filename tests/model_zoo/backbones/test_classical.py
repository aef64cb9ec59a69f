"""Classical classifiers: they learn, repeat themselves, and survive the way to ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from skl2onnx import to_onnx

from edgerig.errors import ConfigError
from model_zoo import faceset
from model_zoo.backbones import classical, registry
from model_zoo.building.faces import TrainingFaces
from model_zoo.building.recipe import Fit
from model_zoo.building.trained import Context, Trained
from model_zoo.manifest import Input
from tests.support import faces as small_faces

INPUT = Input(size=(8, 8), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
NAMES = ["svm", "decision-tree", "random-forest"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> TrainingFaces:
    folder = tmp_path_factory.mktemp("classical") / "small"
    return TrainingFaces(faceset.load(small_faces.make(folder, 120, splits=("train", "train", "val"))))


def fitted(name: str, faces: TrainingFaces, folder: Path) -> Trained:
    context = Context(faces, None, 2, "cpu", folder, lambda _: pytest.fail("nobody teaches"))
    return classical.apply(Fit(do="fit", components=12), registry.fresh(name, "random", INPUT, 2), context)


@pytest.mark.filterwarnings("ignore:Attribute `prob._` was deprecated:FutureWarning")  # skl2onnx reads it
@pytest.mark.parametrize("name", NAMES)
def test_it_learns_repeats_itself_and_becomes_onnx(name: str, small: TrainingFaces, tmp_path: Path) -> None:
    first, again = (fitted(name, small, tmp_path) for _ in range(2))
    assert first.figures["val_auc"] >= 0.8
    assert first.figures == again.figures
    assert first.techniques == ("12 principal components",)
    rows = np.random.default_rng(1).normal(0, 0.5, (40, 192)).astype(np.float32)
    expected = first.model.predict_proba(rows)
    assert np.array_equal(expected, again.model.predict_proba(rows))
    file = to_onnx(first.model, rows[:1], options={"zipmap": False})
    session: Any = onnxruntime.InferenceSession(file.SerializeToString(), providers=["CPUExecutionProvider"])
    assert np.allclose(session.run(None, {session.get_inputs()[0].name: rows})[1], expected, atol=1e-4)


def test_a_net_is_not_fitted() -> None:
    with pytest.raises(ConfigError, match="'fit' is for classical classifiers, and meso4 is a net"):
        classical.check(Fit(do="fit"), "meso4")
    classical.check(Fit(do="fit"), "svm")
