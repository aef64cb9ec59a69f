"""The scores of a run's accuracy passes, read back from its files."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from edgerig.errors import RunError
from reports.collate import Scores
from reports.records import Accuracy

Rows = list[dict[str, str]]  # of a file of scores, a face each


def read(folder: Path, accuracy: Accuracy) -> Rows:
    """Return the rows that an accuracy pass left; raises RunError where its file is missing.

    Args:
        folder: of the run.
        accuracy: a pass that has a file.
    """
    path = folder / "scores" / str(accuracy.scores)
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))
    except OSError as error:
        raise RunError(f"{path}, which the journal names, cannot be read: {error.strerror}.") from error


def of(rows: Sequence[dict[str, str]], accuracy: Accuracy) -> Scores:
    """Return the rows of an accuracy pass as what its figures are computed from."""
    return Scores(
        labels=[int(row["label"] == "fake") for row in rows],
        categories=[row["category"] for row in rows],
        groups=[row["group"] for row in rows],
        scores=[float(row["score"]) for row in rows],
        threshold=accuracy.threshold,
        file=accuracy.scores,
        pixels_sha256=accuracy.pixels_sha256,
    )
