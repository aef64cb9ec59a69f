"""The scores of a run's accuracy passes, read back from its files."""

from __future__ import annotations

import csv
from pathlib import Path

from edgerig.errors import RunError
from reports.collate import Scores
from reports.records import Accuracy


def read(folder: Path, accuracy: Accuracy) -> Scores:
    """Return what an accuracy pass gave; it must have a file of scores.

    Args:
        folder: of the run.
        accuracy: the pass.

    Raises:
        RunError: the file is missing.
    """
    rows = _rows(folder / "scores" / str(accuracy.scores))
    return Scores(
        labels=[int(row["label"] == "fake") for row in rows],
        categories=[row["category"] for row in rows],
        groups=[row["group"] for row in rows],
        scores=[float(row["score"]) for row in rows],
        threshold=accuracy.threshold,
        file=accuracy.scores,
        pixels_sha256=accuracy.pixels_sha256,
    )


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))
    except OSError as error:
        raise RunError(f"{path}, which the journal names, cannot be read: {error.strerror}.") from error
