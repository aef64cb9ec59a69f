"""Runs in which several things happen at once: what was left out is not forgotten, and what failed is said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import state, workflow
from harness.config import Config, RunTable, Workspace
from harness.findings.drops import drops
from harness.measuring import pairs
from harness.measuring.schedule import Schedule
from harness.planning import baselines, plan
from harness.planning.plan import Plan
from harness.state import State
from reports.collate import Scores
from reports.records import Outcome, Round
from tests.reports.synthetic import a_run
from tests.support import faces, models

IDENTITY: dict[str, Any] = {
    "agent_sha256": "0" * 64,
    "python": "3.11.2",
    "python_executable": "python3",
    "machine": "x86_64",
    "system": "Linux",
    "kernel": "6",
    "os": "",
    "libc": "",
    "hostname": "h",
    "cpu": None,
    "cores": 2,
    "memory_mb": None,
}


@pytest.fixture
def known(tmp_path: Path) -> State:
    """Return the state of a plan of two cells that nothing was measured of."""
    for name in ("a", "b"):
        models.null_model(tmp_path / "models", name)
    faces.make(tmp_path / "faces", 8)
    table = RunTable(variants=(str(tmp_path / "models"),), faces=str(tmp_path / "faces"))
    return state.of(plan.make(Workspace(Config(), None), table, packs=tmp_path / "packs"))


def paired(planned: Plan) -> Plan:
    """Return a plan whose second cell is the baseline of the first."""
    first, second = planned.cells
    cells = (first.model_copy(update={"against": second.id}), second.model_copy(update={"role": "baseline"}))
    return planned.model_copy(update={"cells": cells})


def reached(known: State, again: bool = False) -> None:
    known.add({"event": "target", "target": "x86", "identity": IDENTITY, "again": again})


def test_a_second_session_does_not_forget_what_was_left_out(known: State) -> None:
    cell = known.plan.cells[0].id
    reached(known)
    known.add({"event": "skipped", "cell": cell, "reason": "no time"})
    reached(known, again=True)
    assert known.skipped == {cell: "no time"}
    reached(known)
    assert known.skipped == {}
    assert known.visits == {"x86": 3}


def test_rounds_of_two_visits_are_no_pairs(known: State, tmp_path: Path) -> None:
    entries = [Round(number=1, visit=visit, outcome=Outcome.OK, started="", seconds=1.0) for visit in (1, 2)]
    assert [entry.place for entry in entries] == [(1, 1), (2, 1)]
    assert pairs.rounds(tmp_path, entries).p50 == {}


def measured(known: State, folder: Path, event: str, number: int, ms: Sequence[float]) -> None:
    """Add a round of each cell, of so many milliseconds a frame, that took 15 seconds."""
    (folder / "frames").mkdir(exist_ok=True)
    for cell, each in zip(known.plan.cells, ms, strict=True):
        name = f"{cell.id}-{event}{number}.npy"
        np.save(folder / "frames" / name, np.full((64, 5), int(each * 1e6 * (1 + number / 1000)), np.int64))
        content = {"number": number, "visit": 1, "outcome": "ok", "started": "", "seconds": 15.0, "frames": name}
        known.add({"event": event, "cell": cell.id, "round": content})


def test_a_second_session_has_the_pairs_of_the_first_look_however_slow_its_rounds_are(
    known: State, tmp_path: Path
) -> None:
    known.plan = paired(known.plan)
    for number in range(1, 6):
        measured(known, tmp_path, "round", number, (150.0, 100.0))
    [flagged] = pairs.flagged(known, tmp_path, "x86")
    assert known.plan.method.budget_s < 5 * 15.0
    taken = 0
    while wanting := pairs.unsettled(known, tmp_path, [flagged]):
        assert wanting == {cell.id for cell in flagged.cells}
        measured(known, tmp_path, "again", taken := taken + 1, (101.0, 100.0))  # undecided, so that no look ends it
    assert taken == 5


def test_what_a_baseline_lost_is_held_against_its_own_parent(tmp_path: Path) -> None:
    for build, ms in (("old", 1.0), ("new", 2.0)):
        models.null_model(tmp_path / build, "whole", latency_ms=ms)
        models.null_model(tmp_path / build, "small", latency_ms=ms, keys={"parent": "whole"})
    faces.make(tmp_path / "faces", 40)
    table = RunTable(variants=(str(tmp_path / "new"),), faces=str(tmp_path / "faces"))
    beside = baselines.find(str(tmp_path / "old"), tmp_path)
    planned = plan.make(Workspace(Config(), None), table, packs=tmp_path / "packs", baseline=beside)
    labels = [0, 1] * 20
    good, bad = [float(label) for label in labels], [1.0 - label for label in labels]
    answers = {"whole": bad, "whole@baseline": good, "small": good, "small@baseline": good}
    known = {
        cell.scores_id: Scores(labels=labels, categories=["x"] * 40, scores=answers[cell.key.variant], groups=[""] * 40)
        for cell in planned.cells
    }
    lost = {
        cell.key.variant: found.value for cell in planned.cells if (found := drops(planned, known).get(cell.scores_id))
    }
    assert lost == {"small": -1.0, "small@baseline": 0.0}


def test_a_baseline_whose_candidate_failed_is_measured_all_the_same(known: State) -> None:
    known.plan = paired(known.plan)
    candidate, baseline = known.plan.cells
    known.add({"event": "check", "cell": candidate.id, "outcome": "crashed", "reason": "signal 11"})
    slots = Schedule(known, "x86", 1e9, clock=lambda: 0.0)
    assert [[cell.id for cell in wave] for wave in slots.waves()] == [[baseline.id]]
    assert slots.left == []


def test_a_lost_device_is_no_good_run_although_its_cells_are_done() -> None:
    run, _ = a_run()
    good = [cell for cell in run.cells if cell.outcome is Outcome.OK]
    assert workflow.exit_code(run.model_copy(update={"cells": tuple(good)})) == 0
    target = run.targets[0].model_copy(update={"outcome": Outcome.LOST})
    lost = run.model_copy(update={"cells": tuple(good), "targets": (target, *run.targets[1:])})
    assert workflow.exit_code(lost) == 3
