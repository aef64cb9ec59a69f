"""What calibration faces tell of a net: how strong each layer's input is, how alike its output channels are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from model_zoo.building.faces import TrainingFaces
from model_zoo.defakeq.anatomy import Layer
from model_zoo.ladder.fidelity import Faces
from model_zoo.manifest import Input

BATCH = 32


@dataclass(frozen=True)
class Calibration:
    """Faces that a net is calibrated on.

    Attributes:
        pictures: torch float [faces, 3, height, width], as the net is fed them.
        labels: torch bool [faces], true for fakes.
    """

    pictures: Any
    labels: Any

    def batches(self) -> Iterator[Any]:
        """Yield the pictures in batches, always the same."""
        for start in range(0, len(self.pictures), BATCH):
            yield self.pictures[start : start + BATCH]


def gathered(faces: TrainingFaces, count: int, seed: int, spec: Input, device: str) -> Calibration:
    """Return training faces, half of them fakes where there are enough of both."""
    halves = [
        replace(faces.train, faces=tuple(face for face in faces.train.faces if face.label == label)).sample(
            count // 2, seed
        )
        for label in ("real", "fake")
    ]
    both = Faces(replace(faces.train, faces=halves[0].faces + halves[1].faces), spec.spec())
    order = np.random.default_rng(seed).permutation(len(both.faces.faces))  # no batch of one label alone
    pictures = torch.from_numpy(np.concatenate(list(both.tensors()))[order])
    return Calibration(pictures.to(device), torch.from_numpy(both.labels[order]).to(device))


@dataclass(frozen=True)
class Seen:
    """What a layer did on the calibration faces.

    Attributes:
        strength: root mean square of each input channel, torch float [channels].
        alike: mean absolute correlation of each output channel with the others, torch float [channels].
    """

    strength: Any
    alike: Any

    @property
    def redundancy(self) -> float:
        """Mean absolute correlation between output channels, 0 to 1."""
        return float(self.alike.mean())

    def importance(self, weight: Any) -> float:
        """Return the mean of |weight| times the strength of the channel that it is multiplied with."""
        each = weight.detach().abs().flatten(2).mean(2) if weight.ndim > 2 else weight.detach().abs()
        by_group = self.strength.reshape(-1, each.shape[1])
        return float((each * by_group.repeat_interleave(len(each) // len(by_group), 0)).mean())


class _Sums:
    """Sums over faces and places: of the inputs' squares, of outputs and of their products."""

    def __init__(self) -> None:
        self.inputs: Any = 0.0
        self.places = self.count = 0
        self.total: Any = 0.0
        self.products: Any = 0.0

    def add(self, _layer: Any, inputs: Any, output: Any) -> None:
        """Take in what a layer was fed and answered; a forward hook."""
        fed, answered = _channels(inputs[0]), _channels(output)
        self.inputs, self.places = self.inputs + (fed**2).sum(0), self.places + len(fed)
        self.count += len(answered)
        self.total = self.total + answered.sum(0)
        self.products = self.products + answered.T @ answered

    def seen(self) -> Seen:
        """Return what they come to."""
        mean = self.total / self.count
        covariance = self.products / self.count - mean[:, None] * mean
        spread = covariance.diagonal().clamp_min(0).sqrt()
        dead = spread <= 1e-6 * spread.max().clamp_min(1e-12)
        correlation = (covariance / (spread[:, None] * spread).clamp_min(1e-12)).abs().clamp_max(1)
        correlation[dead], correlation[:, dead] = 0, 0
        others = max(1, len(spread) - 1)
        alike = (correlation.sum(1) - correlation.diagonal()) / others
        return Seen((self.inputs / self.places).sqrt().float(), alike.float())


def _channels(values: Any) -> Any:
    """Return values as float64 [faces and places, channels]."""
    wide = values.movedim(1, -1) if values.ndim > 2 else values
    return wide.reshape(-1, wide.shape[-1]).double()


def looked(net: Any, layers: Sequence[Layer], faces: Calibration) -> Mapping[str, Seen]:
    """Return what each layer that is not pinned did on the faces."""
    sums = {layer.name: _Sums() for layer in layers if not layer.pinned}
    hooks = [net.get_submodule(name).register_forward_hook(each.add) for name, each in sums.items()]
    with torch.no_grad():
        for batch in faces.batches():
            net(batch)
    for hook in hooks:
        hook.remove()
    return {name: each.seen() for name, each in sums.items()}
