"""Checkpoints: what a step has done so far, written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, BinaryIO

import torch

from edgerig import files


def save(state: Any, path: Path) -> None:
    """Write what torch can pickle, durably; raises OutputError or DiskFull."""
    part = path.with_suffix(".part")
    with files.writing(path):
        with part.open("wb") as stream:
            _written(state, stream)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)


def _written(state: Any, stream: BinaryIO) -> None:
    """Write a state; of a full disk torch says "unexpected pos", and what raised it is the news."""
    try:
        torch.save(state, stream)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from error
        raise
