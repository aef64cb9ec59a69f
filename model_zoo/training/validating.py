"""How well a net does on validation faces."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from edgerig import metrics
from edgerig.preprocess import OutputSpec, postprocess
from model_zoo.manifest import Input
from model_zoo.training.batches import Album, plain


def auc(net: Any, album: Album, input: Input, device: Any) -> float | None:
    """Return the AUC of a net in eval mode on faces of both labels; None where it does not answer with numbers."""
    with torch.no_grad():
        logits = [net(placed(tensor, device)).cpu().numpy() for tensor in plain(album, input)]
    scores = postprocess(np.concatenate(logits), OutputSpec())
    if not np.all(np.isfinite(scores)):
        return None
    found = metrics.roc_auc(album.labels, scores)
    assert found is not None  # both labels are there
    return found


def placed(tensor: Any, device: Any) -> Any:
    """Return a batch, float32 [n, 3, height, width], where and as nets take it."""
    # Twice as fast as the default layout on a CPU.
    return torch.from_numpy(tensor).to(device, memory_format=torch.channels_last)
