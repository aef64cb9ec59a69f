"""The classifier of a net: what learns where its backbone is frozen, and what is put anew on a pretrained one."""

from __future__ import annotations

from typing import Any, Literal

from torch import nn

NAMES = ("classifier", "fc", "head")  # of timm and torchvision, outermost
DROPOUT = 0.3
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


def _layers(head: Any) -> list[tuple[str, Any]]:
    return [(name, part) for name, part in head.named_modules() if isinstance(part, nn.Linear | nn.Conv2d)]


def quiet(net: Any) -> None:
    """Let a net begin with logits of nothing.

    A random classifier starts with a loss of 1.4 and drowns what the localiser has to say: nothing was learnt in 400
    steps with it, and where to look within 160 without (MobileNetV3-small on drawn faces).
    """
    _, layer = _layers(of(net))[-1]
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def widen(net: Any, classes: int) -> None:
    """Give a net so many logits, its last layer begun anew."""
    path, layer = _layers(of(net))[-1]
    new = (
        nn.Linear(layer.in_features, classes)
        if isinstance(layer, nn.Linear)
        else nn.Conv2d(layer.in_channels, classes, layer.kernel_size)
    )
    net.set_submodule(".".join(filter(None, (name_of(net), path))), new)
    quiet(net)


def renew(net: Any, kind: Kind) -> None:
    """Put a new classifier on a net, drawn from torch's random numbers.

    Args:
        net: is changed in place.
        kind: "linear" begins the last layer anew; "dense" makes all of it global average pooling, a hidden layer with
            batch norm, ReLU and dropout, and the logits.
    """
    if kind == "kept":
        return
    if kind == "dense":
        setattr(net, name_of(net), _dense(net))
    else:
        _layers(of(net))[-1][1].reset_parameters()
    quiet(net)


def _dense(net: Any) -> Any:
    first, pooling = _layers(of(net))[0][1], []
    features = first.in_features if isinstance(first, nn.Linear) else first.in_channels
    if isinstance(first, nn.Conv2d):
        pooling = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    elif isinstance(pool := getattr(net, "avgpool", None), nn.AdaptiveAvgPool2d) and pool.output_size == (7, 7):
        net.avgpool, features = nn.AdaptiveAvgPool2d(1), features // 49  # VGG
    hidden = max(8, min(128, features // 4))
    return nn.Sequential(
        *pooling,
        nn.Linear(features, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Dropout(DROPOUT),
        nn.Linear(hidden, 2),
    )
