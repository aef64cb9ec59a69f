"""What cannot be exported, found out before anything is built."""

from __future__ import annotations

from collections.abc import Collection

from edgerig.errors import ConfigError
from model_zoo.backbones import registry
from model_zoo.building.recipe import Format, Recipe
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
    if recipe.quantization and registry.named(backbone).source == "scikit-learn":
        raise ConfigError(f"'quantize' is for nets, and {backbone} is none.", "Leave that step out.")


def _refused(kind: Format, backbone: str, steps: Collection[str]) -> str:
    if kind != "onnx" and registry.named(backbone).source == "scikit-learn":
        return f"{backbone} is a classifier of scikit-learn, whose converter writes ONNX alone"
    if kind == "tflite" and "qat" in steps:
        return "its quantizer finds the ranges of activations anew, and those that 'qat' has trained would be lost"
    return ""
