"""Meso4, the smallest published net for faces that were tampered with.

Afchar, Nozick, Yamagishi, Echizen: MesoNet, WIFS 2018, https://arxiv.org/abs/1809.00888: 27,977 weights at 256 px with
its one output; the second logit that all nets of the zoo have adds 17.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import nn

from edgerig.errors import ConfigError

SMALLEST = 32  # pixels: the four poolings divide by 2, 2, 2 and 4


class Meso4(nn.Module):
    """Four convolutions and two dense layers.

    Args:
        size: height and width of its input, which the first dense layer depends on.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        if min(size) < SMALLEST:
            raise ConfigError(f"meso4 needs an input of {SMALLEST} pixels at least, not {min(size)}.")
        self.features = nn.Sequential(_block(3, 8, 3, 2), _block(8, 8, 5, 2), _block(8, 16, 5, 2), _block(16, 16, 5, 4))
        cells = 16 * (size[0] // SMALLEST) * (size[1] // SMALLEST)
        self.classifier = nn.Sequential(
            nn.Dropout(0.5), nn.Linear(cells, 16), nn.LeakyReLU(0.1), nn.Dropout(0.5), nn.Linear(16, 2)
        )

    def forward(self, pictures: Any) -> Any:
        """Return the logits [n, 2] of pictures [n, 3, height, width]."""
        return self.classifier(self.features(pictures).flatten(1))


def _block(before: int, after: int, kernel: int, pool: int) -> Any:
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(before, after, kernel, padding=kernel // 2),
            relu=nn.ReLU(),
            norm=nn.BatchNorm2d(after),
            pool=nn.MaxPool2d(pool),
        )
    )
