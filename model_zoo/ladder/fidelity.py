"""What a rung of the ladder lost, found out here and at once: scores on validation faces, by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edgerig import metrics
from edgerig.errors import EdgerigError, ModelError
from edgerig.preprocess import InputSpec, OutputSpec, Preprocessor, postprocess
from model_zoo.faceset import FaceSet
from model_zoo.pictures import Pictures, resized

Array = NDArray[Any]


class Faces:
    """Faces as a model is fed them.

    Args:
        faces: the pictures.
        spec: what the model wants.
    """

    def __init__(self, faces: FaceSet, spec: InputSpec) -> None:
        self.faces = faces
        self._spec = spec
        self._pictures = Pictures(faces)

    def tensors(self) -> Iterator[Array]:
        """Yield the tensor of each face; raises FaceSetError where a picture is none."""
        prepare = Preprocessor(self._spec, resized)
        for face in self.faces.faces:
            # The preprocessor fills the same array again and again.
            yield prepare(self._pictures.decoded(face)).copy()

    @property
    def labels(self) -> NDArray[np.bool_]:
        """True for fakes, [faces]."""
        return np.array([face.label == "fake" for face in self.faces.faces])


def session(model: Path) -> onnxruntime.InferenceSession:
    """Return a model, loaded on one thread; raises ModelError where ONNX Runtime cannot."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(f"onnxruntime cannot load {model.name}: {str(error)[:300]}") from error


def scores(model: Path, faces: Faces, spec: OutputSpec) -> NDArray[np.float64]:
    """Return the probability of "fake" of each face, float64 [faces].

    Raises:
        ModelError: it cannot be loaded, or is not what its manifest says: `faces` and `spec` are from there.
    """
    loaded = session(model)
    name = loaded.get_inputs()[0].name
    wanted = [spec.name] if spec.name else None
    try:
        answers = (loaded.run(wanted, {name: tensor})[0].reshape(1, -1) for tensor in faces.tensors())
        return np.array([float(postprocess(answer, spec)[0]) for answer in answers])
    except EdgerigError:
        raise
    except Exception as error:  # ONNX Runtime's own errors share no base
        raise ModelError(
            f"{model.name} cannot be run as its manifest says: {' '.join(str(error).split())[:300].rstrip('.')}.",
            "Compare [input] and [output] of the manifest with the model; models that take one picture are measured.",
        ) from error


@dataclass(frozen=True)
class Bound:
    """What a rung may lose against the model that it was made from.

    Attributes:
        auc_drop: most loss of AUC on the validation faces.
        flips: largest share of faces that are decided otherwise.
    """

    auc_drop: float = 0.01
    flips: float = 0.03


@dataclass(frozen=True)
class Loss:
    """What a rung lost on the validation faces."""

    auc: float | None
    auc_drop: float
    flips: int
    faces: int
    largest: float  # difference of a score
    reason: str = ""  # why it is thrown out, "" where it is kept

    @property
    def cost(self) -> tuple[float, float]:
        """What is to be small: first the loss of AUC, then the share of flips."""
        return self.auc_drop, self.flips / self.faces


def loss(
    own: NDArray[np.float64], parent: NDArray[np.float64], labels: NDArray[np.bool_], threshold: float, bound: Bound
) -> Loss:
    """Return what was lost between the scores of a rung and of its parent, each float64 [faces]."""
    if not np.all(np.isfinite(own)):
        return Loss(None, 1.0, len(own), len(own), float("inf"), "it answers NaN or infinity")
    auc, before = metrics.roc_auc(labels, own), metrics.roc_auc(labels, parent)
    drop = 0.0 if auc is None or before is None else before - auc
    flips = int(np.sum((own >= threshold) != (parent >= threshold)))
    told = []
    if drop > bound.auc_drop:
        told.append(f"AUC {auc:.3f} instead of {before:.3f}")
    if flips > bound.flips * len(own):
        told.append(f"{flips} of {len(own)} decisions flip")
    return Loss(auc, drop, flips, len(own), float(np.max(np.abs(own - parent))), ", ".join(told))
