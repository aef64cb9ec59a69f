"""Time that is bounded, and races: who is measured, who waits, who drops out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edgerig.errors import ConfigError
from harness import state
from harness.config import Config, RunTable, Workspace
from harness.measuring import race, schedule
from harness.measuring.race import Runner
from harness.measuring.schedule import Schedule
from harness.planning import plan
from harness.planning.plan import Plan
from reports import taint
from tests.harness.command import Workplace
from tests.support import faces, models

NOW = datetime(2026, 3, 1, 22, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "after"),
    [("45m", timedelta(minutes=45)), ("2h", timedelta(hours=2)), ("2026-03-02T06:30+00:00", timedelta(hours=8.5))],
)
def test_a_time_to_finish_by(text: str, after: timedelta) -> None:
    assert schedule.moment(text, NOW) == NOW + after


def test_a_time_of_the_clock_is_the_next_such_time() -> None:
    found = schedule.moment("06:30", NOW)
    assert timedelta(0) < found - NOW <= timedelta(days=1)
    here = found.astimezone()
    assert (here.hour, here.minute) == (6, 30)


@pytest.mark.parametrize("text", ["tomorrow", "25:00", "2020-01-01", "h"])
def test_a_time_that_is_none_or_has_passed(text: str) -> None:
    with pytest.raises(ConfigError, match="finish_by"):
        schedule.moment(text, NOW)


@pytest.fixture
def planned(tmp_path: Path) -> Plan:
    """Return a plan of three cells."""
    for name in ("a", "b", "c"):
        models.null_model(tmp_path / "models", name)
    faces.make(tmp_path / "faces", 8)
    table = RunTable(variants=(str(tmp_path / "models"),), faces=str(tmp_path / "faces"), setting="quick")
    return plan.make(Workspace(Config(), None), table, packs=tmp_path / "packs")


def names(wave: list[Any]) -> list[str]:
    return [cell.key.variant for cell in wave]


def test_what_waits_for_the_longest_time_comes_first(planned: Plan) -> None:
    a, b, c = (cell.id for cell in planned.cells)
    known = state.of(planned.model_copy(update={"order": (c, a, b)}))
    one = Schedule(known, "x86", 0.0, clock=lambda: 0.0).seconds(planned.cells[0])
    now = 0.0
    slots = Schedule(known, "x86", 2.5 * one, clock=lambda: now)
    waves = slots.waves()
    assert names(next(waves)) == ["c", "a"]
    assert names(slots.left) == ["b"]
    assert not slots.spare([0.1])  # the fewest rounds of b come before more rounds of a
    assert names(next(waves)) == ["b"]  # the others were faster than foreseen
    assert slots.spare([0.1 * one])
    assert not slots.spare([9.9 * one])
    now = 3 * one
    assert slots.over
    assert list(waves) == []


def test_without_a_bound_all_cells_are_one_wave(planned: Plan) -> None:
    slots = Schedule(state.of(planned), "x86")
    assert [names(wave) for wave in slots.waves()] == [["a", "b", "c"]]
    assert slots.spare([1e9])
    assert not slots.over


def test_targets_on_one_device_share_the_time(planned: Plan) -> None:
    bound = planned.model_copy(update={"finish_by": (NOW + timedelta(seconds=90)).isoformat()})
    assert schedule.share(bound, ["x", "y", "z"], "x", NOW) == 30.0
    assert schedule.share(bound, ["x", "y", "z"], "z", NOW + timedelta(seconds=40)) == 50.0
    assert schedule.share(planned, ["x"], "x", NOW) is None


def runner(name: str, ms: float, auc: float | None = 0.9, size: int = 100, wobble: float = 0.001) -> Runner:
    medians = {(1, number): ms * (1 + wobble * (number % 3)) for number in range(1, 5)}
    return Runner(name, name, medians, auc, size)


def test_who_is_beaten_in_everything_drops_out() -> None:
    found = list(race.beaten([runner("slow", 2.0), runner("fast", 1.0)]))
    assert found == [("slow", "out of the race after 4 rounds: fast is faster, no larger and no worse")]


@pytest.mark.parametrize(
    "other",
    [
        runner("smaller", 2.0, size=99),
        runner("better", 2.0, auc=0.91),
        runner("unknown", 2.0, auc=None),
        runner("as fast", 1.0),
        runner("noisy", 1.05, wobble=0.3),
    ],
)
def test_who_is_ahead_in_something_stays(other: Runner) -> None:
    assert list(race.beaten([runner("fast", 1.0), other])) == []


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({}, ""),
        ({"p50_ms": 2.5, "size_mb": 1.0}, ""),
        ({"p95_ms": 1.9}, "its p50 alone breaks the budget p95_ms <= 1.9"),
        ({"size_mb": 0.00005}, "its size breaks the budget size_mb <= 5e-05"),
    ],
)
def test_who_is_surely_over_budget_drops_out(limits: dict[str, float], reason: str) -> None:
    told = dict(race.over_budget([runner("net", 2.0)], limits))
    assert told == ({"net": f"out of the race after 4 rounds: {reason}"} if reason else {})
    assert dict(race.over_budget([runner("net", 2.0, wobble=0.5)], {"p95_ms": 1.9})) == {}


def test_a_race_and_a_bound_in_a_run(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taint, "SHARED", 2.0)  # however busy this machine is, its rounds count
    faces.make(workplace.folder / "faces", 8)
    for name, ms in (("fast", 1.0), ("slow", 30.0)):  # a busy machine's noise of some ms decides nothing
        models.null_model(workplace.folder / "models", name, latency_ms=ms, wait="sleep", scores=[0.2, 0.9])
    (workplace.folder / "edgerig.toml").write_text('[targets.here]\narchitecture = ""\n')
    words = ("run", "--variants", "models", "--faces", "faces", "--target", "here", "--budget", "1", "--race")
    workplace.settings = {"default": (5, 8, 0.0, 2, 0.0), "quick": (2, 8, 0.0, 2, 0.0)}
    run = workplace.json(*words)
    fast, slow = sorted(run["cells"], key=lambda cell: str(cell["key"]["variant"]))
    assert len(slow["rounds"]) == 3 < len(fast["rounds"])
    assert (slow["outcome"], slow["verdict"]["reason"]) == (
        "ok",
        "out of the race after 3 rounds: fast is faster, no larger and no worse",
    )
    bounded = workplace.json(*words, "--quick", "--finish-by", "1s", code=4)
    assert {cell["outcome"] for cell in bounded["cells"]} == {"skipped"}
    assert "there was no time" in bounded["cells"][0]["reason"]
    again = workplace.json("resume", "latest")
    assert {cell["outcome"] for cell in again["cells"]} == {"ok"}
