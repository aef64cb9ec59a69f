"""A layer after rounding, in the parts that the packed file holds: codes, scales, kept channels, bias."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from model_zoo.defakeq import rounding
from model_zoo.defakeq.anatomy import Layer
from model_zoo.defakeq.packing import Coded
from model_zoo.defakeq.plan import Plan


@dataclass
class Rounded:
    """A layer's weight and bias in parts.

    Attributes:
        name: of the layer.
        channels: output channels that are kept, torch int64.
        codes: of all channels, whole numbers in torch float, of the weight's shape.
        halves: what is float16 in the file, as torch float: "scale" [channels], "kept" [kept channels, ...], and
            "bias" [channels] where the layer has one.
    """

    name: str
    channels: Any
    codes: Any
    halves: dict[str, Any]

    def weight(self) -> Any:
        """Return the weight that the parts make."""
        whole = self.codes * self.halves["scale"].reshape(-1, *[1] * (self.codes.ndim - 1))
        return whole.index_copy(0, self.channels, self.halves["kept"]) if len(self.channels) else whole

    def parameters(self) -> dict[str, Any]:
        """Return weight and bias by their names in the net."""
        bias = {f"{self.name}.bias": self.halves["bias"]} if "bias" in self.halves else {}
        return {f"{self.name}.weight": self.weight(), **bias}

    def coded(self) -> Coded:
        """Return the weight as the packed file takes it."""
        parts = {name: half.cpu().numpy() for name, half in self.halves.items()}
        return Coded(self.codes.cpu().numpy().astype(np.int8), parts["scale"], parts["kept"])


def of(layer: Layer, module: Any, plan: Plan) -> Rounded:
    """Return a layer, rounded as the plan says."""
    weight = module.weight.detach()
    channels = torch.tensor(plan.kept.get(layer.name, ()), dtype=torch.int64, device=weight.device)
    scale = rounding.scales(weight, plan.bits[layer.name])
    halves = {"scale": scale, "kept": rounding.halved(weight[channels])}
    if module.bias is not None:
        halves["bias"] = rounding.halved(module.bias.detach())
    return Rounded(layer.name, channels, rounding.codes(weight, scale, plan.bits[layer.name]), halves)


def put(net: Any, layers: Mapping[str, Rounded]) -> None:
    """Write rounded layers into a net."""
    inside = net.state_dict()
    for layer in layers.values():
        for name, value in layer.parameters().items():
            inside[name].copy_(value.detach())
