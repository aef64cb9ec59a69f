"""What the cells of a run say beside those of their baseline: the material of `reports.comparison`, read from a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.measuring import pairs
from harness.measuring.pairs import Pair
from harness.planning.plan import PlannedCell
from harness.state import State
from reports import comparison
from reports.comparison import Rounds, Side
from reports.paired import Scored
from reports.records import Cell, Comparison, Outcome

Cells = Mapping[str, Cell]  # by id
Scores = Mapping[str, Sequence[Mapping[str, str]]]  # rows of the files of scores, by accuracy pass


def compared(state: State, folder: Path, cells: Cells, scores: Scores) -> tuple[Comparison, ...]:
    """Return a comparison for each cell that has a baseline, in the plan's order.

    Args:
        state: of the run.
        folder: of the run.
        cells: what was collected of them.
        scores: of their accuracy passes.
    """
    plan = state.plan
    known = {pair.candidate.id: pair for target in plan.targets for pair in pairs.on(plan, target.name)}
    found = {
        cell.id: comparison.unchanged(cell.id)
        if cell.same_files
        else _first(state, folder, cells, scores, known[cell.id])
        for cell in plan.cells
        if cell.same_files or cell.id in known
    }
    again = dict(_again(state, folder, known))
    settled = comparison.settled(list(found.values()), again, plan.gates)
    return tuple(_decidable(entry) for entry in settled) if plan.method.setting == "quick" else tuple(settled)


def _decidable(entry: Comparison) -> Comparison:
    """Return a comparison of a quick run, which has neither more rounds nor a second session, whatever its budget."""
    able = entry.gates and entry.next_step
    return entry.model_copy(update={"next_step": "run again without --quick"}) if able else entry


def _first(state: State, folder: Path, cells: Cells, scores: Scores, pair: Pair) -> Comparison:
    mine, theirs = (_side(state, folder, cells[cell.id], cell, scores.get(cell.scores_id, ())) for cell in pair.cells)
    return comparison.compare(mine, theirs, state.plan.gates, state.plan.seed)


def _again(state: State, folder: Path, known: Mapping[str, Pair]) -> Iterator[tuple[str, tuple[Rounds, Rounds]]]:
    for name, pair in known.items():
        mine, theirs = (state.paired(cell, again=True) for cell in pair.cells)
        if mine and theirs:
            yield name, (pairs.rounds(folder, mine), pairs.rounds(folder, theirs))


def _side(state: State, folder: Path, cell: Cell, planned: PlannedCell, rows: Sequence[Mapping[str, str]]) -> Side:
    bad = cell.outcome is not Outcome.OK
    target = next(target for target in state.plan.targets if target.name == cell.key.target)
    return Side(
        cell=cell.id,
        bytes=state.plan.variant(cell.key.variant).info.bytes,
        emulated=target.settings.emulated,
        rounds=pairs.rounds(folder, state.paired(planned)),
        scored=None if bad or not rows else _scored(rows, cell),
        instructions=cell.value("instructions", "inference"),
        trouble=f"{cell.outcome}{': ' + cell.reason if cell.reason else ''}" if bad else "",
    )


def _scored(rows: Sequence[Mapping[str, str]], cell: Cell) -> Scored:
    return Scored(
        paths=[row["path"] for row in rows],
        labels=[int(row["label"] == "fake") for row in rows],
        groups=[row["group"] for row in rows],
        scores=[float(row["score"]) for row in rows],
        threshold=cell.accuracy.threshold if cell.accuracy else 0.5,
    )
