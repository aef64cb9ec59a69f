"""The milliseconds of a frame of a net that is being pruned, measured as a run measures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgerig import toml
from edgerig.errors import ModelError
from harness import config
from harness.models.frame_time import FrameTimer
from model_zoo import faceset
from model_zoo.building import products
from model_zoo.building.faces import TrainingFaces
from model_zoo.building.trained import Trained
from model_zoo.manifest import Input
from targets import profile
from tests.support import faces as small_faces
from tests.support import models


@pytest.fixture
def timer(tmp_path: Path) -> FrameTimer:
    folder = small_faces.make(tmp_path / "faces", 16, splits=("train", "val"))
    return FrameTimer(config.load(None).target(profile.DEFAULT), TrainingFaces(faceset.load(folder)), 0)


def test_a_frame_is_measured(timer: FrameTimer, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []

    def export(trained: Trained, kind: str, asked: object, folder: Path, name: str) -> dict[str, Any]:
        """Write a small model in the place of the exporter, which has tests of its own."""
        written.append(folder)
        path = models.onnx_model(folder, name)
        return {key: value for key, value in toml.load(path.with_suffix(".toml")).items() if key != "extends"}

    monkeypatch.setattr(products, "export", export)
    trained = Trained(None, "mobilenetv3-small", Input(size=(32, 32)))
    assert 0 < timer(trained) < 1000
    assert not written[0].exists()  # nothing is left of it


def test_a_file_that_cannot_run_is_said(timer: FrameTimer, monkeypatch: pytest.MonkeyPatch) -> None:
    def export(trained: Trained, kind: str, asked: object, folder: Path, name: str) -> dict[str, Any]:
        (folder / "pruned.onnx").write_bytes(b"no model")
        return {"name": name, "file": "pruned.onnx", "input": {"size": [32, 32]}, "output": {"kind": "logits"}}

    monkeypatch.setattr(products, "export", export)
    with pytest.raises(ModelError, match="a frame could not be measured on x86"):
        timer(Trained(None, "mobilenetv3-small", Input(size=(32, 32))))
