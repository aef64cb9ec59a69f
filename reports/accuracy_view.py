"""The accuracy section of a report: one entry for each accuracy pass, whatever thread counts share it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.records import Cell, Counts, Metric, Outcome, Run

# Metric of scope "all" -> heading.
COLUMNS = {
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "specificity": "specificity",
    "f1": "F1",
    "auc": "AUC",
    "eer": "EER",
    "average_precision": "average precision",
    "log_loss": "log loss",
}


@dataclass(frozen=True)
class Entry:
    """A variant on a target by a runtime: its figures, in the order of COLUMNS."""

    variant: str
    where: str
    threshold: float
    faces: int
    counts: Counts | None
    metrics: list[Metric | None]
    categories: list[tuple[Metric | None, Metric | None]]  # rate and AUC of each category
    failure: str
    refitted: list[Metric | None]  # at a threshold that was fitted on validation faces, in the order of COLUMNS
    refit: Metric | None  # that threshold


@dataclass(frozen=True)
class View:
    """All entries, and the categories of the face set with "real" or "fake"."""

    entries: list[Entry]
    categories: list[tuple[str, str]]
    columns: Sequence[str] = tuple(COLUMNS.values())


def view(run: Run) -> View:
    """Return the accuracy passes of a run, each once."""
    passes = {(c.key.variant, c.key.target, c.key.runtime, c.key.provider): c for c in run.cells if c.accuracy}
    kinds = {
        m.scope: "real" if m.metric == "specificity" else "fake"
        for cell in passes.values()
        for m in cell.metrics
        if m.metric in {"specificity", "detection_rate"} and m.scope not in ("all", "refitted")
    }
    categories = sorted(kinds.items(), key=lambda item: (item[1] == "fake", item[0]))
    return View([_entry(cell, categories) for cell in passes.values()], categories)


def _entry(cell: Cell, categories: Sequence[tuple[str, str]]) -> Entry:
    assert cell.accuracy is not None
    auc = cell.metric("accuracy", "all")
    return Entry(
        variant=cell.key.variant,
        where=f"{cell.key.target}, {cell.key.runtime} {cell.key.provider}",
        threshold=cell.accuracy.threshold,
        faces=auc.n if auc else 0,
        counts=cell.accuracy.counts,
        metrics=[cell.metric(name, "all") for name in COLUMNS],
        categories=[
            (cell.metric("specificity" if kind == "real" else "detection_rate", name), cell.metric("auc", name))
            for name, kind in categories
        ],
        refitted=[cell.metric(name, "refitted") for name in COLUMNS],
        refit=cell.metric("threshold", "refitted"),
        failure="" if cell.accuracy.outcome is Outcome.OK else cell.accuracy.reason or str(cell.accuracy.outcome),
    )
