"""A baseline measured inside the session: real agents and processes, scripted times, short rounds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import edgerig
from edgerig.errors import ConfigError, ModelError, RunError
from harness import cli, config, journal, places, state, workflow
from harness.config import RunTable, Workspace
from harness.findings import chronicle, promotions
from harness.planning import baselines, method, plan, prepare
from harness.planning.plan import Plan
from harness.progress import Progress, Silent
from reports.formats import FORMATS
from reports.records import Decision, Outcome, Run
from tests.support import faces, models

SHORT = (5, 8, 0.02, 2, 0.0)  # rounds, frames and seconds of a round, frames and seconds of its warm-up


class Place(NamedTuple):
    """A folder with old and new variants, and a short method."""

    folder: Path

    def plan(self, variants: str, baseline: str | None = None, **keys: Any) -> Plan:
        """Return the plan of variants beside a baseline."""
        space = Workspace(config.Config(targets={"here": {"architecture": ""}}), None)
        asked = {"variants": (str(self.folder / variants),), "faces": str(self.folder / "faces"), "targets": ("here",)}
        table = RunTable.model_validate({**asked, "budget_s": 20.0, "baseline": baseline, **keys})
        beside = baselines.find(baseline, self.folder / "runs") if baseline else None
        return plan.make(space, table, packs=places.packs(), baseline=beside)

    def run(self, planned: Plan, teller: Progress | None = None) -> tuple[Run, Path]:
        """Measure a plan."""
        return workflow.start(planned, self.folder / "runs", teller or Silent())


class Ledger(Silent):
    """Notes what was said to be left before each step."""

    def __init__(self) -> None:
        self.total = self.done = self.more_in_all = 0.0
        self.left: list[tuple[str, float]] = []

    def target(self, name: str, seconds: float) -> None:
        self.total = seconds

    def more(self, name: str, seconds: float) -> None:
        self.total += seconds
        self.more_in_all += seconds

    def step(self, name: str, text: str) -> None:
        self.left.append((text, self.total - self.done))

    def advance(self, name: str, seconds: float) -> None:
        self.done += seconds


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Return a folder with an old and a new build of three variants: one slower, one the same, one not in the old."""
    folder = tmp_path_factory.mktemp("baseline")
    faces.make(folder / "faces", 24, splits=("test",))
    models.null_model(folder / "old", "slow", latency_ms=1.0, wait="sleep")
    models.null_model(folder / "new", "slow", latency_ms=6.0, wait="sleep")
    models.null_model(folder / "old", "same", latency_ms=1.0)
    models.null_model(folder / "new", "same", latency_ms=1.0)
    models.null_model(folder / "new", "fresh", latency_ms=1.0, wobble=0.5)  # five rounds never know its p50
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(method._SETTINGS, "default", SHORT)
        patch.setitem(method._SETTINGS, "quick", (1, 2, 0.0, 1, 0.0))
        yield Place(folder)


class Done(NamedTuple):
    """A run beside its baseline, and what it left."""

    run: Run
    folder: Path
    events: list[dict[str, Any]]
    ledger: Ledger


@pytest.fixture(scope="module")
def done(place: Place) -> Done:
    """Return a run of the new build beside the files of a run of the old one, which are gone from where they were."""
    _, first = place.run(place.plan("old", setting="quick"))
    shutil.copytree(place.folder / "old", place.folder / "kept")
    for path in (place.folder / "old").iterdir():
        path.unlink()
    run, folder = place.run(place.plan("new", str(first)), ledger := Ledger())
    shutil.copytree(place.folder / "kept", place.folder / "old", dirs_exist_ok=True)
    return Done(run, folder, journal.read(folder), ledger)


def test_rounds_that_nobody_could_foresee_are_said_to_be_left_before_they_come(done: Done) -> None:
    again = sum(event["event"] == "again" for event in done.events)
    beyond = sum(max(0, len(cell.rounds) - SHORT[0]) for cell in done.run.cells)
    assert again
    assert beyond
    beyond += again
    assert done.ledger.more_in_all == pytest.approx(beyond * (0.6 + SHORT[2] + SHORT[4]))
    assert min(left for text, left in done.ledger.left if text.startswith("round ")) > 0


