"""The `quantize` step: how each method is done in each format, what it lost, and what no format can do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from edgerig.errors import ConfigError, ModelError
from model_zoo.building.recipe import Format, Quantize
from model_zoo.exporting.quiet import quiet
from model_zoo.ladder import giving_back
from model_zoo.ladder import static as qdq
from model_zoo.ladder.fidelity import Bound, Loss, loss
from model_zoo.quantizing import onnx_tools, openvino_tools, tflite_tools
from model_zoo.quantizing.task import Task

Scores = NDArray[np.float64]

TOOLS: dict[Format, ModuleType] = {"onnx": onnx_tools, "openvino": openvino_tools, "tflite": tflite_tools}
TECHNIQUES = {
    "static": "static int8",
    "dynamic": "dynamic int8",
    "weights": "weights int8",
    "fp16": "fp16",
    "planned": "2/4/8-bit weights",
}
REFUSED: dict[tuple[str, str], str] = {
    ("onnx", "planned"): "ONNX Runtime has no convolution with weights of less than 8 bits",
    ("openvino", "planned"): "OpenVINO has no convolution with weights of less than 8 bits",
    ("openvino", "dynamic"): "OpenVINO rounds activations while it runs for language models alone: take 'weights'",
}


def check(table: Quantize, kind: Format) -> None:
    """Raise ConfigError, with the reason, where a format cannot take a method."""
    reason = REFUSED.get((kind, table.method))
    if reason:
        raise ConfigError(f"'quantize' by the method '{table.method}' cannot be exported to {kind}: {reason}.")


def bound(table: Quantize) -> Bound:
    """Return what may be lost: little where the method can give back, and else what tells a finding from a failure."""
    mixed = table.method == "mixed"
    drop, flips = (0.01, 0.03) if mixed else (0.05, 0.2)
    return Bound(
        drop if table.auc_drop is None else table.auc_drop,
        flips if table.flips is None else table.flips,
    )


@dataclass(frozen=True)
class Judge:
    """Scores a quantized file and holds it against the float one.

    Attributes:
        scores: returns the scores of a file on validation faces.
        parent: those of the float file.
        labels: True for fakes.
        bound: what may be lost.
    """

    scores: Callable[[Path], Scores]
    parent: Scores
    labels: NDArray[np.bool_]
    bound: Bound

    def __call__(self, path: Path) -> Loss:
        """Return what a file lost; its `reason` says what is too much."""
        return loss(self.scores(path), self.parent, self.labels, 0.5, self.bound)


@dataclass(frozen=True)
class Quantized:
    """How it went: techniques for the manifest, and what was lost."""

    techniques: tuple[str, ...]
    loss: Loss


def quantize(table: Quantize, kind: Format, task: Task, judge: Judge) -> Quantized:
    """Write the quantized file of a format.

    Raises:
        ModelError: the tools of the format fail, or more is lost than is allowed; the file is removed.
    """
    check(table, kind)
    try:
        if table.method == "mixed":
            found = _mixed(kind, task, judge)
        else:
            with quiet(f"it cannot be quantized ({table.method}, {kind})"):
                getattr(TOOLS[kind], "half" if table.method == "fp16" else table.method)(task)
            found = Quantized((TECHNIQUES[table.method],), judge(task.target))
        if found.loss.reason:
            other = "" if table.method == "mixed" else "try the method 'mixed', or "
            raise ModelError(
                f"{kind}, quantized by the method '{table.method}', no longer answers as the float file: "
                f"{found.loss.reason}; it was not written.",
                f"{other}allow more: 'auc_drop' and 'flips' of the step.".capitalize(),
            )
    except BaseException:
        task.target.unlink(missing_ok=True)
        raise
    return found


def _mixed(kind: Format, task: Task, judge: Judge) -> Quantized:
    """Give the layers that int8 blurs most back to float, as few as the bound allows.

    Which these are is found out on ONNX for all formats: it alone shows the answers of all layers.
    """

    def made(keep: Sequence[str]) -> Loss:
        with quiet(f"it cannot be quantized (mixed, {kind})"):
            TOOLS[kind].static(task, tuple(keep))
        return judge(task.target)

    whole = made(())
    if not whole.reason:
        return Quantized((TECHNIQUES["static"],), whole)
    with quiet("the layers that int8 breaks cannot be found out"):
        plain = task.prepared.with_name("whole.onnx")
        qdq.quantize(task.prepared, plain, task.plain, "minmax")
        worst = qdq.worst_layers(task.prepared, plain, task.plain)
    keep, lost = giving_back.mended(worst, made, lambda loss: not loss.reason)
    return Quantized((TECHNIQUES["static"], giving_back.words(task.prepared, keep)), lost)
