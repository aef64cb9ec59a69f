"""The recipes that ship: each can be read, needs what is there, and is told in a line."""

from __future__ import annotations

import pytest

from edgerig.errors import ConfigError
from model_zoo.backbones import registry
from model_zoo.building import recipe as recipes
from model_zoo.building import steps, words
from model_zoo.building.recipe import Recipe
from model_zoo.exporting import possible
from model_zoo.manifest import Input

SHELF = recipes.shelf()


@pytest.mark.parametrize("recipe", SHELF.values(), ids=SHELF)
def test_a_recipe_needs_what_is_there(recipe: Recipe) -> None:
    line = recipes.needed(SHELF, recipe.name)
    assert line[-1] is recipe
    assert recipe.parent in {*SHELF, ""}
    assert recipe.family
    lineage = recipes.lineage(SHELF, recipe.name)
    first = lineage[0]
    registry.check(first.backbone, first.weights)
    for step in recipe.steps:
        steps.check(step, first.backbone)
    possible.check(recipe, lineage)
    assert len(words.of(recipe)) < 150


def test_names_of_variants_do_not_meet() -> None:
    names = [name for recipe in SHELF.values() for name in recipe.variants]
    assert len(names) == len(set(names)) > 40


@pytest.mark.parametrize(
    ("one", "other", "where"),
    [
        ("efficientnet-lite0-global05", "efficientnet-lite0-local05", {"scope"}),
        ("efficientnet-lite0-pruned20", "efficientnet-lite0-oneshot20", {"rounds", "recover"}),
    ],
)
def test_what_is_compared_differs_in_nothing_else(one: str, other: str, where: set[str]) -> None:
    mine, theirs = SHELF[one], SHELF[other]
    assert (mine.origin, mine.exports, mine.steps[1:]) == (theirs.origin, theirs.exports, theirs.steps[1:])
    pruned, otherwise = mine.steps[0].model_dump(), theirs.steps[0].model_dump()
    assert {key for key in pruned if pruned[key] != otherwise[key]} == where


def test_distillation_differs_from_plain_training_in_its_teacher_alone() -> None:
    plain, taught = (SHELF[name].steps[0].model_dump() for name in ("efficientnet-lite0", "efficientnet-lite0-kd"))
    assert {key for key in plain if plain[key] != taught[key]} == {"teacher"}


def test_a_backbone_of_timm_needs_no_code() -> None:
    net = registry.fresh("timm:mobilenetv3_small_050", "random", Input(size=(32, 32)), 0).model
    assert sum(weight.numel() for weight in net.parameters()) < 700_000
    with pytest.raises(ConfigError, match="timm has no model 'mobilenetv3_smal_050'") as caught:
        registry.check("timm:mobilenetv3_smal_050", "random")
    assert "mobilenetv3_small_050" in caught.value.hint
