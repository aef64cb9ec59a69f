"""The files of one net while they are made: float, held against the net; then quantized, held against the float."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgerig import files
from edgerig.preprocess import OutputSpec, postprocess
from model_zoo.building.faces import TrainingFaces
from model_zoo.building.recipe import Format, Quantize
from model_zoo.building.trained import Trained
from model_zoo.defakeq import executable, plan
from model_zoo.exporting import classifier_file, onnx_file, openvino_file, parity, running, tflite_file
from model_zoo.exporting.quiet import quiet
from model_zoo.ladder import graph
from model_zoo.ladder.fidelity import Faces, Loss
from model_zoo.manifest import Input
from model_zoo.quantizing import exported, rounding
from model_zoo.quantizing.task import Task

SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "tflite": ".tflite", "openvino": ".xml"}
LOGITS: Mapping[str, Any] = {"kind": "logits", "index": 1}
VALIDATING = 400  # faces: 3 % of flips are 12 of them


@dataclass(frozen=True)
class Made:
    """A file that answers as it should, and what its manifest says of it.

    Attributes:
        path: the file; with .xml its .bin lies beside it.
        input: how it wants its pictures.
        output: how its answer is read.
        techniques: of its own, those of the net not among them.
        loss: what quantization lost, None where there was none.
    """

    path: Path
    input: Input
    output: Mapping[str, Any] = field(default_factory=lambda: LOGITS)
    techniques: tuple[str, ...] = ()
    loss: Loss | None = None

    def scores(self, faces: TrainingFaces, seed: int) -> NDArray[np.float64]:
        """Return the probability of "fake" of validation faces."""
        fed = faces.validation(self.input, VALIDATING, seed)
        return running.scores(self.path, fed, OutputSpec(**self.output))


class Workshop:
    """Makes the files of one net in a folder of its own; what formats share is made once.

    Args:
        trained: the net.
        faces: validation faces to check files on, training faces to calibrate on.
        seed: draws them.
        folder: to work in.
    """

    def __init__(self, trained: Trained, faces: TrainingFaces, seed: int, folder: Path) -> None:
        self._trained, self._faces, self._seed, self._folder = trained, faces, seed, folder
        self._made: dict[Format, Made] = {}

    def float(self, kind: Format) -> Made:
        """Return the float file of a format; raises ModelError where it does not answer as the net."""
        if kind not in self._made:
            path = self._folder / f"float{SUFFIXES[kind]}"
            self._write(kind, path)
            made = Made(path, _input(self._trained.input, kind), self._output)
            self._check(made, f"the {kind} file of {self._trained.backbone}")
            self._made[kind] = made
        return self._made[kind]

    def quantized(self, kind: Format, table: Quantize) -> Made:
        """Return the quantized file of a format; raises ModelError where it no longer answers as the float file."""
        exported.check(table, kind)
        shop, bits = self._rendered() if table.method == "planned" else (self, {})
        source = shop.float(kind)
        target = self._folder / f"quantized{SUFFIXES[kind]}"
        calibrating = self._faces.calibration(table.calibration, self._seed, source.input)
        plain = Faces(calibrating.faces, self._trained.input.spec())
        task = Task(source.path, target, lambda: self._prepared, calibrating, plain, bits)
        labels = self._faces.validation(source.input, VALIDATING, self._seed).labels

        def scores(path: Path) -> NDArray[np.float64]:
            return self._described(path, kind).scores(self._faces, self._seed)

        judge = exported.Judge(scores, scores(source.path), labels, exported.bound(table))
        found = exported.quantize(table, kind, task, judge)
        made = self._described(target, kind)
        return Made(target, made.input, made.output, found.techniques, found.loss)

    def _rendered(self) -> tuple[Workshop, Mapping[bytes, int]]:
        """Return a workshop for the net as LiteRT can run its plan, and the bits of its weights."""
        rows = json.loads(self._trained.extras[plan.FILE].read_text())["layers"]
        net, bits = executable.rendered(self._trained.model, rows)
        folder = files.make_folder(self._folder / "rendered")
        shop = Workshop(replace(self._trained, model=net), self._faces, self._seed, folder)
        fed = self._faces.validation(self._trained.input, parity.FACES, self._seed)
        parity.require(shop._answers(fed), self._answers(fed), "the net as LiteRT runs it")
        return shop, bits

    def _write(self, kind: Format, path: Path) -> None:
        if kind == "onnx" and not self._is_net:
            classifier_file.write(self._trained.model, self._trained.input, path)
        elif kind == "onnx":
            onnx_file.write(self._trained.model, self._trained.input, path)
        elif kind == "openvino":
            openvino_file.write(self.float("onnx").path, self._trained.input, path)
        else:
            tflite_file.write(self._trained.model, self._trained.input, path)

    def _described(self, path: Path, kind: Format) -> Made:
        if kind == "tflite":
            with quiet(f"{path.name} cannot be read"):
                return Made(path, *tflite_file.described(path, self._trained.input))
        return Made(path, self._trained.input)

    @property
    def _is_net(self) -> bool:
        return isinstance(self._trained.model, torch.nn.Module)

    @property
    def _output(self) -> Mapping[str, Any]:
        return LOGITS if self._is_net else classifier_file.OUTPUT

    @cached_property
    def _prepared(self) -> Path:
        path = self._folder / "prepared.onnx"
        with quiet("it cannot be made ready for quantization"):
            graph.prepared(self.float("onnx").path, path)
        return path

    def _check(self, made: Made, what: str) -> None:
        """Raise ModelError where a file does not answer as the net."""
        if rounding.is_aware(self._trained.model):
            fed = self._faces.validation(self._trained.input, VALIDATING, self._seed)
            wanted = postprocess(self._answers(fed), OutputSpec(**self._output))
            parity.require_decisions(made.scores(self._faces, self._seed), wanted, fed.labels, what)
        else:
            fed = self._faces.validation(self._trained.input, parity.FACES, self._seed)
            own = running.answers(made.path, Faces(fed.faces, made.input.spec()))
            parity.require(own, self._answers(fed), what)

    def _answers(self, faces: Faces) -> NDArray[Any]:
        """Return the answers of the net itself, float64 [faces, 2]."""
        if not self._is_net:
            return classifier_file.answers(self._trained.model, faces.tensors())
        with torch.no_grad():
            rows = [self._trained.model(torch.from_numpy(tensor)).numpy() for tensor in faces.tensors()]
        return np.concatenate(rows).astype(np.float64)


def _input(spec: Input, kind: Format) -> Input:
    """Return how the float file of a format wants its pictures."""
    return spec.model_copy(update={"layout": "NHWC"}) if kind == "tflite" else spec
