"""The rungs: how each is made, what it lost, and which are thrown out before any device is bothered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgerig import files
from edgerig.errors import ModelError
from edgerig.preprocess import OutputSpec
from model_zoo.ladder import giving_back, graph, static
from model_zoo.ladder.fidelity import Bound, Faces, Loss, loss, scores
from model_zoo.manifest import Variant

# All rungs that there may be, of which one build makes some.
NAMES = ("optimized", "fp16", "weights8", *(f"int8-{name}" for name in static.CALIBRATIONS), "int8-mixed")


@dataclass(frozen=True)
class Rung:
    """A compressed variant.

    Attributes:
        name: of the rung, e.g. "int8-minmax".
        techniques: for the manifest.
        path: the file; None where it could not be made.
        bytes: of it.
        loss: what it lost; None where it could not be made.
        reason: why it is thrown out, "" where it is kept.
    """

    name: str
    techniques: tuple[str, ...]
    path: Path | None
    bytes: int = 0
    loss: Loss | None = None
    reason: str = ""

    @property
    def kept(self) -> bool:
        """Whether it is worth measuring."""
        return not self.reason


def best_of(rungs: Sequence[Rung]) -> Iterator[Rung]:
    """Yield rungs that differ in how they were calibrated: the one that loses least is kept, the others tell of it."""
    kept = [rung for rung in rungs if rung.kept and rung.loss]
    best = min(kept, key=lambda rung: rung.loss.cost if rung.loss else (9.0, 9.0), default=None)
    for rung in rungs:
        beaten = best is not None and rung.kept and rung is not best
        yield replace(rung, reason=f"{best.name} is as large and loses no more") if best and beaten else rung


class Ladder:
    """Builds the rungs of one model.

    Args:
        parent: the trained variant, an ONNX file of float32.
        calibration: faces to calibrate on, none of them of the test split.
        validation: faces to see on what was lost, none of them of the test split.
        folder: where the rungs are written.
        bound: what a rung may lose.
        told: given what is being done.
    """

    def __init__(
        self,
        parent: Variant,
        calibration: Faces,
        validation: Faces,
        folder: Path,
        bound: Bound,
        told: Callable[[str], object] = str,
    ) -> None:
        self._parent, self._folder, self._bound, self._told = parent, files.make_folder(folder), bound, told
        self._calibration, self._validation = calibration, validation
        self._spec: OutputSpec = parent.output_spec()
        self._work = files.make_folder(folder / ".work")
        self._source = self._work / "prepared.onnx"
        told("scores of the model itself")
        try:
            self.parent_scores = scores(parent.path, validation, self._spec)
            _require_numbers(self.parent_scores, parent)
            graph.prepared(parent.path, self._source)
        except BaseException:
            self.close()
            raise

    def rungs(self) -> Iterator[Rung]:
        """Yield the rungs, the gentle ones first; one that cannot be made says why."""
        yield self._rung("optimized", ("graph optimization",), lambda path: graph.optimized(self._parent.path, path))
        yield self._rung("fp16", ("fp16",), lambda path: graph.half(self._source, path))
        yield self._rung("weights8", ("weight-only int8",), self._weights_only)
        statics = [self._static(name) for name in static.CALIBRATIONS]
        yield from best_of(statics)
        broken = [rung for rung in statics if rung.loss and not rung.kept]
        if broken and len(broken) == len(statics):
            yield self._mixed(min(broken, key=lambda rung: rung.loss.cost if rung.loss else (9.0, 9.0)))

    def close(self) -> None:
        """Remove what only building needed."""
        for path in self._work.iterdir():
            path.unlink()
        self._work.rmdir()

    def _rung(self, name: str, techniques: tuple[str, ...], make: Callable[[Path], object]) -> Rung:
        self._told(name)
        path = self._folder / f"{self._parent.name}-{name}.onnx"
        try:
            make(path)
            found = self._loss(path)
        except ModelError as error:
            path.unlink(missing_ok=True)
            return Rung(name, techniques, None, reason=error.message)
        except Exception as error:  # noqa: BLE001  a converter may raise anything, and the other rungs go on
            path.unlink(missing_ok=True)
            return Rung(name, techniques, None, reason=f"it could not be made: {str(error)[:200]}")
        return Rung(name, techniques, path, path.stat().st_size, found, found.reason or self._pointless(path))

    def _loss(self, path: Path) -> Loss:
        own = scores(path, self._validation, self._spec)
        return loss(own, self.parent_scores, self._validation.labels, self._spec.threshold, self._bound)

    def _pointless(self, path: Path) -> str:
        """Return why a file that answers well is no rung all the same."""
        same = path.read_bytes() == self._parent.path.read_bytes()
        return "it is the file that it was made from" if same else ""

    def _weights_only(self, path: Path) -> None:
        if not graph.weights_as_int8(self._source, path):
            raise ModelError("it has no weights of convolutions or matrix products.")

    def _static(self, calibration: str) -> Rung:
        techniques = (f"static int8 ({calibration})",)
        return self._rung(
            f"int8-{calibration}",
            techniques,
            lambda path: static.quantize(self._source, path, self._calibration, calibration),
        )

    def _mixed(self, broken: Rung) -> Rung:
        """Return the rung that gives back as few of the worst layers as the bound allows."""
        calibration = broken.name.removeprefix("int8-")
        assert broken.path is not None
        self._told("which layers int8 breaks")
        worst = static.worst_layers(self._source, broken.path, self._calibration)
        keep, rung = giving_back.mended(worst, lambda keep: self._giving_back(keep, calibration), _is_kept)
        if rung.kept or rung.path is None:
            return rung
        return replace(rung, reason=f"with {len(keep)} of {len(worst)} layers in float it still loses too much")

    def _giving_back(self, keep: Sequence[str], calibration: str) -> Rung:
        return self._rung(
            "int8-mixed",
            (f"static int8 ({calibration})", giving_back.words(self._source, keep)),
            lambda path: static.quantize(self._source, path, self._calibration, calibration, keep),
        )


def _require_numbers(found: NDArray[np.float64], parent: Variant) -> None:
    if not np.all(np.isfinite(found)):
        raise ModelError(
            f"{parent.path.name} itself answers NaN or infinity on validation faces.",
            "Look at [input] of its manifest: mean and std scale the pixels.",
        )


def _is_kept(rung: Rung) -> bool:
    return rung.kept
