"""The supervised contrastive loss: faces of one label are to lie close together, those of the other far away."""

from __future__ import annotations

from typing import Any

import torch

TEMPERATURE = 0.1


def supervised(features: Any, labels: Any) -> Any:
    """Return the loss of a batch (Khosla et al. 2020, arXiv 2004.11362, L_out), 0 where no label comes twice.

    Args:
        features: torch float [faces, channels, ...]; what comes after the channels is averaged.
        labels: torch bool [faces].
    """
    flat = features.flatten(2).mean(2) if features.ndim > 2 else features
    near = torch.nn.functional.normalize(flat, dim=1)
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    likeness = (near @ near.T / TEMPERATURE).masked_fill(itself, -torch.inf)
    friends = (labels[:, None] == labels[None, :]) & ~itself
    chance = torch.log_softmax(likeness, dim=1).masked_fill(~friends, 0.0)
    counts = friends.sum(1)
    if not bool(counts.any()):
        return features.sum() * 0
    return -(chance.sum(1)[counts > 0] / counts[counts > 0]).mean()
