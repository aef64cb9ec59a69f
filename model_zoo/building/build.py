"""Building a recipe: its ancestors and teachers first, each step once, what is there already not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from edgerig import digest
from edgerig.errors import EdgerigError
from model_zoo.building import recipe as recipes
from model_zoo.building import steps, store
from model_zoo.building.check import Check
from model_zoo.building.faces import TrainingFaces
from model_zoo.building.recipe import Recipe, Step, Which
from model_zoo.building.store import Store
from model_zoo.building.trained import Context, Silent, Teller, Trained

Measure = Callable[[Trained], float]
OF_TRAINING = ("val_auc", "epochs")


@dataclass(frozen=True)
class Asked:
    """What a build is asked for, besides the recipe.

    Attributes:
        faces: to train, calibrate and validate on.
        other: faces for steps that are `on = "other-faces"`.
        seed: of all that is drawn at random.
        device: "cpu" or "cuda".
        measure: returns the milliseconds of a frame of a model, for steps towards a latency.
    """

    faces: TrainingFaces
    other: TrainingFaces | None = None
    seed: int = 0
    device: str = "cpu"
    measure: Measure | None = None


@dataclass(frozen=True)
class Stage:
    """One step of a lineage.

    Attributes:
        recipe: whose step it is.
        step: what is done.
        key: the name of its outcome in the store.
        before: that of the step before, "" for the first.
    """

    recipe: Recipe
    step: Step
    key: str
    before: str


class Watcher(Teller, Protocol):
    """Who is told which step begins, and then how far it is."""

    def stage(self, stage: Stage) -> None:
        """A step of a recipe begins."""
        ...

    def waiting(self, stage: Stage) -> None:
        """Another build is at work on it: this one waits for the outcome."""
        ...

    def exporting(self, variant: str, kind: str) -> None:
        """The file of a variant is written and compared with its net."""
        ...


class Nobody(Silent):
    """Tells nobody."""

    def stage(self, stage: Stage) -> None:
        """Ignore it."""

    def waiting(self, stage: Stage) -> None:
        """Ignore it."""

    def exporting(self, variant: str, kind: str) -> None:
        """Ignore it."""


NOBODY = Nobody()


class BuildError(EdgerigError):
    """What a recipe goes on from could not be built; why was told when it failed."""

    exit_code = 3


@dataclass
class Builder:
    """Builds the nets of recipes.

    Attributes:
        shelf: all recipes by name: ancestors and teachers are looked up there.
        asked: faces, seed, device.
        store: where outcomes are kept.
        watcher: is told how far it is.
    """

    shelf: Mapping[str, Recipe]
    asked: Asked
    store: Store
    watcher: Watcher = NOBODY
    _failed: set[str] = field(default_factory=set)

    def check(self, name: str) -> None:
        """Raise ConfigError before anything is built where a recipe, or one that it needs, cannot be."""
        Check(self.shelf, self.asked.other is not None, self.asked.measure is not None).recipe(name)

    def stages(self, name: str, only: Callable[[Step], bool] | None = None) -> list[Stage]:
        """Return all steps that change the net of a recipe, its ancestors' first.

        Args:
            name: of the recipe.
            only: ends before the first step of the recipe itself for which this is false.
        """
        line = recipes.lineage(self.shelf, name)
        key, found = self._begin(line[0]), list[Stage]()
        for recipe in line:
            for step in recipe.net_steps:
                if only and recipe is line[-1] and not only(step):
                    return found
                before, key = key, self._next(key, recipe, step)
                found.append(Stage(recipe, step, key, before if found else ""))
        return found

    def key(self, name: str) -> str:
        """Return the name of a recipe's outcome in the store; where it has no steps, of the net that it begins with."""
        line = self.stages(name)
        return line[-1].key if line else self._begin(recipes.lineage(self.shelf, name)[0])

    def todo(self, names: Iterable[str], only: Callable[[Step], bool] | None = None) -> list[Stage]:
        """Return the steps that recipes lack, those of teachers included, in the order in which they can be done.

        What they do not lack is claimed: it is still there when they come to need it.
        """
        found: dict[str, Stage] = {}
        for name in names:
            self._need(self.stages(name, only), found)
        return list(found.values())

    def _need(self, line: Sequence[Stage], found: dict[str, Stage]) -> None:
        self.store.claim(stage.key for stage in line)
        there = next((number for number in range(len(line), 0, -1) if line[number - 1].key in self.store), 0)
        for stage in line[there:]:
            if stage.key not in found:
                for teacher in recipes.teachers(stage.step):
                    self._need(self.stages(teacher), found)
                found[stage.key] = stage

    def net(self, name: str, only: Callable[[Step], bool] | None = None) -> Trained:
        """Return the net of a recipe, built as far as it is not there; `only` as for `stages`.

        Raises:
            BuildError: a step that it needs has failed before.
            EdgerigError: a step fails.
        """
        for stage in self.todo([name], only):
            self._do(stage)
        line = self.stages(name, only)
        return self.store.get(line[-1].key) if line else self._fresh(name)

    def _do(self, stage: Stage) -> None:
        if stage.key in self._failed:
            raise BuildError(f"it needs '{stage.step.do}' of the recipe '{stage.recipe.name}', which failed.")
        with self.store.lock(stage.key, lambda: self.watcher.waiting(stage)):
            if stage.key in self.store:
                return  # another build has made it meanwhile
            self.watcher.stage(stage)
            before = _unmeasured(self.store.get(stage.before) if stage.before else self._fresh(stage.recipe.name))
            try:
                trained = steps.apply(stage.step, before, self._context(stage))
            except Exception:
                self._failed.add(stage.key)
                raise
            self.store.put(stage.key, trained, f"{stage.recipe.name}: {stage.step.do}")

    def _context(self, stage: Stage) -> Context:
        asked = self.asked
        return Context(
            faces=asked.faces,
            other=asked.other,
            seed=asked.seed,
            device=asked.device,
            work=self.store.work(stage.key),
            teacher=self.net,
            measure=asked.measure,
            teller=self.watcher,
        )

    def _fresh(self, name: str) -> Trained:
        from model_zoo.backbones import registry  # noqa: PLC0415

        first = recipes.lineage(self.shelf, name)[0]
        assert first.input is not None
        found: Trained = registry.fresh(first.backbone, first.weights, first.input, self.asked.seed)
        return found

    def _begin(self, first: Recipe) -> str:
        weights = Path(first.weights)
        known = digest.of_file(weights) if weights.is_file() else first.weights
        return store.key(first.backbone, known, first.input and first.input.model_dump(), self.asked.seed)

    def _next(self, before: str, recipe: Recipe, step: Step) -> str:
        faces = [self._faces(which) for which in recipes.faces_of(step)]
        taught = [self.key(teacher) for teacher in recipes.teachers(step)]
        # Only what differs from the defaults: a new key of a step leaves alone what was built without it.
        said = {"do": step.do, **step.model_dump(exclude_defaults=True)}
        return store.key(before, said, faces, self.asked.seed, taught)

    def _faces(self, which: Which) -> str:
        faces = self.asked.faces if which == "faces" else self.asked.other
        return faces.key if faces else ""


def _unmeasured(trained: Trained) -> Trained:
    """Return a net without the figures of its training, which do not hold any more when it is changed."""
    kept = {name: value for name, value in trained.figures.items() if name not in OF_TRAINING}
    return replace(trained, figures=kept)
