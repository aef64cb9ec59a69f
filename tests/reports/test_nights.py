"""What a night means: what is red, what is missing, what was accepted and for how long."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from reports import nights
from reports.history import Known
from reports.nights import Facts, Silent
from reports.records import Acceptance, Cell, Comparison, Decision, Key, Night, Outcome, Run
from reports.worse import Worse

TODAY = date(2026, 1, 10)


def a_cell(variant: str, target: str, outcome: Outcome = Outcome.OK, reason: str = "") -> Cell:
    key = Key(variant=variant, target=target, runtime="onnxruntime", provider="cpu", threads=1)
    return Cell(id=f"{variant}-{target}", key=key, outcome=outcome, reason=reason)


@pytest.fixture
def lab(run: Run) -> Run:
    """Return a run of two variants on x86, pi4 and pi5, all well."""
    pi4 = run.target("pi4")
    targets = (run.target("x86"), pi4, pi4.model_copy(update={"name": "pi5"}))
    cells = tuple(a_cell(variant, target.name) for target in targets for variant in ("fp32", "int8"))
    return run.model_copy(update={"targets": targets, "cells": cells})


def without(run: Run, *lost: str) -> Run:
    """Return the run with these targets lost."""
    gone = {"outcome": Outcome.LOST, "reason": "does not answer."}
    return run.model_copy(
        update={
            "targets": tuple(t.model_copy(update=gone) if t.name in lost else t for t in run.targets),
            "cells": tuple(c.model_copy(update=gone) if c.key.target in lost else c for c in run.cells),
        }
    )


def judged(run: Run, today: date = TODAY, **facts: Any) -> Night:
    known = Facts(**{"job": "nightly", "baseline": "base", **facts})
    return nights.judge(run, known, datetime(today.year, today.month, today.day, 3, tzinfo=UTC))


def slower(cell: str = "int8-pi4", metric: str = "p50_ms") -> Worse:
    return Worse(cell, "regression", metric, f"{cell}: {metric} is 5 % slower")


def word(cell: Cell, until: str = "2026-01-31", metric: str = "", **changes: str) -> Acceptance:
    told = {"reason": "agreed", "author": "Ann", "accepted": "2026-01-01T00:00:00+00:00", **changes}
    return Acceptance(key=cell.key, until=until, metric=metric, **told)


def texts(night: Night) -> list[str]:
    return [f"{finding.level}: {finding.text}" for finding in night.findings]


def test_a_good_night(lab: Run) -> None:
    night = judged(lab)
    assert (night.exit_code, night.findings) == (0, ())
    assert nights.sentence(night) == "The night of 'nightly' is good."


def test_the_first_night_has_nothing_to_compare_with(lab: Run) -> None:
    night = judged(lab, baseline="")
    assert night.exit_code == 0
    assert texts(night)[0].startswith("note: Nothing was compared: no run of 'nightly' is promoted yet.")
    assert f"edgerig baseline promote {lab.id}" in texts(night)[0]


def test_a_regression_outranks_what_is_missing(lab: Run) -> None:
    night = judged(without(lab, "pi5"), worse=[slower()])
    assert night.exit_code == 1
    assert [finding.level for finding in night.findings] == ["red", "not ok"]
    assert nights.sentence(night) == "The night of 'nightly' is red: 1 red, 1 not ok."


def test_what_is_not_decided_or_not_confirmed_is_a_note(lab: Run) -> None:
    told = [(Decision.UNDECIDED, None), (Decision.REGRESSION, False), (Decision.SAME, None)]
    compared = tuple(
        Comparison(cell=cell.id, baseline="b", decision=decision, confirmed=confirmed)
        for cell, (decision, confirmed) in zip(lab.cells, told, strict=False)
    )
    night = judged(lab.model_copy(update={"comparisons": compared}))
    assert night.exit_code == 0
    assert texts(night) == [
        "note: int8/x86/onnxruntime/cpu/1: slower in one session, not confirmed by a second one: not red.",
        "note: 1 of 3 comparisons are undecided; the report says what would decide.",
    ]


def test_a_baseline_alone_is_nothing_measured(lab: Run) -> None:
    lost = without(lab, "x86", "pi4", "pi5")
    beside = lab.cells[0].model_copy(update={"role": "baseline", "id": "beside"})
    assert judged(lost.model_copy(update={"cells": (*lost.cells, beside)})).exit_code == 4


@pytest.mark.parametrize(
    ("lost", "missing_ok", "code"),
    [
        (("pi4",), 0, 3),
        (("pi4",), 1, 0),
        (("pi4", "pi5"), 1, 3),
        (("pi4", "pi5"), 2, 0),
        (("pi4",), ("pi4",), 0),
        (("pi5",), ("pi4",), 3),
        (("pi4", "pi5"), ("pi4",), 3),
        (("x86", "pi4", "pi5"), 3, 4),
    ],
)
def test_devices_that_may_be_missing(
    lab: Run, lost: tuple[str, ...], missing_ok: int | tuple[str, ...], code: int
) -> None:
    night = judged(without(lab, *lost), missing_ok=missing_ok)
    assert night.exit_code == code
    assert sum(finding.kind == "lost" for finding in night.findings) == len(lost)


def test_a_hub_that_is_down_is_one_incident(lab: Run) -> None:
    groups = {"pi4": "hub 'shelf'", "pi5": "hub 'shelf'", "x86": "host lab"}
    both = judged(without(lab, "pi4", "pi5"), groups=groups)
    assert texts(both) == [
        "not ok: hub 'shelf' is down, one incident: pi4, pi5 are lost together (does not answer.)",
    ]
    assert len(both.findings[0].cells) == 4
    # Two of three, or one of two, are no sign of the hub.
    three = judged(without(lab, "pi4", "pi5"), groups=groups | {"x86": "hub 'shelf'"})
    assert [finding.text.split(" is lost")[0] for finding in three.findings] == ["pi4", "pi5"]
    # An incident is excused where all that it took may be missing.
    assert judged(without(lab, "pi4", "pi5"), groups=groups, missing_ok=("pi4",)).exit_code == 3
    assert texts(judged(without(lab, "pi4"), groups=groups)) == ["not ok: pi4 is lost: does not answer."]


def test_cells_that_failed_alike_are_one_sentence(lab: Run) -> None:
    bad = {"outcome": Outcome.CRASHED, "reason": "SIGILL"}
    cells = [cell.model_copy(update=bad) if cell.key.target != "pi5" else cell for cell in lab.cells]
    cells[-1] = cells[-1].model_copy(update={"outcome": Outcome.TIMEOUT, "reason": "no end"})
    night = judged(lab.model_copy(update={"cells": tuple(cells)}))
    assert night.exit_code == 3
    assert texts(night) == [
        "not ok: 2 cells on x86: crashed, SIGILL",
        "not ok: 2 cells on pi4: crashed, SIGILL",
        "not ok: int8/pi5/onnxruntime/cpu/1: timeout, no end",
    ]


def test_unsupported_cells_are_good(lab: Run) -> None:
    cells = (lab.cells[0], lab.cells[1].model_copy(update={"outcome": Outcome.UNSUPPORTED}))
    assert judged(lab.model_copy(update={"cells": cells})).exit_code == 0


# -- what was accepted


def test_what_is_accepted_is_shown_and_not_red_until_its_day_has_passed(lab: Run) -> None:
    cell = lab.cells[3]
    accepted = [word(cell, until="2026-01-10")]
    held = judged(lab, date(2026, 1, 10), worse=[slower()], accepted=accepted)
    assert (held.exit_code, held.findings[0].kind, held.accepted) == (0, "accepted", tuple(accepted))
    assert nights.sentence(held) == "The night of 'nightly' is good. 1 accepted."
    assert "(accepted until 2026-01-10 by Ann: agreed)" in held.findings[0].text
    after = judged(lab, date(2026, 1, 11), worse=[slower()], accepted=accepted)
    assert (after.exit_code, after.findings[0].kind) == (1, "regression")
    assert after.findings[0].text.endswith("The acceptance by Ann ran out on 2026-01-10.")
    assert after.accepted == tuple(accepted)


def test_an_acceptance_holds_for_its_cell_and_figure_only(lab: Run) -> None:
    cell = lab.cells[3]
    other = slower("fp32-pi4")
    assert judged(lab, worse=[other], accepted=[word(cell)]).exit_code == 1
    assert judged(lab, worse=[slower(metric="auc")], accepted=[word(cell, metric="p50_ms")]).exit_code == 1
    assert judged(lab, worse=[slower(metric="auc")], accepted=[word(cell)]).exit_code == 0


def test_a_slower_cell_that_is_accepted_may_not_crash(lab: Run) -> None:
    crashed = lab.cells[3].model_copy(update={"outcome": Outcome.CRASHED, "reason": "SIGILL"})
    run = lab.model_copy(update={"cells": (*lab.cells[:3], crashed, *lab.cells[4:])})
    assert judged(run, accepted=[word(crashed)]).exit_code == 3
    assert judged(run, accepted=[word(crashed, metric="outcome")]).exit_code == 0


def test_the_newest_word_holds(lab: Run) -> None:
    cell = lab.cells[3]
    words = [word(cell, until="2026-12-31"), word(cell, until="2026-01-09", author="Bob")]
    night = judged(lab, worse=[slower()], accepted=words)
    assert night.exit_code == 1
    assert "The acceptance by Bob ran out on 2026-01-09." in night.findings[0].text


# -- silence


def started(day: int) -> str:
    return f"2026-01-{day:02}T01:00:00+00:00"


def known(cell: Cell, first: int, last: int | None) -> Known:
    return Known(cell.id, cell.key, started(first), started(last) if last else "")


@pytest.mark.parametrize(
    ("first", "last", "silent"), [(1, 9, None), (1, 8, None), (1, 7, 3), (1, 6, 4), (9, None, None), (8, None, 3)]
)
def test_a_cell_that_does_not_report_for_three_nights(
    lab: Run, first: int, last: int | None, silent: int | None
) -> None:
    run = without(lab, "pi4").model_copy(update={"started": started(10)})
    cell = next(cell for cell in run.cells if cell.id == "int8-pi4")
    found = nights.silent(run, [known(cell, first, last)], [started(day) for day in range(1, 10)], 3)
    assert [entry.nights for entry in found] == ([silent] if silent else [])


def test_a_cell_that_reports_again_or_crashes_is_not_silent(lab: Run) -> None:
    crashed = lab.cells[0].model_copy(update={"outcome": Outcome.CRASHED})
    run = lab.model_copy(update={"cells": (crashed, *lab.cells[1:])})
    entries = [known(cell, 1, 1) for cell in lab.cells]
    assert nights.silent(run, entries, [started(day) for day in range(1, 10)], 3) == []


def test_a_cell_that_is_no_longer_in_the_run_is_an_alarm_that_missing_ok_does_not_excuse(lab: Run) -> None:
    gone = a_cell("dropped", "pi4")
    (entry,) = nights.silent(lab, [known(gone, 1, 7)], [started(day) for day in range(1, 10)], 3)
    night = judged(lab, silent=[entry], missing_ok=3)
    assert night.exit_code == 3
    assert texts(night) == [
        "alarm: dropped/pi4/onnxruntime/cpu/1 has not reported for 3 nights (last on 2026-01-07).",
    ]
    assert judged(lab, silent=[entry], accepted=[word(gone)]).exit_code == 3
    assert judged(lab, silent=[entry], accepted=[word(gone, metric="silent")]).exit_code == 0


def test_silent_cells_of_a_target_are_one_sentence(lab: Run) -> None:
    silent = [Silent(cell.id, cell.key, 4, "") for cell in lab.cells if cell.key.target == "pi4"]
    night = judged(without(lab, "pi4"), silent=silent, missing_ok=1)
    assert texts(night)[0] == "alarm: 2 cells on pi4 have not reported for 4 nights (never before)."
    assert nights.sentence(night) == "The night of 'nightly' is incomplete: 1 alarm."
