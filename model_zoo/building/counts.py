"""Parameters and multiply-accumulates of a net, counted on the net itself: the same for every file made from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from model_zoo.manifest import Input


@dataclass(frozen=True)
class Counts:
    """Parameters of a net, and its multiply-accumulates for one picture in convolutions and matrix products."""

    parameters: int
    macs: int


def counted(net: Any, spec: Input) -> Counts:
    """Return the counts of a torch module with input [n, 3, height, width]; neither its mode nor weights change."""
    import torch  # noqa: PLC0415 - the module is importable without the extra

    found: list[int] = []
    layers = [layer for layer in net.modules() if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear)]
    hooks = [layer.register_forward_hook(lambda *call: found.append(_macs(*call))) for layer in layers]
    modes = [(module, module.training) for module in net.modules()]
    try:
        weight = next(net.parameters())
        with torch.no_grad():
            net.eval()(torch.zeros(1, 3, *spec.size, device=weight.device))
    finally:
        for module, training in modes:  # one by one: frozen parts of a net in training are in eval mode
            module.training = training
        for hook in hooks:
            hook.remove()
    return Counts(sum(weight.numel() for weight in net.parameters()), sum(found))


def _macs(layer: Any, _inputs: Any, output: Any) -> int:
    return int(output[0].numel() * math.prod(layer.weight.shape[1:]))
