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


def rate(table: Train, done: int, batches: int) -> float:
    """Return the rate of the batch after `done` ones, with so many batches in an epoch."""
    total = table.epochs * batches
    if table.schedule == "steps":
        return table.rates[min(done * len(table.rates) // total, len(table.rates) - 1)]
    warm, low = round(table.warmup_epochs * batches), 0.0
    if table.schedule == "one-cycle":
        warm, low = max(warm, round(_ONE_CYCLE_WARMUP * total)), 1 / 25
    if done < warm:
        return table.rate * _eased((done + 1) / (warm + 1), low, 1.0, linear=table.schedule != "one-cycle")
    if table.schedule == "constant":
        return table.rate
    return table.rate * _eased((done - warm) / max(1, total - warm), 1.0, 0.0)


def _eased(share: float, begin: float, end: float, *, linear: bool = False) -> float:
    """Return the value after a share of the way, along half a cosine unless `linear`."""
    return begin + (end - begin) * (share if linear else (1 - math.cos(math.pi * share)) / 2)
