"""Which channels stay in half precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from model_zoo.defakeq.anatomy import Layer
from model_zoo.defakeq.calibrating import Seen

Kept = dict[str, tuple[int, ...]]


def drawn(layers: Sequence[Layer], share: float, seed: int) -> Kept:
    """Return a share of the output channels of each block, any of them; none of pinned layers."""
    random = np.random.default_rng(seed)
    found: list[tuple[str, int]] = []
    for channels in _by_block(layers):
        found += [channels[place] for place in random.permutation(len(channels))[: round(share * len(channels))]]
    return _by_layer(found)


def distinct(layers: Sequence[Layer], share: float, seen: Mapping[str, Seen]) -> Kept:
    """Return that share of each block's output channels that correlate least with the others of their layer."""
    found: list[tuple[str, int]] = []
    for channels in _by_block(layers):
        rising = sorted(channels, key=lambda channel: (float(seen[channel[0]].alike[channel[1]]), channel))
        found += rising[: round(share * len(channels))]
    return _by_layer(found)


def _by_block(layers: Sequence[Layer]) -> list[list[tuple[str, int]]]:
    """Return the channels of each block that may be kept, each as its layer's name and its number."""
    blocks: dict[str, list[tuple[str, int]]] = {}
    for layer in layers:
        if not layer.pinned:
            blocks.setdefault(layer.block, []).extend((layer.name, channel) for channel in range(layer.shape[0]))
    return list(blocks.values())


def _by_layer(channels: Sequence[tuple[str, int]]) -> Kept:
    found: dict[str, list[int]] = {}
    for layer, channel in channels:
        found.setdefault(layer, []).append(channel)
    return {layer: tuple(sorted(numbers)) for layer, numbers in found.items()}
