"""A small trained net, its faces, and its float files, made once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from model_zoo.building.faces import TrainingFaces
from model_zoo.building.trained import Trained
from model_zoo.exporting.export import Exporter, Order
from model_zoo.exporting.workshop import Workshop
from tests.support import exportable

NAMES = {"small": "onnx", "small-tflite": "tflite", "small-openvino": "openvino"}


@pytest.fixture(scope="session")
def trained() -> Trained:
    return exportable.trained()


@pytest.fixture(scope="session")
def training_faces(tmp_path_factory: pytest.TempPathFactory) -> TrainingFaces:
    return exportable.faces(tmp_path_factory.mktemp("faces") / "set")


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory, trained: Trained, training_faces: TrainingFaces) -> Workshop:
    """Return what makes the files of the net, once for all tests."""
    return Workshop(trained, training_faces, 0, tmp_path_factory.mktemp("workshop"))


@pytest.fixture(scope="session")
def exported(
    tmp_path_factory: pytest.TempPathFactory, trained: Trained, training_faces: TrainingFaces, workshop: Workshop
) -> tuple[Path, dict[str, Any]]:
    """Return the folder of the float files, and their manifests' tables by name."""
    folder = tmp_path_factory.mktemp("exported")
    about = {"parent": "", "note": "Small."}
    with Exporter(trained, Order(folder, training_faces, about=about)) as exporter:
        exporter._workshop = workshop
        return folder, {name: exporter.write(name, kind) for name, kind in NAMES.items()}  # type: ignore[arg-type]
