"""What goes from one step of a recipe to the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from model_zoo.building.faces import TrainingFaces
from model_zoo.manifest import Input


@dataclass(frozen=True)
class Trained:
    """A model between two steps.

    Attributes:
        model: a torch module on the CPU in eval mode, input [n, 3, height, width] as `input` says, two logits in the
            order real, fake; or a fitted classifier of scikit-learn.
        backbone: its name in the registry of backbones.
        input: how pixels become its tensor.
        techniques: for the manifest, in the order of the steps.
        notes: sentences that a reader of its figures must see.
        figures: what the steps found out, on validation faces, e.g. `val_auc`.
        extras: files that a step wrote beside the model, by name, e.g. a bit plan or packed weights.
    """

    model: Any
    backbone: str
    input: Input
    techniques: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    extras: Mapping[str, Path] = field(default_factory=dict)

    def then(self, technique: str = "", note: str = "", **figures: float) -> Trained:
        """Return it with what a step adds; the model itself may have been changed in place."""
        return replace(
            self,
            techniques=(*self.techniques, *([technique] if technique else [])),
            notes=(*self.notes, *([note] if note else [])),
            figures={**self.figures, **figures},
        )


class Teller(Protocol):
    """Who is told how far a build is."""

    def step(self, text: str, total: float) -> None:
        """Something begins that takes so many units of its own, e.g. batches."""
        ...

    def advance(self, done: float, text: str = "") -> None:
        """So many of these units are done in all; `text` says how it goes, e.g. a loss."""
        ...


class Silent:
    """Tells nobody."""

    def step(self, text: str, total: float) -> None:
        """Ignore it."""

    def advance(self, done: float, text: str = "") -> None:
        """Ignore it."""


SILENT = Silent()


@dataclass(frozen=True)
class Context:
    """What a step may use besides the model.

    Attributes:
        faces: train and validation faces. Nobody here can reach test faces.
        other: the faces of `on = "other-faces"`, None where none were given.
        seed: of everything that is drawn at random.
        device: "cpu" or "cuda".
        work: folder of the step: checkpoints that a killed build goes on from, files that the step leaves.
        teacher: returns the frozen outcome of another recipe, by name.
        measure: returns the median milliseconds of a frame of a model, None where nothing can be measured.
        teller: is told how far it is.
    """

    faces: TrainingFaces
    other: TrainingFaces | None
    seed: int
    device: str
    work: Path
    teacher: Callable[[str], Trained]
    measure: Callable[[Trained], float] | None = None
    teller: Teller = SILENT

    def faces_on(self, which: str) -> TrainingFaces:
        """Return the faces that a step asks for; that `other` is there was checked before anything was built."""
        if which == "faces":
            return self.faces
        assert self.other is not None
        return self.other
