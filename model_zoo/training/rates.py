"""Optimizers, and the learning rate as a function of how far a training is: nothing to keep, nothing to resume."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch

from model_zoo.building.recipe import Train

_ONE_CYCLE_WARMUP = 0.1  # share of a training; at .3, torch's default, a short one hardly anneals


def optimizer(table: Train, weights: Iterable[Any]) -> Any:
    """Return the optimizer of a table for those weights that learn; biases and batch norms do not decay."""
    learning = [weight for weight in weights if weight.requires_grad]
    groups = [
        {"params": [weight for weight in learning if weight.ndim > 1], "weight_decay": table.weight_decay},
        {"params": [weight for weight in learning if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    if table.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=table.rate, momentum=0.9)
    return {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[table.optimizer](groups, lr=table.rate)


def pace(table: Train, done: int, batches: int) -> dict[str, Any]:
    """Return what a group of the optimizer is to have at the batch after `done` ones, with so many in an epoch."""
    if table.schedule != "one-cycle":
        return {"lr": rate(table, done, batches)}
    heat, rising = _one_cycle(table, done, batches)
    momentum = 0.95 - 0.1 * heat  # it goes the other way (Smith 2018), in the bounds that torch has
    own = {"momentum": momentum} if table.optimizer == "sgd" else {"betas": (momentum, 0.999)}
    return {"lr": table.rate * ((1 + 24 * heat) / 25 if rising else heat), **own}


def _one_cycle(table: Train, done: int, batches: int) -> tuple[float, bool]:
    """Return how far up the rate is, from 0 to 1, and whether it is still rising; as torch's OneCycleLR has it."""
    total = table.epochs * batches
    top = (round(table.warmup_epochs * batches) or _ONE_CYCLE_WARMUP * total) - 1
    if done < top:
        return _wave(1 - done / top), True
    return _wave((done - top) / max(1.0, total - 1 - top)), False


def rate(table: Train, done: int, batches: int) -> float:
    """Return the rate of the other schedules, whose optimizer keeps its momentum."""
    total, warm = table.epochs * batches, round(table.warmup_epochs * batches)
    if table.schedule == "steps":
        return table.rates[min(done * len(table.rates) // total, len(table.rates) - 1)]
    if done < warm:
        return table.rate * (done + 1) / (warm + 1)
    return table.rate * (1 if table.schedule == "constant" else _wave((done - warm) / max(1, total - warm)))


def _wave(share: float) -> float:
    """Return how high half a cosine is after a share of its way down."""
    return (1 + math.cos(math.pi * share)) / 2
