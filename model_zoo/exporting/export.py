"""The files of a variant: written beside the place, held against the net, and moved in when they agree."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from edgerig import digest, files
from model_zoo.building.faces import TrainingFaces
from model_zoo.building.recipe import Format, Quantize
from model_zoo.building.trained import SILENT, Teller, Trained
from model_zoo.exporting import onnx_file, openvino_file, parity, running, tflite_file
from model_zoo.exporting.counts import counted
from model_zoo.ladder.fidelity import Faces
from model_zoo.manifest import Input

SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "tflite": ".tflite", "openvino": ".xml"}


@dataclass(frozen=True)
class Order:
    """How a net is exported, whatever the format.

    Attributes:
        folder: where the files go.
        faces: of which validation faces check the files, and training faces calibrate quantization.
        seed: draws them.
        quantization: the `quantize` step of the recipe, None for float files.
        about: further keys of the manifests: parent, note, training, authors.
        teller: is told how far it is.
    """

    folder: Path
    faces: TrainingFaces
    seed: int = 0
    quantization: Quantize | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    teller: Teller = SILENT


class Exporter:
    """Exports one net to some formats; what they share is made once. A context manager.

    Args:
        trained: the net.
        order: where to, and how.
    """

    def __init__(self, trained: Trained, order: Order) -> None:
        self._trained, self._order = trained, order
        self._work = Path(tempfile.mkdtemp(prefix="edgerig-export-"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        shutil.rmtree(self._work, ignore_errors=True)

    def write(self, name: str, kind: Format) -> dict[str, Any]:
        """Write the files of a variant, and return its manifest's table for `model_zoo.family.write`.

        Raises:
            ModelError: it cannot be exported, or what was exported does not agree with the net; nothing is left of it.
            OutputError, DiskFull: the folder cannot be written.
        """
        self._order.teller.step(f"exporting {name}", 1)
        source = self._float(kind)
        path = self._placed(source, name)
        self._order.teller.advance(1)
        return self._table(name, path, _input(self._trained.input, kind))

    def _float(self, kind: Format) -> Path:
        """Return the float file of a format, written once and held against the net."""
        path = self._work / f"float{SUFFIXES[kind]}"
        if path.exists():
            return path
        if kind == "onnx":
            onnx_file.write(self._trained.model, self._trained.input, path)
        elif kind == "openvino":
            openvino_file.write(self._float("onnx"), self._trained.input, path)
        else:
            tflite_file.write(self._trained.model, self._trained.input, path)
        faces = Faces(self._faces.faces, _input(self._trained.input, kind).spec())
        parity.require(running.answers(path, faces), self._answers, f"the {kind} file of {self._trained.backbone}")
        return path

    @cached_property
    def _faces(self) -> Faces:
        return self._order.faces.validation(self._trained.input, parity.FACES, self._order.seed)

    @cached_property
    def _answers(self) -> NDArray[Any]:
        """The answers of the net itself, float64 [faces, 2]."""
        with torch.no_grad():
            rows = [self._trained.model(torch.from_numpy(tensor)).numpy() for tensor in self._faces.tensors()]
        return np.concatenate(rows).astype(np.float64)

    def _placed(self, source: Path, name: str) -> Path:
        """Move the files of a model into the folder under their name, the one that names the model last."""
        folder = files.make_folder(self._order.folder)
        parts = [source.with_suffix(".bin")] if source.suffix == ".xml" else []
        for part in (*parts, source):
            target = folder / f"{name}{part.suffix}"
            with files.writing(target):
                shutil.copyfile(part, target.with_name(f"{target.name}.part"))
                target.with_name(f"{target.name}.part").replace(target)
        return folder / f"{name}{source.suffix}"

    def _table(self, name: str, path: Path, fed: Input) -> dict[str, Any]:
        counts = counted(self._trained.model, self._trained.input)
        return {
            "name": name,
            "file": path.name,
            **({"extra_files": [f"{name}.bin"]} if path.suffix == ".xml" else {}),
            "techniques": list(self._trained.techniques),
            "parameters": counts.parameters,
            "macs": counts.macs,
            "bytes": path.stat().st_size,
            "sha256": digest.of_file(path),
            "input": fed.model_dump(mode="json", exclude_none=True, exclude_defaults=True),
            "output": {"kind": "logits", "index": 1},
            **self._order.about,
        }


def _input(spec: Input, kind: Format) -> Input:
    """Return how the file of a format wants its pictures."""
    return spec.model_copy(update={"layout": "NHWC"}) if kind == "tflite" else spec
