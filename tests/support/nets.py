"""A net of a few hundred weights, convolutional as backbones are, that learns the faces of `tests.support.faces`."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Tiny(nn.Module):
    """Strides 2, 4, 8 and 16, batch norm, dropout, two logits; input [n, 3, 32, 32]."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        torch.manual_seed(1)
        layers: list[Any] = []
        for before, after in ((3, width), (width, width), (width, 2 * width), (2 * width, 2 * width)):
            layers.append(
                nn.Sequential(nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU())
            )
        self.blocks = nn.Sequential(*layers)
        self.dropout = nn.Dropout(0.1)
        self.classifier = nn.Linear(2 * width, 2)

    def forward(self, pictures: Any) -> Any:
        """Return the logits."""
        return self.classifier(self.dropout(self.blocks(pictures).mean((2, 3))))
