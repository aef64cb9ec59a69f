"""What cannot be exported, found out before anything is built."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from edgerig.errors import ConfigError
from model_zoo.backbones import registry
from model_zoo.building.recipe import Defakeq, Format, Recipe
from model_zoo.quantizing import exported


def check(recipe: Recipe, line: Sequence[Recipe]) -> None:
    """Raise ConfigError, with the reason, where a format cannot take what a recipe makes.

    Args:
        recipe: whose exports are asked for.
        line: its ancestors, the oldest first, and itself.
    """
    backbone, steps = line[0].backbone, {step.do for before in line for step in before.net_steps}
    for kind in recipe.exports:
        reason = _refused(kind, backbone, steps)
        if reason:
            raise ConfigError(f"it cannot be exported to {kind}: {reason}.", "Change 'exports'.")
        if recipe.quantization:
            exported.check(recipe.quantization, kind)
    if recipe.quantization and registry.named(backbone).source == "scikit-learn":
        raise ConfigError(f"'quantize' is for nets, and {backbone} is none.", "Leave that step out.")
    if recipe.quantization and recipe.quantization.method == "planned":
        _require_plan(line)


def _require_plan(line: Sequence[Recipe]) -> None:
    """Raise ConfigError where bits are not planned, or as LiteRT, which alone takes planned bits, cannot have them."""
    planning = [step for recipe in line for step in recipe.net_steps if isinstance(step, Defakeq)]
    if not planning:
        raise ConfigError(
            "'quantize' by the method 'planned' needs a plan of bits.", "Put the step 'defakeq' before it."
        )
    free = any(not step.pin and (step.haq or step.bits < 8) for step in planning)
    first = line[0]
    if free and first.input and registry.has_depthwise(first.backbone, first.input):
        raise ConfigError(
            f"LiteRT runs depthwise convolutions with 8 bits alone, and 'pin = false' lets those of {first.backbone} "
            "have fewer.",
            "Leave 'pin' of the step 'defakeq' at true.",
        )


def _refused(kind: Format, backbone: str, steps: Collection[str]) -> str:
    if kind != "onnx" and registry.named(backbone).source == "scikit-learn":
        return f"{backbone} is a classifier of scikit-learn, whose converter writes ONNX alone"
    if kind == "tflite" and "qat" in steps:
        return "its quantizer finds the ranges of activations anew, and those that 'qat' has trained would be lost"
    return ""
