"""Nets of timm."""

from __future__ import annotations

import importlib
import logging
import sys
from typing import Any

import torch

_KEPT: list[Any] = []


def create(name: str, *, pretrained: bool) -> Any:
    """Return a net with two logits; weights that are not pretrained are drawn from torch's random numbers."""
    library = timm()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its retries; what came of them is told by us
    return library.create_model(name, pretrained=pretrained, num_classes=2)


def timm() -> Any:
    """Import timm past a torchvision built for another torch.

    torchvision's wheel from PyPI refuses a CPU-only torch because its compiled operators do not load.
    timm needs none of them, so declaring the ones that are looked for at import is enough.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEPT.append(library)  # the declarations go when the library is collected
    return importlib.import_module("timm")
