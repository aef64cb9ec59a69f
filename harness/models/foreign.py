"""Foreign models: what to feed them and how to read their answer is found out by trying, on validation faces.

Shapes and types come from the runtime, which loads the file in a process of its own; the colours' order, the scaling
of pixels, the class index and its direction come from the AUC that each plausible choice reaches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgerig import digest, files, metrics, preprocess, toml
from edgerig.errors import ConfigError, ModelError
from edgerig.preprocess import InputSpec, OutputSpec
from harness import places
from harness.agent.protocol import Job, JobResult, Tensor
from harness.devices.session import Session
from harness.measuring import measure
from harness.models import onnx_facts, openvino_facts, tflite_facts
from harness.models.model_facts import ModelFacts
from harness.planning import plan
from harness.planning.plan import PlannedVariant
from harness.runtimes import reading
from model_zoo import faceset, manifest
from model_zoo.faceset import FaceSet, Pack
from reports.records import Key
from targets.profile import Target

# What a file says of itself, where something here can read it.
FACTS: Mapping[str, Callable[[Path], ModelFacts | None]] = {
    "onnx": onnx_facts.read,
    "tflite": tflite_facts.read,
    "openvino": openvino_facts.read,
}
DEADLINE_S = 300.0
UNDECIDED = 0.60  # at or below this AUC the choice says nothing: the hold-out noise of 300 faces is .03
TIE = 0.005  # AUCs so close are the same; the lower log loss decides
SIZE = 224  # where a model takes any size and nobody said which
MOST_CLASSES = 32


class Scaling(NamedTuple):
    """A usual way to scale pixels; mean and std on pixels / 255, in RGB order."""

    name: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


# The three of torchvision, Keras and timm, and none at all.
SCALINGS = (
    Scaling("pixels / 255", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    Scaling("-1 to 1", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    Scaling("ImageNet mean and std", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    Scaling("raw pixels", (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
)
SIGNED = Scaling("pixels - 128", (128 / 255,) * 3, (1 / 255,) * 3)


@dataclass(frozen=True)
class Choice:
    """One way to feed a model and to read its answer, and how well it tells the faces apart."""

    scaling: str
    input: InputSpec
    output: OutputSpec
    auc: float
    log_loss: float

    def __str__(self) -> str:
        direction = ", inverted (it means real)" if self.output.inverted else ""
        how = f"{self.output.kind} {self.output.index}{direction}"
        return f"{self.scaling}, {self.input.colour}, {self.input.layout}, output {how}"


@dataclass(frozen=True)
class Finding:
    """What was found out about one model file.

    Attributes:
        path: the model.
        best: the choice, None where there is none.
        others: the rest that was tried, best first.
        warnings: what a person should look at.
        error: why there is no choice.
        manifest: as it is written, without what the family holds.
    """

    path: Path
    best: Choice | None = None
    others: tuple[Choice, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str = ""
    manifest: Mapping[str, Any] | None = None

    @property
    def why(self) -> str:
        """One sentence: what was chosen and over what."""
        if self.best is None:
            return self.error
        rival = next(
            (o for o in self.others if (o.scaling, o.input.colour) != (self.best.scaling, self.best.input.colour)),
            None,
        )
        against = f"; next best AUC {rival.auc:.3f} with {rival.scaling}, {rival.input.colour}" if rival else ""
        return f"{self.best}: AUC {self.best.auc:.3f}{against}."


class Prober:
    """Finds out about models with one device and one set of faces.

    Args:
        session: with a device that has the runtimes.
        target: that device.
        faces: to try on.
        pack: the same, packed.
        size: height and width for models that take any.
    """

    def __init__(self, session: Session, target: Target, faces: FaceSet, pack: Pack, size: int = SIZE) -> None:
        self._session = session
        self._target = target
        self._faces = faces
        self._pack = pack
        self._size = size
        session.push({pack.sha256: pack.path})

    def probe(self, path: Path) -> Finding:
        """Return what was found out about a model; trouble with it is a finding too."""
        try:
            return self._probed(path)
        except (ModelError, ConfigError) as error:
            return Finding(path, error=error.message)

    def _probed(self, path: Path) -> Finding:
        model_format = manifest.FORMATS[path.suffix]
        facts = FACTS[model_format](path) if model_format in FACTS else None
        runtime = reading(model_format)[0]
        key = Key(variant=path.stem, target=self._target.name, runtime=runtime, provider="cpu", threads=1)
        beside = facts.beside if facts else ()
        tensor, answers = self._described(path, key, beside)
        choices = sorted(self._tried(path, key, beside, tensor, answers[0]), key=lambda choice: -choice.auc)
        best = _best(choices)
        return Finding(
            path,
            best,
            tuple(choice for choice in choices if choice is not best),
            tuple(_warnings(best, tensor, answers, self._size)),
            manifest=_table(path, best, facts),
        )

    def _described(self, path: Path, key: Key, beside: Sequence[str]) -> tuple[Tensor, list[Tensor]]:
        """Return the picture that a model takes, and its answers."""
        planned = _planned(path, beside, InputSpec(1, 1), OutputSpec())
        self._session.push({file.sha256: file.path for file in planned.files})
        result = self._run(self._job(planned, key, "inspect", input=None, output=None))
        pictures = [tensor for tensor in result.inputs if len(tensor.shape) == 4]
        if len(result.inputs) != 1 or not pictures:
            shapes = ", ".join(f"{tensor.name} {tensor.shape}" for tensor in result.inputs)
            raise ModelError(f"its inputs are {shapes}: edgerig measures models that take one picture.")
        return pictures[0], result.outputs

    def _tried(self, path: Path, key: Key, beside: Sequence[str], tensor: Tensor, answer: Tensor) -> Iterator[Choice]:
        labels = [int(face.label == "fake") for face in self._faces.faces]
        for scaling, spec in _inputs(tensor, self._size):
            for output, scores in _read(self._outputs(path, key, beside, spec), answer):
                auc, loss = metrics.roc_auc(labels, scores), metrics.log_loss(labels, scores)
                if auc is not None and loss is not None:
                    yield Choice(scaling, spec, output, auc, loss)

    def _outputs(self, path: Path, key: Key, beside: Sequence[str], spec: InputSpec) -> NDArray[np.float64]:
        job = self._job(
            _planned(path, beside, spec, OutputSpec(index=0)),
            key,
            "accuracy",
            faces=self._pack.sha256,
            images=[face.path for face in self._faces.faces],
            deadline_s=DEADLINE_S,
        )
        folder = files.make_folder(places.cache() / "probing")
        destination = folder / f"{job.token}.npy"
        try:
            self._run(job, destination)
            return np.asarray(np.load(destination), np.float64)
        finally:
            destination.unlink(missing_ok=True)

    def _job(self, planned: PlannedVariant, key: Key, kind: str, **settings: object) -> Job:
        return measure.job_for(self._target, planned, key, kind, command=self._session.command(key.runtime), **settings)

    def _run(self, job: Job, destination: Path | None = None) -> JobResult:
        result = self._session.run(job)
        array = next((entry for entry in result.arrays if entry.name == "outputs.npy"), None)
        if result.outcome == "ok" and array and destination:
            self._session.fetch(job, array, destination)
        self._session.forget(job)
        if result.outcome != "ok":
            raise ModelError(result.reason or f"it {result.outcome} when it was tried.")
        return result


def _planned(path: Path, extra: Sequence[str], spec: InputSpec, output: OutputSpec) -> PlannedVariant:
    """Return a variant that is good enough to be tried."""
    keys = {
        "name": name_of(path),
        "file": path.name,
        "extra_files": extra,
        "input": {"size": (spec.height, spec.width)},
    }
    table = toml.validated(manifest.Manifest, keys, str(path))
    for beside in manifest.belonging(table, path):
        if not beside.is_file():
            raise ModelError(f"{beside.name}, which belongs to it, is missing.")
    variant = manifest.Variant(table, path, digest.of_file(path), path.stat().st_size)
    return plan.planned_variant(variant).model_copy(update={"input": spec, "output": output})


def _inputs(tensor: Tensor, size: int) -> Iterator[tuple[str, InputSpec]]:
    """Yield the plausible ways to feed a tensor."""
    layout, height, width = _layout(tensor, size)
    if tensor.dtype not in preprocess.INPUT_TYPES:
        raise ModelError(f"its input is {tensor.dtype}, and pixels become one of {', '.join(preprocess.INPUT_TYPES)}.")
    for scaling in _scalings(tensor):
        for colour in preprocess.COLOURS:
            step = 1 if colour == "RGB" else -1  # mean and std come in the model's own order
            mean, std = tuple(scaling.mean[::step]), tuple(scaling.std[::step])
            spec = InputSpec(height, width, layout, colour, tensor.dtype, mean, std)
            yield scaling.name, replace(spec, scale=tensor.scale, zero_point=tensor.zero_point)


def _scalings(tensor: Tensor) -> Sequence[Scaling]:
    if tensor.dtype.startswith("float") or tensor.scale is not None:
        return SCALINGS
    return (SCALINGS[3],) if tensor.dtype == "uint8" else (SIGNED,)


def _layout(tensor: Tensor, size: int) -> tuple[str, int, int]:
    shape = tensor.shape
    if shape[1] == 3:
        return "NCHW", shape[2] or size, shape[3] or size
    if shape[3] == 3:
        return "NHWC", shape[1] or size, shape[2] or size
    raise ModelError(f"its input '{tensor.name}' is {shape}: neither the second nor the last dimension is 3 colours.")


def _read(outputs: NDArray[np.float64], answer: Tensor) -> Iterator[tuple[OutputSpec, NDArray[np.float64]]]:
    """Yield the plausible ways to read an answer [n, k], quantized or not, with the scores that they give."""
    rows = outputs.reshape(len(outputs), -1)
    if not np.all(np.isfinite(rows)):
        return
    real = rows if answer.scale is None else (rows - answer.zero_point) * answer.scale
    for spec in _output_specs(real):
        # The levels stay out of the manifest: the runtime tells them, and a rebuilt model has others.
        yield spec, preprocess.postprocess(real, spec)


def _output_specs(rows: NDArray[np.float64]) -> Iterable[OutputSpec]:
    shares = bool(np.all((rows >= 0) & (rows <= 1)))
    if rows.shape[1] == 1:
        kind = "probability" if shares else "logits"
        return [OutputSpec(kind, 0, inverted) for inverted in (False, True)]
    kind = "softmax" if shares and np.allclose(rows.sum(axis=1), 1, atol=1e-3) else "logits"
    return [OutputSpec(kind, index) for index in range(min(rows.shape[1], MOST_CLASSES))]


def _best(choices: Sequence[Choice]) -> Choice:
    """Return the choice with the highest AUC; among those that are as good, the one with the lowest log loss."""
    if not choices:
        raise ModelError("whatever it is fed, its answer is not a number.")
    top = choices[0].auc
    return min((choice for choice in choices if choice.auc >= top - TIE), key=lambda choice: choice.log_loss)


def _warnings(best: Choice, tensor: Tensor, answers: Sequence[Tensor], size: int) -> Iterator[str]:
    if best.auc <= UNDECIDED:
        opposite = _opposite(best.output)
        yield (
            f"AUC {best.auc:.3f} is near .5: on these faces nothing tells which choice is right. "
            f"Look at it; the inverted reading is {opposite}."
        )
    if None in tensor.shape[1:]:
        yield f"it takes any size: {size}x{size} was tried. Give --size if it was trained on another."
    if len(answers) > 1:
        others = ", ".join(repr(answer.name) for answer in answers[1:])
        yield f"it has {len(answers)} outputs: '{answers[0].name}' was read. output.name chooses another: {others}."


def _opposite(output: OutputSpec) -> str:
    if output.kind != "probability" and not output.inverted and output.index < 2:
        return f"output.index = {1 - output.index}"
    return f"output.inverted = {str(not output.inverted).lower()}"


def _table(path: Path, best: Choice, facts: ModelFacts | None) -> dict[str, Any]:
    """Return the manifest's keys, those that have their default left out."""
    table: dict[str, Any] = {
        "name": name_of(path),
        "file": path.name,
        "bytes": path.stat().st_size,
        "sha256": digest.of_file(path),
        "input": _input_table(best.input),
        "output": {"kind": best.output.kind, "index": best.output.index, "inverted": best.output.inverted},
    }
    if facts:
        table |= {"parameters": facts.parameters, "techniques": list(facts.techniques)}
        table |= {"macs": facts.macs} if facts.macs else {}
        table |= {"extra_files": list(facts.beside)} if facts.beside else {}
    return table


def name_of(path: Path) -> str:
    """Return what a model is called: its file without the suffix, or with it where that alone tells two apart."""
    alike = [other for other in path.parent.glob("*.*") if other.stem == path.stem and other.suffix in manifest.FORMATS]
    return path.name if len(alike) > 1 else path.stem


def _input_table(spec: InputSpec) -> dict[str, Any]:
    table: dict[str, Any] = {
        "size": [spec.height, spec.width],
        "layout": spec.layout,
        "colour": spec.colour,
        "dtype": spec.dtype,
        "mean": list(spec.mean),
        "std": list(spec.std),
    }
    return table | ({"scale": spec.scale, "zero_point": spec.zero_point} if spec.scale is not None else {})


def runtimes_for(models: Iterable[Path]) -> list[str]:
    """Return the runtimes that models are tried with."""
    return list(dict.fromkeys(reading(manifest.FORMATS[model.suffix])[0] for model in models))


def validation_faces(source: Path | None, sample: int, seed: int) -> FaceSet:
    """Return the faces to try on: the validation split, or all of a set without splits; both labels are there."""
    everything = faceset.load(source or faceset.SHIPPED)
    faces = everything.split("val").sample(sample, seed)
    faceset.require_both_labels(faces)
    return faces
