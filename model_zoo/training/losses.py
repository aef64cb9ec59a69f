"""What a net is trained to make small."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from model_zoo.building.recipe import Train
from model_zoo.training.batches import Batch
from model_zoo.training.where import Localiser

functional = torch.nn.functional


class Objective:
    """The loss of a batch, as a table wants it.

    Args:
        table: weights of its parts.
        teacher: frozen, on the device of the net; None without distillation.
        where: the heads that are asked where a face was edited, None where nobody asks.
    """

    def __init__(self, table: Train, teacher: Any, where: Localiser | None) -> None:
        self._table, self._teacher, self._where = table, teacher, where

    def __call__(self, logits: Any, tensors: Sequence[Any], batch: Batch, epoch: int) -> Any:
        """Return the loss.

        Args:
            logits: of the net, [faces, 2].
            tensors: what the net was fed, then what the teacher is to be fed.
            batch: the labels, and how many pairs.
            epoch: from 0; in the first `where_alone` nothing but "where" is asked.
        """
        table, device = self._table, logits.device
        weights = torch.from_numpy(batch.weights).to(device)
        parts = []
        if self._where and batch.edits is not None:
            edits = torch.from_numpy(batch.edits).to(device)
            parts.append(table.where * self._where.loss(edits, weights[: 2 * batch.pairs : 2]))
        if epoch >= table.where_alone or not parts:
            parts.append(self._told(logits, tensors[-1], batch, weights))
        return torch.stack(parts).sum()

    def _told(self, logits: Any, fed: Any, batch: Batch, weights: Any) -> Any:
        """The label, the teacher, the rank in a pair."""
        labels = torch.from_numpy(batch.labels).to(logits.device)
        loss = weighed(functional.cross_entropy(logits, labels, reduction="none"), weights)
        if self._teacher is not None:
            with torch.no_grad():
                taught = self._teacher(fed)
            loss = (1 - self._table.alpha) * loss + self._table.alpha * soft(logits, taught, self._table.temperature)
        if self._table.rank and batch.pairs:
            both = 2 * batch.pairs
            loss = loss + self._table.rank * weighed(ranked(logits[:both]), weights[:both:2])
        return loss


def weighed(losses: Any, weights: Any) -> Any:
    """Return the mean of losses [n] under weights [n]."""
    return (losses * weights).sum() / weights.sum()


def soft(logits: Any, taught: Any, temperature: float) -> Any:
    """Return the divergence from the teacher's softened answer, times the squared temperature (Hinton et al. 2015)."""
    return temperature**2 * functional.kl_div(
        functional.log_softmax(logits / temperature, 1),
        functional.log_softmax(taught / temperature, 1),
        reduction="batchmean",
        log_target=True,
    )


def ranked(logits: Any) -> Any:
    """Return the loss of each pair that ranks the fake above its original, [pairs]; rows go original, fake.

    It cancels the scene, which is most of the variance that a net from random weights has to see through.
    """
    score = logits[:, 1] - logits[:, 0]
    return functional.softplus(score[0::2] - score[1::2])
