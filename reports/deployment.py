"""`choice.json`: which files to ship to which target, and what that rests upon, for a deployment to pin.

Schema version 1. A deployment reads `choices[].files` (by sha256) where `verdict` is "chosen", and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field

from reports import choice
from reports.budgets import BUDGETS
from reports.records import BudgetCheck, Cell, Choice, Key, LeftOut, Metric, Record, Run, VariantFile, Verdict

SCHEMA_VERSION = 1


class Faces(Record):
    """The face set that accuracy was measured on."""

    name: str
    sha256: str
    images: int


class Pinned(Record):
    """What is known of a target's choice; the cell's names and files are empty where nothing is chosen."""

    target: str
    device: str
    cpu: str | None
    verdict: Literal["chosen", "undecided", "none"]
    cell: Key | None = None
    runtime_version: str = ""
    files: tuple[VariantFile, ...] = ()
    rank: str
    reason: str
    next_step: str = ""
    trust: Verdict | None = None
    budgets: tuple[BudgetCheck, ...] = ()
    evidence: tuple[Metric, ...] = ()
    between: tuple[Key, ...] = ()
    front: tuple[Key, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


class Deployment(Record):
    """The content of choice.json."""

    schema_version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    edgerig: str
    run: str
    started: str
    commit: str
    faces: Faces
    choices: tuple[Pinned, ...]

    @property
    def decided(self) -> bool:
        """Whether every target has a cell to ship."""
        return bool(self.choices) and all(pinned.verdict == "chosen" for pinned in self.choices)


def deployment(run: Run, rank: str = choice.RANK, targets: Iterable[str] | None = None) -> Deployment:
    """Return what to ship on the targets of a run, or on those that are named; arguments as of `choice.choices`."""
    return Deployment(
        edgerig=run.edgerig,
        run=run.id,
        started=run.started,
        commit=run.commit,
        faces=Faces(name=run.faces.name, sha256=run.faces.sha256, images=run.faces.images),
        choices=tuple(_pinned(run, found) for found in choice.choices(run, rank, targets)),
    )


def _pinned(run: Run, found: Choice) -> Pinned:
    target = run.target(found.target)
    keys = {cell.id: cell.key for cell in run.cells}
    chosen = run.cell(found.cell) if found.cell else None
    return Pinned(
        target=found.target,
        device=target.device,
        cpu=target.cpu,
        verdict=found.verdict,
        rank=found.rank,
        reason=found.reason,
        next_step=found.next_step,
        between=tuple(keys[id] for id in found.between),
        front=tuple(keys[id] for id in found.front),
        left_out=found.left_out,
        **(_of(run, chosen) if chosen else {}),
    )


def _of(run: Run, cell: Cell) -> dict[str, Any]:
    """Return what belongs to a chosen cell."""
    variant = run.variant(cell.key.variant)
    alone = VariantFile(name=variant.file, sha256=variant.sha256, bytes=variant.bytes)
    wanted = {(budget.metric, budget.scope) for budget in BUDGETS.values()}
    return {
        "cell": cell.key,
        "runtime_version": cell.fingerprint.runtime_version if cell.fingerprint else "",
        "files": variant.files or (alone,),
        "trust": cell.verdict,
        "budgets": tuple(check for check in run.budgets if check.cell == cell.id),
        "evidence": tuple(metric for metric in cell.metrics if (metric.metric, metric.scope) in wanted),
    }


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of choice.json."""
    return Deployment.model_json_schema()
