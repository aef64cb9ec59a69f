"""Asks inner layers where a face was edited; used in training alone.

A net from random weights sits for thousands of steps on the label alone; told where to look, it left that plateau in a
few hundred (MobileNetV3-small, 160 px, drawn faces).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from edgerig.errors import ConfigError

STRIDES = (8, 16, 32)
HIDDEN = 32
functional = nn.functional


class Localiser:
    """Heads on those layers of a net whose cells are so many pixels wide.

    Args:
        net: on its device.
        size: height and width of its input.
        device: the same.
    """

    def __init__(self, net: Any, size: tuple[int, int], device: Any) -> None:
        self._seen: dict[str, Any] = {}
        layers = layers_at(net, size, device)
        if not layers:
            raise ConfigError(
                f"no layer of this net has cells of {', '.join(map(str, STRIDES))} pixels, which 'where' asks.",
                "Leave 'where' out of this recipe.",
            )
        self._names = list(layers)
        self.heads = nn.ModuleList([_head(channels) for channels in layers.values()]).to(device)
        modules = dict(net.named_modules())
        self._hooks = [modules[name].register_forward_hook(self._keeper(name)) for name in layers]

    def _keeper(self, name: str) -> Any:
        def keep(_module: Any, _inputs: Any, output: Any) -> None:
            self._seen[name] = output

        return keep

    def loss(self, edits: Any, weights: Any) -> Any:
        """Return the loss of the maps for the batch that the net has just seen.

        Args:
            edits: of the fakes of its pairs, [pairs, 1, rows, columns], 1 where a cell was edited.
            weights: of the pairs, [pairs].
        """
        both, weights = 2 * len(edits), weights[:, None, None, None]
        answers = [head(self._seen[name][:both]) for name, head in zip(self._names, self.heads, strict=True)]
        return torch.stack([_loss(answer, edits, weights) for answer in answers]).sum()

    def remove(self) -> None:
        """Leave the net as it was."""
        for hook in self._hooks:
            hook.remove()


def _head(channels: int) -> Any:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.Conv2d(channels, HIDDEN, 1), nn.ReLU(), nn.Conv2d(HIDDEN, 1, 1))


def _loss(answer: Any, edits: Any, weights: Any) -> Any:
    """Return cross entropy of a map, and inside of what was edited the rank of the fake's cell over the original's."""
    cells = functional.interpolate(edits, answer.shape[-2:], mode="area")
    truth = torch.zeros_like(answer)
    truth[1::2] = cells
    each = functional.binary_cross_entropy_with_logits(answer, truth, reduction="none") * (1 + truth)
    told = (each * weights.repeat_interleave(2, 0)).mean() / weights.mean()
    weighed = cells * weights
    ranked = (functional.softplus(answer[0::2] - answer[1::2]) * weighed).sum() / (weighed.sum() + 1)
    return told + ranked


def layers_at(net: Any, size: tuple[int, int], device: Any) -> dict[str, int]:
    """Return name and channels of the layers to ask: of each stride the last block, the outermost one."""
    found: dict[int, tuple[tuple[int, bool], str, int]] = {}

    def keeper(name: str, order: tuple[int, bool]) -> Any:
        def keep(_module: Any, _inputs: Any, output: Any) -> None:
            if torch.is_tensor(output) and output.ndim == 4 and min(output.shape[2:]) > 1:
                stride = 2 ** round(math.log2(size[0] / output.shape[2]))
                if stride not in found or order <= found[stride][0]:
                    found[stride] = (order, name, output.shape[1])

        return keep

    blocks = {name: part for name, part in net.named_modules() if name and _convolves(part)}
    hooks = [
        part.register_forward_hook(keeper(name, (name.count("."), not any(True for _ in part.children()))))
        for name, part in blocks.items()
    ]
    try:
        with torch.no_grad():
            net.eval()(torch.zeros(1, 3, *size, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    return {found[stride][1]: found[stride][2] for stride in STRIDES if stride in found}


def _convolves(part: Any) -> bool:
    return any(isinstance(module, nn.Conv2d) for module in part.modules())
