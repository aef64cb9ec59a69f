"""VEFT: block by block, what stays in half precision is tuned until the block answers as it did in float.

Tuned are the weights of the kept channels, and the scales and biases, which are float16 in any case; codes stay. A
block is fed what the blocks before it, rounded and tuned already, make of the faces, and is held against the answer of
the float net. To that a contrastive loss is added, which weighs more from block to block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from model_zoo.building.recipe import Defakeq
from model_zoo.building.trained import Context
from model_zoo.defakeq import anatomy, contrast, rounded, rounding
from model_zoo.defakeq.calibrating import BATCH, Calibration
from model_zoo.defakeq.plan import Plan
from model_zoo.defakeq.rounded import Rounded
from model_zoo.training import saving

RATE = 0.01  # of Adam, times the mean size of what is tuned: scales, weights and biases are of different orders
CHECKPOINT = "tuned.pt"


@dataclass(frozen=True)
class Block:
    """A block that is tuned.

    Attributes:
        name: in the net.
        place: among the blocks, from 0.
        progress: 0 for the first block, 1 for the last.
    """

    name: str
    place: int
    progress: float


def blocks(plan: Plan) -> list[Block]:
    """Return the blocks with layers that are not pinned, in the order of their work."""
    names = list(dict.fromkeys(layer.block for layer in plan.layers if not layer.pinned))
    return [Block(name, place, place / max(1, len(names) - 1)) for place, name in enumerate(names)]


def tune(
    whole: Any, net: Any, layers: dict[str, Rounded], plan: Plan, faces: Calibration, table: Defakeq, context: Context
) -> None:
    """Tune rounded layers block by block, in place.

    Args:
        whole: the net in float, its batch norms folded.
        net: the same with the rounded layers in it, and with the tuned ones afterwards.
        layers: the rounded layers by name.
        plan: which layers form which block.
        faces: what the nets are fed.
        table: passes over the faces, and the contrastive loss's weight.
        context: seed; `context.work` holds the checkpoint, from which a killed build goes on.
    """
    everything, checkpoint = blocks(plan), context.work / CHECKPOINT
    done = _restored(checkpoint, layers)
    rounded.put(net, layers)
    context.teller.step("veft", len(everything))
    for block in everything[done:]:
        mine = [layers[layer.name] for layer in plan.layers if layer.block == block.name]
        error = _tuned(whole, net, mine, block, faces, table, context.seed)
        rounded.put(net, {layer.name: layer for layer in mine})
        _save(checkpoint, layers, block.place + 1)
        context.teller.advance(block.place + 1, f"{block.name}, error {error:.4f}")


def _tuned(
    whole: Any, net: Any, layers: Sequence[Rounded], block: Block, faces: Calibration, table: Defakeq, seed: int
) -> float:
    """Tune the layers of a block; returns the mean error of the last pass, relative to the block's answer."""
    fed = torch.cat([anatomy.passing(net, block.name, batch, output=False) for batch in faces.batches()])
    wanted = torch.cat([anatomy.passing(whole, block.name, batch, output=True) for batch in faces.batches()])
    module, power = net.get_submodule(block.name), (wanted**2).mean().clamp_min(1e-12)
    optimizer, schedule = _optimizer(layers, table.epochs * -(-len(fed) // BATCH))
    error, count = 0.0, 0
    for number, chosen in _batches(len(fed), table.epochs, seed, block.place):
        answer = torch.func.functional_call(module, _inside(layers, block.name), (fed[chosen],))
        apart = ((answer - wanted[chosen]) ** 2).mean() / power
        loss = apart
        if table.contrast and block.progress:
            loss = apart + table.contrast * block.progress * contrast.supervised(answer, faces.labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if number == table.epochs - 1:
            error, count = error + float(apart.detach()), count + 1
    for layer in layers:
        layer.halves = {name: rounding.halved(half.detach()) for name, half in layer.halves.items()}
    return error / count


def _batches(count: int, epochs: int, seed: int, block: int) -> Iterator[tuple[int, Any]]:
    """Yield the number of the pass and the places of a batch; the same after a resume."""
    generator = torch.Generator().manual_seed(seed * 1009 + block)
    for number in range(epochs):
        for chosen in torch.randperm(count, generator=generator).split(BATCH):
            yield number, chosen


def _optimizer(layers: Sequence[Rounded], steps: int) -> tuple[Any, Any]:
    groups = []
    for layer in layers:
        layer.halves = {
            name: half.detach().clone().requires_grad_(half.numel() > 0) for name, half in layer.halves.items()
        }
        groups += [
            {"params": [half], "lr": RATE * max(float(half.detach().abs().mean()), 1e-4)}
            for half in layer.halves.values()
            if half.requires_grad
        ]
    adam = torch.optim.Adam(groups)
    return adam, torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)


def _inside(layers: Sequence[Rounded], block: str) -> dict[str, Any]:
    """Return weights and biases by their names within the block."""
    return {name.removeprefix(f"{block}."): value for layer in layers for name, value in layer.parameters().items()}


def _save(path: Path, layers: Mapping[str, Rounded], done: int) -> None:
    saving.save({"blocks": done, "halves": {name: layer.halves for name, layer in layers.items()}}, path)


def _restored(path: Path, layers: Mapping[str, Rounded]) -> int:
    """Put back what a killed build had tuned; returns how many blocks that were."""
    if not path.exists():
        return 0
    saved = saving.load(path)
    for name, halves in saved["halves"].items():
        # A build may go on with another device than it began with.
        layers[name].halves = {part: half.to(layers[name].codes.device) for part, half in halves.items()}
    return int(saved["blocks"])
