"""Whether a recipe can be built at all: asked before faces are drawn and nets are trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from edgerig.errors import ConfigError
from model_zoo.building import recipe as recipes
from model_zoo.building import steps
from model_zoo.building.recipe import Recipe, Step

UNDONE = {"qat": "rounded", "defakeq": "rounded", "sparsify": "set to zero"}  # by whatever changes the net later


@dataclass(frozen=True)
class Check:
    """Refuses recipes that cannot be built.

    Attributes:
        shelf: all recipes by name.
        other: whether there are other faces to train on first.
        measured: whether somebody measures the latency of a net.
    """

    shelf: Mapping[str, Recipe]
    other: bool = False
    measured: bool = True

    def recipe(self, name: str) -> None:
        """Raise ConfigError before anything is built where a recipe, or one that it needs, cannot be."""
        from model_zoo.backbones import registry  # noqa: PLC0415 - see steps
        from model_zoo.exporting import possible  # noqa: PLC0415

        for recipe in recipes.needed(self.shelf, name):
            line = recipes.lineage(self.shelf, recipe.name)
            first = line[0]
            try:
                registry.check(first.backbone, first.weights)
                assert first.input is not None
                registry.require_size(first.backbone, first.input.size)
                self._check_names(recipe)
                self._check_order(recipe)
                for step in recipe.steps:
                    self._check(step, first.backbone)
                possible.check(recipe, line)
                _check_fitted(line)
            except ConfigError as error:
                raise ConfigError(f"the recipe '{recipe.name}': {error.message}", error.hint) from error

    def _check_names(self, recipe: Recipe) -> None:
        for variant in recipe.variants:
            others = (one.name for one in self.shelf.values() if one.name != recipe.name and variant in one.variants)
            if other := next(others, ""):
                raise ConfigError(f"its variant '{variant}' would overwrite that of '{other}'.", "Rename one of them.")

    def _check_order(self, recipe: Recipe) -> None:
        line = recipes.lineage(self.shelf, recipe.name)
        quantized = next((before.name for before in line[:-1] if before.quantization), "")
        if quantized:
            raise ConfigError(
                f"it goes on from '{quantized}', whose last step works on its exported files.",
                "Go on from the recipe before it.",
            )
        done = [step.do for before in line for step in before.net_steps]
        for first, after in pairwise(done):
            if first in UNDONE and (first, after) != ("sparsify", "sparsify"):
                raise ConfigError(f"the step '{after}' would undo what '{first}' has {UNDONE[first]}.")

    def _check(self, step: Step, backbone: str) -> None:
        if "other-faces" in recipes.faces_of(step) and not self.other:
            raise ConfigError(
                "a step trains on other faces first, and there are none.", "--other-faces DIR names them."
            )
        for teacher in recipes.teachers(step):
            self._check_teacher(teacher)
        if getattr(step, "of", "") == "latency" and not self.measured:
            raise ConfigError("a step prunes towards a latency, and nothing measures one.")
        steps.check(step, backbone)

    def _check_teacher(self, name: str) -> None:
        from model_zoo.backbones import registry  # noqa: PLC0415

        line = recipes.lineage(self.shelf, name)
        if registry.named(line[0].backbone).source == "scikit-learn":
            raise ConfigError(f"its teacher '{name}' is no net.", "Only nets teach.")
        if line[-1].quantization:
            raise ConfigError(
                f"its teacher is '{name}', whose last step works on its exported files.", "Name the recipe before it."
            )


def _check_fitted(line: Sequence[Recipe]) -> None:
    from model_zoo.backbones import registry  # noqa: PLC0415

    backbone = line[0].backbone
    if registry.named(backbone).source == "scikit-learn" and not any(recipe.net_steps for recipe in line):
        raise ConfigError(f"{backbone} answers nothing before it is fitted.", "Its step: 'fit'.")
