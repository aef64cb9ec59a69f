"""What a step has done so far: kept in its folder, so that a killed build goes on from there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from model_zoo.training import saving


def kept(path: Path, make: Callable[[], Any]) -> Any:
    """Return what a file holds; where there is none, make it and write it, whole or not at all.

    The file is a pickle of ours, as in the store: pruned nets have shapes that no state dict can be loaded into.
    """
    if not path.is_file():
        saving.save(make(), path)
    return saving.load(path, weights_only=False)
