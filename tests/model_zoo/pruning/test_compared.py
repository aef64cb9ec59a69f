"""Recipes whose figures stand side by side differ in what is compared, and in nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from model_zoo.building import recipe

SHELF = recipe.shelf()


def said(value: Any, path: str = "") -> dict[str, Any]:
    """Return what a recipe says, key by key, but for its name and what is said about it."""
    if isinstance(value, dict):
        inner = [(f"{path}.{name}".lstrip("."), one) for name, one in value.items()]
    elif isinstance(value, list | tuple):
        inner = [(f"{path}.{number}", one) for number, one in enumerate(value)]
    else:
        return {path: value}
    return {key: one for name, below in inner for key, one in said(below, name).items()}


@pytest.mark.parametrize(
    ("one", "other", "differ"),
    [
        ("global05", "local05", {"steps.0.scope"}),
        ("pruned20", "local20", {"steps.0.scope"}),
        ("pruned20", "oneshot20", {"steps.0.rounds", "steps.0.recover.epochs"}),
        ("pruned35", "kd-pruned35", {"origin", "steps.0.recover.teacher", "steps.1.teacher"}),
    ],
)
def test_they_differ_in_what_is_compared_alone(one: str, other: str, differ: set[str]) -> None:
    mine, theirs = (SHELF[f"efficientnet-lite0-{name}"] for name in (one, other))
    told, others = (said(each.model_dump(exclude={"name", "note", "authors"})) for each in (mine, theirs))
    assert {key for key in told | others if told.get(key) != others.get(key)} == differ


def test_one_shot_recovers_for_as_long_as_all_rounds_together() -> None:
    steps: list[Any] = [SHELF[f"efficientnet-lite0-{name}"].steps[0] for name in ("pruned20", "oneshot20")]
    assert len({step.rounds * step.recover.epochs for step in steps}) == 1
