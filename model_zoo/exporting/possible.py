"""What cannot be exported, found out before anything is built."""

from __future__ import annotations

from collections.abc import Collection

from edgerig.errors import ConfigError
from model_zoo.backbones import registry
from model_zoo.building.recipe import Format, Quantize, Recipe
from model_zoo.quantizing import exported


def check(recipe: Recipe, backbone: str, steps: Collection[str]) -> None:
    """Raise ConfigError, with the reason, where a format cannot take what a recipe makes.

    Args:
        recipe: whose exports are asked for.
        backbone: that it begins with, or its oldest ancestor does.
        steps: what it and its ancestors do.
    """
    for kind in recipe.exports:
        reason = _refused(kind, backbone, steps)
        if reason:
            raise ConfigError(f"it cannot be exported to {kind}: {reason}.", "Change 'exports'.")
        if recipe.quantization:
            exported.check(recipe.quantization, kind)
            _require_plan(recipe.quantization, steps)
    if recipe.quantization and registry.named(backbone).source == "scikit-learn":
        raise ConfigError(f"'quantize' is for nets, and {backbone} is none.", "Leave that step out.")


def _require_plan(table: Quantize, steps: Collection[str]) -> None:
    if table.method == "planned" and "defakeq" not in steps:
        raise ConfigError(
            "'quantize' by the method 'planned' needs a plan of bits.", "Put the step 'defakeq' before it."
        )


def _refused(kind: Format, backbone: str, steps: Collection[str]) -> str:
    if kind != "onnx" and registry.named(backbone).source == "scikit-learn":
        return f"{backbone} is a classifier of scikit-learn, whose converter writes ONNX alone"
    if kind == "tflite" and "qat" in steps:
        return "its quantizer finds the ranges of activations anew, and those that 'qat' has trained would be lost"
    return ""
