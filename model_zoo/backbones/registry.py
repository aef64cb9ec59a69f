"""The backbones by name: where each comes from, and what it cannot take."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edgerig.errors import ConfigError
from edgerig.toml import nearest
from model_zoo.backbones import heads, timm_nets, torchvision_nets
from model_zoo.backbones.meso4 import Meso4
from model_zoo.backbones.weights import load
from model_zoo.building.recipe import WORDS
from model_zoo.building.trained import Trained
from model_zoo.manifest import Input


@dataclass(frozen=True)
class Backbone:
    """A net with two logits, or a classifier.

    Attributes:
        source: "timm", "torchvision", "own" or "scikit-learn".
        name: of the model at its source.
        unprunable: why torch-pruning cannot prune it, "" where it can.
        pretrained: whether there are weights from ImageNet.
    """

    source: str
    name: str
    unprunable: str = ""
    pretrained: bool = True


_LIBRARIES: dict[str, Callable[..., Any]] = {"timm": timm_nets.create, "torchvision": torchvision_nets.create}
_SHUFFLED = "torch-pruning 1.6.1 fails on its channel shuffle (ZeroDivisionError in index_mapping)"
_CLASSICAL = "it is no net"

BACKBONES = {
    "mobilenetv2": Backbone("timm", "mobilenetv2_100"),
    "mobilenetv3-small": Backbone("timm", "mobilenetv3_small_100"),
    "mobilenetv3-large": Backbone("timm", "mobilenetv3_large_100"),
    "mobilenetv4-conv-small": Backbone("timm", "mobilenetv4_conv_small"),
    "efficientnet-b0": Backbone("timm", "efficientnet_b0"),
    "efficientnet-lite0": Backbone("timm", "efficientnet_lite0"),
    "resnet18": Backbone("timm", "resnet18"),
    "resnet50": Backbone("timm", "resnet50"),
    "shufflenetv2": Backbone("torchvision", "shufflenet_v2_x1_0", unprunable=_SHUFFLED),
    "squeezenet": Backbone("torchvision", "squeezenet1_1"),
    "vgg16": Backbone("torchvision", "vgg16"),
    "meso4": Backbone("own", "meso4", pretrained=False),
    "svm": Backbone("scikit-learn", "svm", _CLASSICAL, pretrained=False),
    "decision-tree": Backbone("scikit-learn", "decision-tree", _CLASSICAL, pretrained=False),
    "random-forest": Backbone("scikit-learn", "random-forest", _CLASSICAL, pretrained=False),
}


def named(name: str) -> Backbone:
    """Return a backbone, a known one or "timm:MODEL"; raises ConfigError with the nearest one."""
    source, _, model = name.partition(":")
    if source == "timm" and model:
        return _of_timm(model)
    if name not in BACKBONES:
        raise ConfigError(
            f"there is no backbone '{name}'.", nearest(name, BACKBONES) or f"Known: {', '.join(BACKBONES)}."
        )
    return BACKBONES[name]


def _of_timm(model: str) -> Backbone:
    timm = timm_nets.timm()
    if not timm.is_model(model):
        raise ConfigError(f"timm has no model '{model}'.", nearest(model, timm.list_models()))
    return Backbone("timm", model, pretrained=timm.is_model_pretrained(model))


def check(name: str, weights: str) -> None:
    """Raise ConfigError where a backbone or its weights cannot be had."""
    backbone = named(name)
    if weights == "imagenet" and not backbone.pretrained:
        raise ConfigError(f"there are no weights from ImageNet for {name}.", 'Use weights = "random".')
    if weights in WORDS:
        return
    if backbone.source == "scikit-learn":
        raise ConfigError(f"{name} has no weights that a file could hold.", "Leave out 'weights'.")
    if not Path(weights).is_file():
        raise ConfigError(f"there is no file of weights {weights}.", f"Known words: {', '.join(WORDS)}.")


@functools.cache
def require_size(name: str, size: tuple[int, ...]) -> None:
    """Raise ConfigError where a net cannot take pictures of so many rows and columns, or has no classifier to learn."""
    backbone = named(name)
    if backbone.source == "scikit-learn":
        return
    try:
        net = _made(backbone, Input(size=size))
        heads.name_of(net)
        with torch.no_grad():
            net.eval()(torch.zeros(1, 3, *size))
    except Exception as error:  # whatever a net says of what it is fed
        why = " ".join(str(error).split())[:200].rstrip(".")
        raise ConfigError(
            f"{name} cannot be used with pictures of {size[0]} x {size[1]}: {why}.", "Change 'size' or 'backbone'."
        ) from error


def require_net(name: str, step: str) -> None:
    """Raise ConfigError where a backbone is a classifier of scikit-learn, which a step for nets cannot take."""
    if named(name).source == "scikit-learn":
        raise ConfigError(f"'{step}' is for nets, and {name} is none.", "A classical classifier has one step: 'fit'.")


def has_depthwise(name: str, spec: Input) -> bool:
    """Whether a net has convolutions that see one channel each."""
    net = _made(named(name), spec)
    return any(isinstance(layer, torch.nn.Conv2d) and layer.weight.shape[1] == 1 for layer in net.modules())


def fresh(name: str, weights: str, spec: Input, seed: int) -> Trained:
    """Return a net before any step, in eval mode, or a classifier that is not fitted yet.

    Raises:
        ConfigError: its weights cannot be fetched, or are of another net.
    """
    backbone = named(name)
    if backbone.source == "scikit-learn":
        from model_zoo.backbones import classical  # noqa: PLC0415 - it knows the registry, too

        return Trained(classical.create(name, seed), name, spec)
    torch.manual_seed(seed)
    net: Any = _fetched(backbone) if weights == "imagenet" else _made(backbone, spec)
    if weights in WORDS:
        heads.quiet(net)
    else:
        load(net, Path(weights), name)
    return Trained(net.eval(), name, spec)


def _made(backbone: Backbone, spec: Input) -> Any:
    if backbone.source == "own":
        return Meso4((spec.size[0], spec.size[1]))
    return _LIBRARIES[backbone.source](backbone.name, pretrained=False)


def _fetched(backbone: Backbone) -> Any:
    """Return a net with weights from ImageNet, from the cache of its library or the internet."""
    try:
        return _LIBRARIES[backbone.source](backbone.name, pretrained=True)
    except OSError as error:  # what urllib, requests and the hub's errors have in common
        raise ConfigError(
            f"the ImageNet weights of {backbone.name} cannot be fetched: {str(error).splitlines()[0][:200]}",
            'Go online once, name a file of a state dict, or use weights = "random".',
        ) from error
