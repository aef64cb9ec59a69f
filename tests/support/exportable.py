"""A net to be exported: a small torch net with all that the mobile nets have, and faces that it can be tried on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from model_zoo import faceset
from model_zoo.building.faces import TrainingFaces
from model_zoo.building.trained import Trained
from model_zoo.manifest import Input
from tests.support import faces as small_faces

SIZE = 32
INPUT = Input(size=(SIZE, SIZE), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


class Gate(torch.nn.Module):
    """Squeeze and excite."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.narrow, self.wide = torch.nn.Conv2d(channels, 4, 1), torch.nn.Conv2d(4, channels, 1)

    def forward(self, x: Any) -> Any:
        squeezed = torch.relu(self.narrow(x.mean((2, 3), keepdim=True)))
        return x * torch.nn.functional.hardsigmoid(self.wide(squeezed))


class Small(torch.nn.Module):
    """A stem, an inverted residual with a gate and hard-swish, and a head: 8 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.stem_norm = torch.nn.BatchNorm2d(8)
        self.depthwise = torch.nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False)
        self.depthwise_norm, self.act = torch.nn.BatchNorm2d(8), torch.nn.Hardswish()
        self.gate = Gate(8)
        self.project = torch.nn.Conv2d(8, 8, 1, bias=False)
        self.project_norm = torch.nn.BatchNorm2d(8)
        self.head = torch.nn.Linear(8, 2)

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.stem_norm(self.stem(x)))
        inner = self.gate(self.act(self.depthwise_norm(self.depthwise(x))))
        x = x + self.project_norm(self.project(inner))
        return self.head(x.mean((2, 3)))


def small(seed: int = 0) -> Any:
    """Return the net in eval mode, trained for a moment on green, which tells most of the small faces apart.

    The statistics of its batch norms are those of real pictures: fresh ones would fold to nothing.
    """
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Small()
        optimizer = torch.optim.Adam(net.parameters(), 0.02)
        labels = torch.arange(16) % 2
        for _ in range(30):
            pictures = torch.randn(16, 3, SIZE, SIZE) * 0.1
            pictures[:, 1] += (labels - 0.5)[:, None, None] * torch.rand(16)[:, None, None] * 2
            loss = torch.nn.functional.cross_entropy(net(pictures), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return net.eval()


def trained(seed: int = 0) -> Trained:
    """Return the small net as a step of a recipe leaves one."""
    return Trained(small(seed), "mobilenetv2", INPUT, ("pruned",))


def faces(folder: Path, count: int = 96) -> TrainingFaces:
    """Return training and validation faces, a third each; what they show is told in `tests.support.faces`."""
    made = small_faces.make(folder, count, splits=("train", "val", "test"))
    return TrainingFaces(faceset.load(made))
