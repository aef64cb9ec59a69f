"""Building a recipe: its ancestors and teachers first, each step once, what is there already not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgerig import digest
from edgerig.errors import ConfigError
from model_zoo.building import recipe as recipes
from model_zoo.building import steps, store
from model_zoo.building.faces import TrainingFaces
from model_zoo.building.recipe import Recipe, Step
from model_zoo.building.store import Store
from model_zoo.building.trained import SILENT, Context, Teller, Trained

Measure = Callable[[Trained], float]


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
    """One step of a lineage, and the name of its outcome in the store."""

    recipe: Recipe
    step: Step
    key: str


class Builder:
    """Builds the nets of recipes.

    Args:
        shelf: all recipes by name: ancestors and teachers are looked up there.
        asked: faces, seed, device.
        folder: of the store.
        teller: is told how far it is.
    """

    def __init__(self, shelf: Mapping[str, Recipe], asked: Asked, folder: Path, teller: Teller = SILENT) -> None:
        self._shelf, self._asked, self._teller = shelf, asked, teller
        self._store = Store(folder)

    def check(self, name: str) -> None:
        """Raise ConfigError before anything is built where a recipe, or a teacher of it, cannot be."""
        from model_zoo.backbones import registry  # noqa: PLC0415 - see steps

        line = recipes.lineage(self._shelf, name)
        registry.check(line[0].backbone, line[0].weights)
        for recipe in line:
            for step in recipe.steps:
                self._check(step, recipe, line[0].backbone)
            for teacher in recipe.teachers:
                self.check(teacher)

    def _check(self, step: Step, recipe: Recipe, backbone: str) -> None:
        if getattr(step, "on", "faces") == "other-faces" and self._asked.other is None:
            raise ConfigError(
                f"{recipe.name}: a step trains on other faces first, and there are none.",
                "Name them: --other-faces DIR",
            )
        if getattr(step, "of", "") == "latency" and self._asked.measure is None:
            raise ConfigError(f"{recipe.name}: a step prunes towards a latency, and nothing measures one.")
        steps.check(step, backbone)

    def stages(self, name: str) -> list[Stage]:
        """Return all steps that change the net of a recipe, its ancestors' first."""
        line = recipes.lineage(self._shelf, name)
        key, found = self._begin(line[0]), []
        for recipe in line:
            for step in recipe.net_steps:
                key = self._next(key, recipe, step)
                found.append(Stage(recipe, step, key))
        return found

    def key(self, name: str) -> str:
        """Return the name of a recipe's outcome in the store."""
        line = self.stages(name)
        return line[-1].key if line else self._begin(recipes.lineage(self._shelf, name)[0])

    def net(self, name: str, only: Callable[[Step], bool] | None = None) -> Trained:
        """Return the net of a recipe, built as far as it is not there.

        Args:
            name: of the recipe.
            only: stops before the first step of the recipe itself for which this is false.
        """
        line = list(self._wanted(name, only))
        there = next((number for number in range(len(line), 0, -1) if line[number - 1].key in self._store), 0)
        trained = self._store.get(line[there - 1].key) if there else self._fresh(name)
        for stage in line[there:]:
            trained = steps.apply(stage.step, trained, self._context(stage))
            self._store.put(stage.key, trained)
            trained = self._store.get(stage.key)
        return trained

    def _wanted(self, name: str, only: Callable[[Step], bool] | None) -> Iterator[Stage]:
        for stage in self.stages(name):
            if only and stage.recipe.name == name and not only(stage.step):
                return
            yield stage

    def _context(self, stage: Stage) -> Context:
        asked = self._asked
        return Context(
            faces=asked.faces,
            other=asked.other,
            seed=asked.seed,
            device=asked.device,
            work=self._store.work(stage.key),
            teacher=self.net,
            measure=asked.measure,
            teller=self._teller,
        )

    def _fresh(self, name: str) -> Trained:
        from model_zoo.backbones import registry  # noqa: PLC0415

        first = recipes.lineage(self._shelf, name)[0]
        assert first.input is not None
        found: Trained = registry.fresh(first.backbone, first.weights, first.input, self._asked.seed)
        return found

    def _begin(self, first: Recipe) -> str:
        weights = Path(first.weights)
        known = digest.of_file(weights) if weights.is_file() else first.weights
        return store.key(first.backbone, known, first.input and first.input.model_dump(), self._asked.seed)

    def _next(self, before: str, recipe: Recipe, step: Step) -> str:
        other = getattr(step, "on", "faces") == "other-faces"
        faces = self._asked.other if other else self._asked.faces
        taught = [self.key(teacher) for teacher in recipes.teachers(step)]
        return store.key(before, step.model_dump(), faces.key if faces else "", self._asked.seed, taught)
