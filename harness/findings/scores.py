"""The scores of a run's accuracy passes, read back from its files."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgerig.errors import RunError
from harness.scoring import COLUMNS
from reports.collate import Scores
from reports.records import Accuracy

Rows = list[dict[str, str]]  # of a file of scores, a face each


def read(folder: Path, accuracy: Accuracy) -> Rows:
    """Return the rows that an accuracy pass left; raises RunError where its file is missing or damaged.

    Args:
        folder: of the run.
        accuracy: a pass that has a file.
    """
    path = folder / "scores" / str(accuracy.scores)
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, ValueError, csv.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise RunError(f"{path}, which the journal names, cannot be read: {why}.") from error
    damaged = next((number for number, row in enumerate(rows, 2) if not _whole(row)), None)
    if damaged:
        raise RunError(f"{path}, which the journal names, is damaged in line {damaged}.")
    return rows


def _whole(row: Mapping[str, str | None]) -> bool:
    """Whether a row has all columns, and a number for a score."""
    try:
        return row.keys() == set(COLUMNS) and None not in row.values() and float(row["score"] or "") is not None
    except ValueError:
        return False


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
