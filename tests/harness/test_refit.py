"""A threshold that is fitted on validation faces: beside the variant's own, and never on the faces of the report."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import edgerig
from edgerig import metrics
from edgerig.errors import FaceSetError
from reports.html import render
from tests.support import faces as small_faces
from tests.support import models


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_a_threshold_is_fitted_on_validation_faces_alone(tmp_path: Path) -> None:
    folder = small_faces.make(tmp_path / "faces", 80, splits=("val", "val", "test", "test"))
    split = {row["path"]: row["split"] for row in rows(folder / "labels.csv")}
    models.null_model(tmp_path / "models", "strict", keys={"threshold": 0.99})  # calls hardly any face fake
    run = edgerig.benchmark(
        tmp_path / "models", faces=folder, setting="quick", refit_threshold=True, out=tmp_path / "runs"
    )
    (validated,) = (run.folder / "scores").glob("*-validation.csv")
    (tested,) = set((run.folder / "scores").glob("*.csv")) - {validated}
    assert {split[row["path"]] for row in rows(validated)} == {"val"}
    assert {split[row["path"]] for row in rows(tested)} == {"test"}

    fitted = rows(validated)
    expected = metrics.balanced_threshold(
        [row["label"] == "fake" for row in fitted], [float(r["score"]) for r in fitted]
    )
    cell = run.record.cells[0]
    assert cell.value("threshold", "refitted") == expected
    before, after = cell.value("accuracy", "all"), cell.value("accuracy", "refitted")
    assert before is not None
    assert after is not None
    assert before < 0.6
    assert after > 0.8
    assert run.cells.loc[0, "refitted_accuracy"] == after
    assert f"refitted: {after:.3f}" in render(run.record)


def test_faces_without_splits_are_refused(tmp_path: Path, faces: Path) -> None:
    models.null_model(tmp_path / "models", "a")
    with pytest.raises(FaceSetError, match="has no splits"):
        edgerig.benchmark(tmp_path / "models", faces=faces, refit_threshold=True, out=tmp_path / "runs")
