"""The raw times of a run's rounds, read back from its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgerig.errors import RunError


def read(folder: Path, name: str) -> NDArray[np.int64]:
    """Return the times of a round's frames in ns [n, 5]; raises RunError where the file is missing or damaged.

    Args:
        folder: of the run.
        name: of the file, as the journal has it.
    """
    path = folder / "frames" / name
    try:
        return np.asarray(np.load(path, allow_pickle=False), np.int64)
    except (OSError, ValueError, EOFError) as error:  # numpy's word for an empty file is EOFError
        why = getattr(error, "strerror", None) or error
        raise RunError(f"{path}, which the journal names, cannot be read: {why}.") from error
