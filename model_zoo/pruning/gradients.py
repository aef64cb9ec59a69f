"""What the weights of a net mean to its answers: gradients over training faces, for Taylor importance."""

from __future__ import annotations

from typing import Any

import torch

from model_zoo.building.trained import Context
from model_zoo.ladder.fidelity import Faces
from model_zoo.training.device import deterministic

BATCH = 32


def fill(net: Any, faces: Faces, context: Context, title: str) -> None:
    """Leave in the weights of a net the gradients of its loss, summed over some faces.

    In eval mode: what the net has learned about its inputs' statistics is not touched.

    Args:
        net: on the CPU, where it stays.
        faces: both labels in turn, so that each batch has as many of either.
        context: of the step: its device, and who is told.
        title: of what is told.
    """
    net.requires_grad_().zero_grad(set_to_none=True)
    tensors, labels = list(faces.tensors()), torch.from_numpy(faces.labels).long()
    context.teller.step(title, len(tensors))
    with deterministic(context.device) as device:
        net.eval().to(device)
        for start in range(0, len(tensors), BATCH):
            pictures = torch.cat([torch.from_numpy(tensor) for tensor in tensors[start : start + BATCH]])
            truth = labels[start : start + BATCH].to(device)
            torch.nn.functional.cross_entropy(net(pictures.to(device)), truth, reduction="sum").backward()
            context.teller.advance(start + len(pictures))
    net.cpu()
