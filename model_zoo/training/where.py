"""Asks inner layers where a face was edited; used in training alone.

The difference between the two pictures of a pair is the answer. A net from random weights sits for thousands of steps
on the label alone; told where to look, it left that plateau in a few hundred (MobileNetV3-small, 160 px, drawn faces).
"""

from __future__ import annotations

import math
from typing import Any

import torch

from edgerig.errors import ConfigError

STRIDES = (8, 16)
functional = torch.nn.functional


class Localiser:
    """Heads on those layers of a net whose cells are so many pixels wide.

    Args:
        net: on its device.
        size: height and width of its input.
    """

    def __init__(self, net: Any, size: tuple[int, int], device: Any) -> None:
        self._seen: dict[str, Any] = {}
        layers = layers_at(net, size, device)
        if not layers:
            raise ConfigError(
                f"no layer of this net has cells of {' or '.join(map(str, STRIDES))} pixels, which 'where' asks.",
                "Leave 'where' out of this recipe.",
            )
        self.heads = torch.nn.ModuleDict(
            {name.replace(".", "/"): torch.nn.Conv2d(channels, 1, 1) for name, channels in layers.items()}
        ).to(device)
        modules = dict(net.named_modules())
        self._hooks = [modules[name].register_forward_hook(self._keeper(name)) for name in layers]

    def _keeper(self, name: str) -> Any:
        def keep(_module: Any, _inputs: Any, output: Any) -> None:
            self._seen[name] = output

        return keep

    def loss(self, pictures: Any, pairs: int) -> Any:
        """Return the binary cross entropy of the maps for the batch that the net has just seen."""
        both = pictures[: 2 * pairs]
        change = (both[0::2] - both[1::2]).abs().mean(dim=1, keepdim=True)
        parts = [
            self._part(head, self._seen[name.replace("/", ".")][: 2 * pairs], change)
            for name, head in self.heads.items()
        ]
        return torch.stack(parts).sum()

    @staticmethod
    def _part(head: Any, seen: Any, change: Any) -> Any:
        answer = head(seen)
        cells = functional.adaptive_avg_pool2d(change, answer.shape[-2:])
        noise = cells.flatten(1).median(dim=1).values[:, None, None, None]  # most of a picture is not edited
        truth = torch.zeros_like(answer)
        truth[1::2] = (cells > 1.6 * noise).float()
        weight = torch.tensor(3.0, device=answer.device)
        return functional.binary_cross_entropy_with_logits(answer, truth, pos_weight=weight)

    def remove(self) -> None:
        """Leave the net as it was."""
        for hook in self._hooks:
            hook.remove()


def layers_at(net: Any, size: tuple[int, int], device: Any) -> dict[str, int]:
    """Return name and channels of the layers to ask: of each stride the last one of the outermost."""
    found: dict[int, tuple[int, str, int]] = {}

    def keeper(name: str) -> Any:
        def keep(_module: Any, _inputs: Any, output: Any) -> None:
            if torch.is_tensor(output) and output.ndim == 4 and min(output.shape[2:]) > 1:
                stride = 2 ** round(math.log2(size[0] / output.shape[2]))
                if stride not in found or name.count(".") <= found[stride][0]:
                    found[stride] = (name.count("."), name, output.shape[1])

        return keep

    hooks = [module.register_forward_hook(keeper(name)) for name, module in net.named_modules() if name]
    before = net.training
    try:
        with torch.no_grad():
            net.eval()(torch.zeros(1, 3, *size, device=device))
    finally:
        net.train(before)
        for hook in hooks:
            hook.remove()
    return {found[stride][1]: found[stride][2] for stride in STRIDES if stride in found}
