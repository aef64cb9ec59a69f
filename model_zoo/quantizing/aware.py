"""The step `qat`: training that feels int8, whose file has the very scales that were trained."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from model_zoo.backbones import registry
from model_zoo.building.recipe import Qat
from model_zoo.building.trained import Context, Trained
from model_zoo.ladder.fidelity import Faces
from model_zoo.quantizing import tracing
from model_zoo.quantizing.rounding import Rounded
from model_zoo.training.fit import train

CALIBRATING = 64  # faces, on which ranges begin; training moves them


def apply(table: Qat, trained: Trained, context: Context) -> Trained:
    """Return a net that answers as its int8 file will.

    Raises:
        ModelError: its layers cannot be followed, or the training goes astray.
    """
    net = tracing.rounded(trained.model, trained.input.size)
    watch(net, context.faces.calibration(CALIBRATING, context.seed, trained.input))
    figures = train(net, table.train, context, trained.input)
    note = "Weights and activations were rounded to int8 in training; batch norms were folded before."
    return replace(trained, model=net).then("int8 (QAT)", note, **figures)


def check(table: Qat, backbone: str) -> None:
    """Raise ConfigError where a backbone is no net."""
    registry.require_net(backbone, table.do)


def watch(net: Any, faces: Faces) -> None:
    """Let activations find the range in which they lie."""
    modules = [module for module in net.modules() if isinstance(module, Rounded)]
    for module in modules:
        module.watching = True
    with torch.no_grad():
        for tensor in faces.tensors():
            net(torch.from_numpy(tensor))
    for module in modules:
        module.watching = False
