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

    def __call__(self, logits: Any, tensors: Sequence[Any], batch: Batch, done: float) -> Any:
        """Return the loss.

        Args:
            logits: of the net, [faces, 2].
            tensors: what the net was fed, then what the teacher is to be fed.
            batch: the labels, and how many pairs.
            done: epochs, with the share of the one that runs.
        """
        table, device = self._table, logits.device
        weights = torch.from_numpy(batch.weights).to(device)
        left = 1 - (1 - table.fade) * done / table.epochs
        parts = []
        if self._where and batch.edits is not None:
            edits = torch.from_numpy(batch.edits).to(device)
            parts.append(left * table.where * self._where.loss(edits, weights[: 2 * batch.pairs : 2]))
        if done >= table.where_alone or not parts:
            parts.append(self._told(logits, tensors[-1], batch, weights))
            parts += self._ranks(logits, batch, weights, left)
        return torch.stack(parts).sum()

    def _told(self, logits: Any, fed: Any, batch: Batch, weights: Any) -> Any:
        """The label and the teacher."""
        labels = torch.from_numpy(batch.labels).to(logits.device)
        hard = weighed(functional.cross_entropy(logits, labels, reduction="none"), weights)
        if self._teacher is None:
            return hard
        with torch.no_grad():
            taught = self._teacher(fed)
        return (1 - self._table.alpha) * hard + self._table.alpha * soft(logits, taught, self._table.temperature)

    def _ranks(self, logits: Any, batch: Batch, weights: Any, left: float) -> list[Any]:
        """The order of faces: in each pair, and of all fakes and originals of the batch."""
        table, score, parts = self._table, logits[:, 1] - logits[:, 0], []
        if table.rank and batch.pairs:
            both = slice(0, 2 * batch.pairs)
            pair, weight = score[both], weights[both]
            parts.append(left * table.rank * weighed(ranked(pair[0::2], pair[1::2]), weight[0::2]))
        if table.rank_all:
            fake = torch.from_numpy(batch.labels == 1).to(logits.device)
            every = ranked(score[~fake][:, None], score[fake][None])
            parts.append(table.rank_all * weighed(every, weights[~fake][:, None] * weights[fake][None]))
        return parts


def weighed(losses: Any, weights: Any) -> Any:
    """Return the mean of losses under weights of the same shape; 0 where there is none."""
    return (losses * weights).sum() / weights.sum().clamp(min=1e-6)


def soft(logits: Any, taught: Any, temperature: float) -> Any:
    """Return the divergence from the teacher's softened answer, times the squared temperature (Hinton et al. 2015)."""
    return temperature**2 * functional.kl_div(
        functional.log_softmax(logits / temperature, 1),
        functional.log_softmax(taught / temperature, 1),
        reduction="batchmean",
        log_target=True,
    )


def ranked(original: Any, fake: Any) -> Any:
    """Return the loss that ranks scores of fakes above those of originals.

    In a pair it cancels the scene, which is most of the variance that a net from random weights has to see through.
    """
    return functional.softplus(original - fake)