def test_the_files_of_a_run_are_measured_again_although_the_build_is_gone(done: Done) -> None:
    assert [(cell.key.variant, cell.role) for cell in done.run.cells] == [
        ("fresh", "candidate"),
        ("same", "candidate"),
        ("slow", "candidate"),
        ("slow@baseline", "baseline"),
    ]
    assert {cell.outcome for cell in done.run.cells} == {Outcome.OK}
    assert done.run.baseline is not None
    assert done.run.variant("slow@baseline").baseline_of == "slow"
    assert done.run.variant("slow@baseline").sha256 != done.run.variant("slow").sha256


def test_a_slower_candidate_is_a_regression_that_a_second_session_confirmed(done: Done) -> None:
    entry = next(one for one in done.run.comparisons if done.run.cell(one.cell).key.variant == "slow")
    assert (entry.decision, entry.confirmed, entry.red) == (Decision.REGRESSION, True, True)
    gate = entry.gate("p50")
    assert gate is not None
    assert gate.value is not None
    assert gate.value > 2
    assert entry.mdc is not None
    assert workflow.exit_code(done.run) == 1
    assert done.run.headline.startswith("Regression: slow on here, null cpu, 1 thread: p50 +")


def test_equal_files_are_not_measured_twice(done: Done) -> None:
    entry = next(one for one in done.run.comparisons if done.run.cell(one.cell).key.variant == "same")
    assert (entry.decision, entry.baseline) == (Decision.SAME, "")


def test_a_variant_without_a_baseline_is_named(done: Done) -> None:
    assert any(text.startswith("fresh is not compared") for text in done.run.warnings)


def test_rounds_of_a_pair_take_turns(done: Done) -> None:
    pair = [event["cell"] for event in done.events if event["event"] == "round" and event["cell"].startswith("slow")]
    turns = [set(pair[at : at + 2]) for at in range(0, 10, 2)]
    assert all(len(turn) == 2 for turn in turns)
    assert len({tuple(pair[at : at + 2]) for at in range(0, 10, 2)}) == 2  # now the one is first, now the other


def test_the_second_session_has_processes_and_an_agent_of_its_own(done: Done) -> None:
    kinds = [event["event"] for event in done.events]
    again = [event for event in done.events if event["event"] == "again"]
    assert {event["cell"].split("-")[0] for event in again} == {"slow", "slow_baseline"}
    assert len(again) >= 10
    assert kinds.index("target", kinds.index("target") + 1) < kinds.index("again")
    assert all((done.folder / "frames" / event["round"]["frames"]).is_file() for event in again)


def test_a_comparison_is_in_every_format(done: Done) -> None:
    written = {name: text for form in FORMATS.values() for name, text in form(done.run, None).items()}
    assert "regression" in written["summary.md"]
    assert 'id="comparison"' in written["report.html"]
    assert written["comparison.csv"].startswith("run,target,variant")
    assert "slow@baseline" in written["report.html"]


def test_collecting_again_comes_to_the_same_decisions(done: Done) -> None:
    assert workflow.render(done.folder).comparisons == done.run.comparisons


def test_a_run_that_was_cut_short_in_its_second_session_goes_on(done: Done, tmp_path: Path) -> None:
    copy = shutil.copytree(done.folder, tmp_path / done.folder.name)
    lines = (copy / journal.NAME).read_bytes().splitlines(keepends=True)
    ends = [at for at, event in enumerate(done.events) if event["event"] == "again"]
    (copy / journal.NAME).write_bytes(b"".join(lines[: ends[2]]))
    cut = workflow.render(copy)
    assert workflow.exit_code(cut) == 0
    resumed, _ = workflow.resume(copy, Silent())
    assert workflow.exit_code(resumed) == 1
    before, after = (sum(event["event"] == "round" for event in journal.read(path)) for path in (done.folder, copy))
    assert before == after


