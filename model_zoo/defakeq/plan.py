"""The plan: how many bits each layer has and which of its channels stay float16, and what that takes, to the byte."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from model_zoo.defakeq import packing
from model_zoo.defakeq.anatomy import Layer
from model_zoo.defakeq.packing import Entry

PINNED = 8
FILE = "bits.json"  # a plan among the extras of an outcome


@dataclass(frozen=True)
class Plan:
    """What is decided about a net.

    Attributes:
        layers: those whose weights are rounded.
        bits: of each layer, by name.
        kept: output channels of layers that stay float16, by name; layers without any may be missing.
        rest: everything else of the net, in float16 or float32.
    """

    layers: tuple[Layer, ...]
    bits: Mapping[str, int]
    kept: Mapping[str, tuple[int, ...]]
    rest: tuple[Entry, ...]

    def having(self, layer: str, bits: int) -> Plan:
        """Return the plan with other bits for a layer."""
        return replace(self, bits={**self.bits, layer: bits})

    def entry(self, layer: Layer, bits: int | None = None) -> Entry:
        """Return how the weight of a layer is stored."""
        name = layer.name
        return Entry(f"{name}.weight", layer.shape, bits or self.bits[name], self.kept.get(name, ()))

    @cached_property
    def entries(self) -> list[Entry]:
        """The entries of the packed file."""
        return [*(self.entry(layer) for layer in self.layers), *self.rest]

    @property
    def weights(self) -> int:
        """Number of weights of all layers: what bits are divided by."""
        return sum(layer.shape[0] * layer.fan_in for layer in self.layers)

    @property
    def size(self) -> int:
        """Size of the packed file in bytes."""
        return packing.size(self.entries)

    @property
    def bits_per_weight(self) -> float:
        """Size of the packed file in bits, over the number of weights."""
        return self.size * 8 / self.weights

    def json(self) -> bytes:
        """Return the plan for people and programs."""
        rows = [
            {
                "layer": layer.name,
                "block": layer.block,
                "shape": list(layer.shape),
                "pinned": layer.pinned,
                "bits": self.bits[layer.name],
                "kept": list(self.kept.get(layer.name, ())),
                "bytes": self.entry(layer).bytes,
            }
            for layer in self.layers
        ]
        head = {"weights": self.weights, "bytes": self.size, "bits_per_weight": self.bits_per_weight}
        return json.dumps({**head, "layers": rows}, indent=1).encode()


def rest(net: Any, layers: Iterable[Layer]) -> tuple[Entry, ...]:
    """Return what a packed file holds besides the weights: biases in float16, what is left in float32."""
    weights = {f"{layer.name}.weight" for layer in layers}
    biases = {f"{layer.name}.bias" for layer in layers}
    return tuple(
        Entry(name, tuple(value.shape), 16 if name in biases else 32)
        for name, value in net.state_dict().items()
        if name not in weights and value.is_floating_point()
    )


def uniform(layers: Sequence[Layer], bits: int) -> dict[str, int]:
    """Return the same bits for all layers, PINNED for those that are pinned."""
    return {layer.name: PINNED if layer.pinned else bits for layer in layers}
