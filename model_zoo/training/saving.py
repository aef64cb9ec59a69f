"""Checkpoints: what a step has done so far, written whole or not at all, and read again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, BinaryIO

import torch

from edgerig import files
from edgerig.errors import ModelError


def save(state: Any, path: Path) -> None:
    """Write what torch can pickle, durably; raises OutputError or DiskFull."""
    part = path.with_suffix(".part")
    with files.writing(path):
        with part.open("wb") as stream:
            _written(state, stream)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)


def load(path: Path, *, weights_only: bool = True, device: Any = "cpu") -> Any:
    """Return what was saved; raises ModelError where the file is damaged, or from a torch that wrote otherwise."""
    try:
        return torch.load(path, weights_only=weights_only, map_location=device)
    except Exception as error:  # a pickle raises anything
        raise ModelError(
            f"the checkpoint {path} cannot be read: it is damaged, or from other versions of torch and timm.",
            "Remove it: the same command does that part anew.",
        ) from error


def _written(state: Any, stream: BinaryIO) -> None:
    """Write a state; of a full disk torch says "unexpected pos", and what raised it is the news."""
    try:
        torch.save(state, stream)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from error
        raise
