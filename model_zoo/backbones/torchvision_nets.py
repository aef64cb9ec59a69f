"""Nets of torchvision: those that timm does not have, or has otherwise."""

from __future__ import annotations

import importlib
from typing import Any

from torch import nn

from model_zoo.backbones import heads, timm_nets


def create(name: str, *, pretrained: bool) -> Any:
    """Return a net with two logits; weights that are not pretrained are drawn from torch's random numbers."""
    timm_nets.timm()  # helps torchvision in where it does not come alone
    models: Any = importlib.import_module("torchvision.models")
    if not pretrained:
        return _open(models.get_model(name, weights=None, num_classes=2))
    net = _open(models.get_model(name, weights="DEFAULT", progress=False))
    heads.widen(net, 2)
    return net


def _open(net: Any) -> Any:
    """Take the ReLU from SqueezeNet's logits: of two classes of which either may be cut off at 0, little is learnt."""
    head = heads.of(net)
    if isinstance(head, nn.Sequential) and isinstance(head[-1], nn.AdaptiveAvgPool2d):
        head[-2] = nn.Identity()
    return net
