"""The step `train`."""

from __future__ import annotations

import torch

from model_zoo.backbones import heads, registry
from model_zoo.building.faces import TrainingFaces
from model_zoo.building.recipe import Train
from model_zoo.building.trained import Context, Trained
from model_zoo.training.fit import train


def apply(table: Train, trained: Trained, context: Context) -> Trained:
    """Return a net trained further."""
    torch.manual_seed(context.seed)
    heads.renew(trained.model, table.head)
    figures = train(trained.model, table, context, trained.input)
    technique = "distillation" if table.teacher else ""
    return trained.then(technique, " ".join(_notes(table, context.faces_on(table.on))), **figures)


def _notes(table: Train, faces: TrainingFaces) -> list[str]:
    """Return what a reader of the figures must know."""
    pretrained = [f"Pretrained on other faces: {faces.name}."] if table.on != "faces" else []
    asked = [key for key in ("rank", "where") if getattr(table, key)]
    alone = [f"No face of {faces.name} is paired with its original: {' and '.join(asked)} did nothing."]
    return pretrained + (alone if asked and not faces.paired else [])


def check(table: Train, backbone: str) -> None:
    """Raise ConfigError where a backbone is no net."""
    registry.require_net(backbone, table.do)
