"""What each variant lost in AUC against the one that it was made of, measured on the same target in the same run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from harness.planning.plan import Plan, PlannedCell
from reports import collate
from reports.collate import Scores
from reports.records import Metric


def drops(plan: Plan, known: Mapping[str, Scores]) -> dict[str, Metric]:
    """Return the metric `auc_drop` by accuracy pass; none where no ancestor has scores of the same faces.

    Args:
        plan: of the run.
        known: the passes that have scores.
    """
    passes = {cell.scores_id: cell for cell in plan.cells if cell.scores_id in known}
    found = {}
    for name, cell in passes.items():
        parent = next((other for other in _ancestors(plan, cell, passes) if _alike(known[name], known[other])), None)
        metric = collate.auc_drop(known[name], known[parent], plan.seed) if parent else None
        if metric:
            found[name] = metric
    return found


def _ancestors(plan: Plan, cell: PlannedCell, passes: Mapping[str, PlannedCell]) -> Iterator[str]:
    """Yield the passes of a cell's ancestors on its target: the nearest first, those of its runtime before others."""
    parents = _parents(plan)
    seen, name = {cell.key.variant}, parents[cell.key.variant]
    while name and name not in seen:
        seen.add(name)
        found = [(at, other) for at, other in passes.items() if _of(other, name, cell.key.target)]
        ours = (cell.key.runtime, cell.key.provider)
        yield from (
            at for at, other in sorted(found, key=lambda one: (one[1].key.runtime, one[1].key.provider) != ours)
        )
        name = parents.get(name, "")


def _parents(plan: Plan) -> dict[str, str]:
    """Return what each variant was made of; the baseline's of its own parent, where that is measured beside it."""
    theirs = {entry.info.baseline_of: entry.info.name for entry in plan.variants if entry.info.baseline_of}
    return {
        entry.info.name: theirs.get(entry.info.parent, entry.info.parent)
        if entry.info.baseline_of
        else entry.info.parent
        for entry in plan.variants
    }


def _of(cell: PlannedCell, variant: str, target: str) -> bool:
    return (cell.key.variant, cell.key.target) == (variant, target)


def _alike(one: Scores, other: Scores) -> bool:
    """Whether two passes scored the same faces, all of them with a number."""
    same = (one.labels, one.groups, one.categories) == (other.labels, other.groups, other.categories)
    return same and bool(np.all(np.isfinite(one.scores)) and np.all(np.isfinite(other.scores)))
