"""The layers of a net that have weights, and the one that pruning leaves alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from model_zoo.manifest import Input


def of(net: Any) -> Iterator[tuple[str, Any]]:
    """Yield the convolutions and dense layers of a net with their names."""
    kinds = (torch.nn.Conv2d, torch.nn.Linear)
    yield from ((name, module) for name, module in net.named_modules() if isinstance(module, kinds))


def picture(spec: Input) -> Any:
    """Return a black picture as the net is fed it, float32 [1, 3, height, width]."""
    return torch.zeros(1, 3, *spec.size)


def head(net: Any, spec: Input) -> str:
    """Return the name of the layer that makes the logits: the last one that a picture goes through."""
    order: list[str] = []
    hooks = [layer.register_forward_hook(lambda *_call, name=name: order.append(name)) for name, layer in of(net)]
    try:
        with torch.no_grad():
            net.eval()(picture(spec))
    finally:
        for hook in hooks:
            hook.remove()
    return order[-1]
