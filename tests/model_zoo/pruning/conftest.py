"""A net with all that makes pruning hard, a few thousand weights large."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from tests.model_zoo.training.conftest import _one_thread, context, small

__all__ = ["_one_thread", "context", "small"]


def conv(before: int, after: int, size: int = 1, stride: int = 1, groups: int = 1) -> Any:
    return nn.Sequential(
        nn.Conv2d(before, after, size, stride, size // 2, groups=groups, bias=False), nn.BatchNorm2d(after), nn.ReLU()
    )


class Gate(nn.Module):
    """Squeeze and excite."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(width, 16, 1), nn.Conv2d(16, width, 1)

    def forward(self, maps: Any) -> Any:
        return maps * torch.sigmoid(self.up(torch.relu(self.down(maps.mean((2, 3), keepdim=True)))))


class Block(nn.Module):
    """An inverted residual."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(conv(width, inner), conv(inner, inner, 3, groups=inner), Gate(inner))
        self.out = nn.Sequential(nn.Conv2d(inner, width, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, maps: Any) -> Any:
        return maps + self.out(self.inner(maps))


class Hard(nn.Module):
    """Depthwise, squeeze and excite, residual, concatenated, flattened to a dense layer, and a grouped convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 24, 3, 4)
        self.blocks = nn.Sequential(Block(24, 48), Block(24, 48))
        self.left, self.right = conv(24, 16, 3, 2), conv(24, 24, 1, 2)
        self.mixed, self.grouped = conv(40, 32, 1), conv(32, 32, 3, 2, groups=4)
        self.dense = nn.Sequential(nn.Linear(32 * 2 * 2, 32), nn.ReLU())
        self.classifier = nn.Linear(32, 2)

    def forward(self, pictures: Any) -> Any:
        maps = self.blocks(self.stem(pictures))
        both = self.mixed(torch.cat([self.left(maps), self.right(maps)], 1))
        return self.classifier(self.dense(self.grouped(both).flatten(1)))


@pytest.fixture
def hard() -> Any:
    """The net, with statistics as if it had been trained: fresh ones hide what is pruned wrongly."""
    torch.manual_seed(2)
    net = Hard().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.5)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias, 0.5, 0.5)
    return net
