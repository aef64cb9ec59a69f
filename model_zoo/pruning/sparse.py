"""`do = "sparsify"`: single weights of least magnitude become zero, and stay so while training recovers the net."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from model_zoo.backbones import registry
from model_zoo.building.recipe import Sparsify
from model_zoo.building.trained import Context, Trained
from model_zoo.manifest import Input
from model_zoo.pruning import layers
from model_zoo.pruning.kept import kept
from model_zoo.training import fit


def check(table: Sparsify, backbone: str) -> None:
    """Raise ConfigError where a backbone is no net."""
    registry.require_net(backbone, table.do)


def apply(table: Sparsify, trained: Trained, context: Context) -> Trained:
    """Return a net with zeros among its weights."""
    net, found = trained.model, {}
    for number in range(1, table.rounds + 1):
        step = _Round(table, number, trained.input, context)
        net, found = kept(context.work / f"round-{number}.pt", step.of(net))
    before, after = compressed(trained.model), compressed(net)
    zeros = _zeros(net)
    note = (
        f"{zeros:.1%} of its parameters are zero. No runtime here is faster, or needs less memory, for that; only "
        f"packed is the file smaller: all weights by gzip {before:,} bytes before, {after:,} after."
    )
    rounds = "one shot" if table.rounds == 1 else f"{table.rounds} rounds"
    figures = {"zeros": zeros, "gzip_bytes_before": before, "gzip_bytes": after}
    done = replace(trained, model=net).then(f"sparse weights (magnitude, {table.scope}, {rounds})", note, **figures)
    return done.then("distillation" if table.recover and table.recover.teacher else "", **found)


@dataclass(frozen=True)
class _Round:
    """One round: more weights become zero than in the one before, and the rest learns to do without them."""

    table: Sparsify
    number: int
    spec: Input
    context: Context

    def of(self, net: Any) -> Any:
        """Return what makes the net after this round from the one before, with the figures of its training."""
        return lambda: self._done(copy.deepcopy(net))

    def _done(self, net: Any) -> tuple[Any, Mapping[str, float]]:
        masks = Masks(net, self.spec, self._share, self.table.scope)
        masks.hold()
        if self.table.recover is None:
            return net, {}
        name = f"recovery {self.number} of {self.table.rounds}"
        return net, fit.train(net, self.table.recover, self.context, self.spec, name=name, held=masks.hold)

    @property
    def _share(self) -> float:
        """How many weights are zero after this round: quickly at first, while there are many to choose from.

        The cubic schedule of Zhu and Gupta, https://arxiv.org/abs/1710.01878.
        """
        return self.table.amount * (1 - (1 - self.number / self.table.rounds) ** 3)


class Masks:
    """Which weights of a net are zero.

    Args:
        net: all its convolutions and dense layers, but for the one that makes the logits.
        spec: its input.
        share: of the weights that are to be zero; those that are zero already come first.
        scope: "global" ranks the weights of all layers together, "local" those of each layer.
    """

    def __init__(self, net: Any, spec: Input, share: float, scope: str) -> None:
        head = layers.head(net, spec)
        self._weights = [layer.weight for name, layer in layers.of(net) if name != head]
        ranked = [torch.cat([weight.detach().flatten() for weight in self._weights])]
        if scope == "local":
            ranked = [weight.detach().flatten() for weight in self._weights]
        limits = [_limit(values.abs(), share) for values in ranked]
        self._gone = [
            weight.detach().abs() <= limit
            for weight, limit in zip(self._weights, limits * (len(self._weights) // len(limits)), strict=True)
        ]

    def hold(self) -> None:
        """Set them to zero, on whichever device the net is."""
        with torch.no_grad():
            for weight, gone in zip(self._weights, self._gone, strict=True):
                weight.masked_fill_(gone.to(weight.device), 0)


def _limit(magnitudes: Any, share: float) -> float:
    """Return the magnitude up to which so large a share of them lies, below any where that is none."""
    count = round(share * len(magnitudes))
    return float(magnitudes.kthvalue(count).values) if count else -1.0


def compressed(net: Any) -> int:
    """Return the bytes of all weights, float32 one after another, as gzip packs them (deflate, level 6)."""
    packer = zlib.compressobj(6, wbits=31)
    packed = sum(len(packer.compress(weight.detach().numpy().tobytes())) for weight in net.parameters())
    return packed + len(packer.flush())


def _zeros(net: Any) -> float:
    """Return the share of all parameters that are zero."""
    weights = list(net.parameters())
    count = sum(int((weight == 0).sum()) for weight in weights)
    return count / sum(int(weight.numel()) for weight in weights)
