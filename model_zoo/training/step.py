"""The step `train`."""

from __future__ import annotations

import torch

from model_zoo.backbones import heads, registry
from model_zoo.building.recipe import Train
from model_zoo.building.trained import Context, Trained
from model_zoo.training.fit import train


def apply(table: Train, trained: Trained, context: Context) -> Trained:
    """Return a net trained further."""
    torch.manual_seed(context.seed)
    heads.renew(trained.model, table.head)
    figures = train(trained.model, table, context, trained.input)
    technique = "distillation" if table.teacher else ""
    note = "" if table.on == "faces" else f"Pretrained on other faces: {context.faces_on(table.on).name}."
    return trained.then(technique, note, **figures)


def check(table: Train, backbone: str) -> None:
    """Raise ConfigError where a backbone is no net."""
    registry.require_net(backbone, table.do)