def test_two_runs_side_by_side_decide_nothing(done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    first = next(path for path in sorted(done.folder.parent.iterdir()) if path != done.folder and path.is_dir())
    page = done.folder / "side.html"
    words = [str(done.folder), str(first)]
    assert cli.main(["compare", *words]) == 2  # the first was a quick run
    assert "unlike in method" in capsys.readouterr().err
    assert cli.main(["compare", *words, "--allow", "method", "--html", str(page), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["allowed"] == ["method"]
    assert {row["key"]["variant"] for row in found["rows"]} == {"same", "slow"}
    assert "which was allowed" in page.read_text()
    assert edgerig.compare(*words, allow=["method"]).rows[0].seen == "cannot tell"  # one round is no sample
    assert cli.main(["compare", *words, "--allow", "metod"]) == 2
    assert "Did you mean 'method'?" in capsys.readouterr().err


def test_unchanged_files_are_measured_where_that_is_asked_for(place: Place) -> None:
    cells = place.plan("new", str(place.folder / "old"), measure_unchanged=True).cells
    assert [cell.key.variant for cell in cells if cell.role == "baseline"] == ["same@baseline", "slow@baseline"]
    planned = place.plan("new", str(place.folder / "old"))
    assert [cell.key.variant for cell in planned.cells if cell.same_files] == ["same"]


def test_what_a_quick_run_cannot_decide_needs_another_one(place: Place) -> None:
    run, _ = place.run(place.plan("new/slow.null", str(place.folder / "old"), setting="quick"))
    (entry,) = run.comparisons
    assert (entry.decision, entry.next_step) == (Decision.UNDECIDED, "run again without --quick")


def test_a_baseline_that_shares_no_name_is_refused(place: Place, tmp_path: Path) -> None:
    models.null_model(tmp_path / "others", "nobody")
    with pytest.raises(ConfigError, match="no variant of the baseline"):
        place.plan("new", str(tmp_path / "others"))


def test_a_baseline_that_is_nowhere_is_refused(place: Place) -> None:
    with pytest.raises(RunError, match="there is no run 'nowhere'"):
        place.plan("new", "nowhere")


def test_the_promoted_run_is_measured_beside_the_next_one(place: Place, done: Done) -> None:
    space = Workspace(config.Config(targets={"here": {"architecture": ""}}), None)
    keys = {"variants": (str(place.folder / "new"),), "faces": str(place.folder / "faces"), "targets": ("here",)}
    table, runs = RunTable.model_validate({**keys, "baseline": "promoted"}), done.folder.parent
    with pytest.raises(RunError, match="no run is promoted"):
        prepare.prepared(space, table, runs)
    with chronicle.open_history(space, runs) as history:
        promotions.promote(history, done.folder, "the test says so", force=True)
    planned = prepare.prepared(space, table, runs)
    assert planned.baseline is not None
    assert planned.baseline.run == done.run.id
    # Its own baseline's variants are no part of it, and its candidates are the files of today.
    assert {cell.key.variant for cell in planned.cells if cell.same_files} == {"fresh", "same", "slow"}


def test_a_baseline_whose_files_are_gone_and_not_kept_is_refused(
    done: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = state.read(done.folder).plan
    slow = planned.variant("slow").files[0].path
    monkeypatch.setattr(places, "models", lambda: tmp_path / "none")
    content = slow.read_bytes()
    slow.write_bytes(content + b" ")
    try:
        with pytest.raises(ModelError, match="gone or has changed since run"):
            baselines.of_run(done.folder, "run")
    finally:
        slow.write_bytes(content)


def test_kept_files_make_room_for_new_ones(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "models", lambda: tmp_path / "models")
    monkeypatch.setattr(baselines, "KEEP_BYTES", 60)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "ancient").write_bytes(bytes(100))
    baselines.keep(place.plan("old", setting="quick"))
    kept = {path.name for path in (tmp_path / "models").iterdir()}
    assert "ancient" not in kept
    assert len(kept) == 2
