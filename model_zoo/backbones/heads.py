"""The classifier of a net: what learns where its backbone is frozen, and what is put anew on a pretrained one."""

from __future__ import annotations

from typing import Any, Literal

import torch

nn = torch.nn
NAMES = ("classifier", "fc", "head")  # of timm and torchvision, outermost
Kind = Literal["kept", "linear", "dense"]


def name_of(net: Any) -> str:
    """Return the name of a net's classifier among its children; raises ValueError where there is none."""
    for name in NAMES:
        if any(True for _ in getattr(net, name, nn.Identity()).parameters()):
            return name
    raise ValueError(f"{type(net).__name__} has none of {', '.join(NAMES)}")


def of(net: Any) -> Any:
    """Return the classifier of a net."""
    return getattr(net, name_of(net))


def last(head: Any) -> Any:
    """Return the layer that gives the logits."""
    return [module for module in head.modules() if isinstance(module, nn.Linear | nn.Conv2d)][-1]


def quiet(net: Any) -> None:
    """Let a net with new weights begin with logits of nothing.

    A random classifier starts with a loss of 1.4 and drowns what the localiser has to say: nothing was learnt in 400
    steps with it, and where to look within 160 without (MobileNetV3-small on drawn faces). Not where a ReLU comes
    after, through which zeros learn nothing (SqueezeNet).
    """
    layer = last(of(net))
    if isinstance(layer, nn.Linear):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)


def renew(net: Any, kind: Kind) -> None:
    """Put a new classifier on a net, drawn from torch's random numbers.

    Args:
        net: is changed in place.
        kind: "linear" begins the last layer anew; "dense" puts a hidden layer with batch norm and dropout before it.
    """
    if kind == "kept":
        return
    layer = last(of(net))
    layer.reset_parameters()
    if kind == "dense" and isinstance(layer, nn.Linear):
        hidden = max(8, min(128, layer.in_features // 4))
        dense = nn.Sequential(
            nn.Linear(layer.in_features, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(hidden, layer.out_features),
        )
        setattr(net, name_of(net), dense)
    quiet(net)
