"""The backbones by name: where each comes from, and what it cannot take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgerig.errors import ConfigError
from edgerig.toml import nearest
from model_zoo.backbones import heads, timm_nets
from model_zoo.building.trained import Trained
from model_zoo.manifest import Input


@dataclass(frozen=True)
class Backbone:
    """A net with two logits, or a classifier.

    Attributes:
        source: "timm", "torchvision", "own" or "scikit-learn".
        name: of the model at its source.
        unprunable: why torch-pruning cannot prune it, "" where it can.
    """

    source: str
    name: str
    unprunable: str = ""


BACKBONES = {
    "mobilenetv2": Backbone("timm", "mobilenetv2_100"),
    "mobilenetv3-small": Backbone("timm", "mobilenetv3_small_100"),
    "mobilenetv3-large": Backbone("timm", "mobilenetv3_large_100"),
    "mobilenetv4-conv-small": Backbone("timm", "mobilenetv4_conv_small"),
    "efficientnet-b0": Backbone("timm", "efficientnet_b0"),
    "efficientnet-lite0": Backbone("timm", "efficientnet_lite0"),
}


def named(name: str) -> Backbone:
    """Return a backbone; raises ConfigError with the nearest one."""
    if name not in BACKBONES:
        raise ConfigError(
            f"there is no backbone '{name}'.", nearest(name, BACKBONES) or f"Known: {', '.join(BACKBONES)}."
        )
    return BACKBONES[name]


def check(name: str, weights: str) -> None:
    """Raise ConfigError where a backbone or its weights cannot be had."""
    named(name)
    if weights not in ("random", "imagenet") and not Path(weights).is_file():
        raise ConfigError(f"there is no file of weights {weights}.", "Known words: random, imagenet.")


def require_net(name: str, step: str) -> None:
    """Raise ConfigError where a backbone is a classifier of scikit-learn, which a step for nets cannot take."""
    if named(name).source == "scikit-learn":
        raise ConfigError(f"'{step}' is for nets, and {name} is none.", "A classical classifier has one step: 'fit'.")


def fresh(name: str, weights: str, spec: Input, seed: int) -> Trained:
    """Return a net before any step, in eval mode."""
    net: Any = timm_nets.create(named(name).name, weights, seed)
    if weights == "random":
        heads.quiet(net)
    return Trained(net, name, spec)
