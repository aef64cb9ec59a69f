"""Nights as a lab has them: measured, judged, accepted, promoted, and old ones removed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from edgerig.errors import HistoryUnusable, RunError
from harness import config, state
from harness.config import Store
from harness.findings import chronicle, collect, promotions, retention
from harness.journal import Journal
from reports.history import History, Promotion
from reports.records import Acceptance, Outcome, Run
from tests.harness.command import Workplace
from tests.support import faces, models

# Two phones on a shelf that is down, and this machine.
CONFIG = """
[targets.here]
architecture = ""
[targets.one]
extends = "x86"
architecture = ""
transport = "fake"
hub = "shelf"
faults = [{ on = "start", kind = "offline", times = 99 }]
[targets.two]
extends = "x86"
architecture = ""
transport = "fake"
hub = "shelf"
faults = [{ on = "start", kind = "offline", times = 99 }]
[runs.nightly]
variants = ["models"]
faces = "faces"
targets = ["here", "one", "two"]
setting = "quick"
missing_ok = ["one", "two"]
[store]
history = "sqlite:///lab/nights.sqlite"
"""


class Lab(NamedTuple):
    """A workplace after its first night, which nobody changes."""

    workplace: Workplace
    folder: Path
    said: dict[str, Any]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Return a lab after its first night."""
    workplace = Workplace(tmp_path_factory.mktemp("lab"))
    workplace.environment["GITHUB_STEP_SUMMARY"] = str(workplace.folder / "page.md")
    faces.make(workplace.folder / "faces", 20)
    models.null_model(workplace.folder / "models", "scripted", latency_ms=2.0, wait="sleep")
    (workplace.folder / "lab").mkdir()
    (workplace.folder / "edgerig.toml").write_text(CONFIG)
    said = workplace.json("nightly", "nightly", "--format", "junit", "--summary")
    return Lab(workplace, workplace.folder / said["folder"], said)


def findings(said: dict[str, Any]) -> list[tuple[str, int, str]]:
    return [(entry["kind"], entry["exit_code"], entry["text"]) for entry in said["night"]["findings"]]


def test_the_first_night_is_good_and_says_what_it_could_not_do(lab: Lab) -> None:
    (_, _, first), (kind, code, second) = findings(lab.said)
    assert "Nothing was compared: no run of 'nightly' is promoted yet." in first
    assert (kind, code) == ("lost", 0)
    assert second.startswith("hub 'shelf' is down, one incident: one, two are lost together")
    assert second.endswith("It may be missing (missing_ok).")
    assert lab.said["night"]["exit_code"] == 0


def test_a_night_is_in_all_that_is_written(lab: Lab) -> None:
    sentence = "The night of &#39;nightly&#39; is good."
    assert sentence in (lab.folder / "report.html").read_text()
    assert "is good" in (lab.workplace.folder / "page.md").read_text()
    assert 'errors="0"' in (lab.folder / "junit.xml").read_text()
    assert "The night of 'nightly' is good." in lab.workplace.run("show").stdout
    assert json.loads((lab.folder / "run.json").read_text())["night"]["job"] == "nightly"


def test_the_history_is_where_the_configuration_says(lab: Lab) -> None:
    (trend,) = [trend for trend in lab.workplace.json("history") if trend["target"] == "here"]
    assert trend["cell"] == "scripted/here/null/cpu/1"
    assert trend["values"][0]["value"] >= 2.0
    assert (lab.workplace.folder / "lab" / "nights.sqlite").exists()
    printed = lab.workplace.run("history", "*/one").stdout
    assert "scripted/one/null/cpu/1  (nightly)\n  no value in 1 nights" in printed
    lab.workplace.run("history", "--html", "history.html")
    assert "<svg" in (lab.workplace.folder / "history.html").read_text()


def test_a_name_of_no_night_is_not_taken_for_an_empty_history(lab: Lab) -> None:
    said = lab.workplace.run("history", "--name", "nihgtly", code=2).stderr
    assert "the history has no night of 'nihgtly'" in said
    assert "Did you mean 'nightly'?" in said


@pytest.mark.parametrize("asked", ["", '[store]\nhistory = "sqlite:///edgerig-history.sqlite?timeout=5"\n'])
def test_the_history_is_in_its_folder_whatever_that_is_called(tmp_path: Path, asked: str) -> None:
    odd = Workplace(tmp_path / "who? 100%20 #1 [é]")
    odd.folder.mkdir()
    (odd.folder / "edgerig.toml").write_text(asked)
    assert odd.json("history") == []
    assert (odd.folder / "edgerig-history.sqlite").exists()
    assert [path.name for path in tmp_path.iterdir()] == [odd.folder.name]


def test_what_is_not_there_is_refused_with_the_nearest(lab: Lab) -> None:
    assert "Did you mean 'scripted'?" in lab.workplace.run("history", "script", code=2).stderr
    told = ("--until", "2999-01-01", "--reason", "why")
    assert "Did you mean 'scripted'?" in lab.workplace.run("accept", "skripted", *told, code=2).stderr
    assert "Did you mean 'p95_ms'?" in lab.workplace.run("accept", "*", *told, "--metric", "p5_ms", code=2).stderr
    past = ("--until", "2020-01-01", "--reason", "why")
    assert "2020-01-01 is in the past" in lab.workplace.run("accept", "scripted", *past, code=2).stderr
    assert "needs a CELL, --until DATE and --reason" in lab.workplace.run("accept", "scripted", code=2).stderr


def test_an_unfinished_run_is_promoted_by_force_only(lab: Lab) -> None:
    refused = lab.workplace.run("baseline", "promote", "latest", code=2).stderr
    assert "is unfinished" in refused
    assert "--force promotes it all the same." in refused
    done = lab.workplace.json("baseline", "promote", "latest", "--force", "--reason", "the first")
    assert (done["run"], done["forced"], done["job"]) == (lab.folder.name, True, "nightly")
    (row,) = lab.workplace.json("baseline", "show")
    assert (row["state"], row["reason"], row["author"]) == ("holds", "the first", done["author"])
    space = config.load(lab.workplace.folder / "edgerig.toml")
    assert promotions.promoted(space, "nightly") == lab.folder
    with pytest.raises(RunError, match="no run is promoted as the baseline of 'smoke'"):
        promotions.promoted(space, "smoke")


def test_a_history_that_cannot_be_opened_stops_before_anything_is_measured(lab: Lab, workplace: Workplace) -> None:
    text = CONFIG.replace("sqlite:///lab/nights.sqlite", "sqlite:///nowhere/nights.sqlite")
    (workplace.folder / "edgerig.toml").write_text(text)
    assert "nights.sqlite cannot be used" in workplace.run("nightly", "nightly", code=4).stderr
    assert not (workplace.folder / "runs").exists()


# -- nights that were cut short


@pytest.fixture
def cut_short(lab: Lab, workplace: Workplace) -> Path:
    """Return the first night's folder in a workplace of its own, as if it had been stopped before it was judged."""
    return another(lab, workplace.folder / "runs", datetime(2026, 3, 1, tzinfo=UTC), 1)


def test_a_night_that_is_resumed_is_judged_and_ends_as_it(cut_short: Path, workplace: Workplace) -> None:
    (workplace.folder / "lab").mkdir()
    (workplace.folder / "edgerig.toml").write_text(CONFIG)
    said = workplace.json("resume", "latest")  # two lost devices, which may be missing: 0, not 3
    assert (said["night"]["job"], said["night"]["exit_code"]) == ("nightly", 0)
    assert [entry["run"] for entry in workplace.json("history")[0]["values"]] == [cut_short.name]
    strict = CONFIG.replace('missing_ok = ["one", "two"]', "")
    (workplace.folder / "edgerig.toml").write_text(strict)
    assert workplace.json("resume", "latest", code=3)["night"]["exit_code"] == 3


def test_a_night_that_is_resumed_elsewhere_says_what_judges_it(cut_short: Path, workplace: Workplace) -> None:
    said = workplace.run("resume", "latest", code=3).stderr
    assert "this exit code is not the night's: there is no edgerig.toml with [runs.nightly]" in said
    assert f"edgerig nightly nightly --judge runs/{cut_short.name}" in said


def test_a_night_that_the_history_could_not_keep_is_kept_by_a_resume(
    cut_short: Path, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workplace.folder / "lab").mkdir()
    (workplace.folder / "edgerig.toml").write_text(CONFIG)
    with Journal(cut_short) as book:
        book.append("finished", at="2026-03-01T00:10:00+00:00")

    def refused(*_: object) -> None:
        raise HistoryUnusable("the database is away.")

    with monkeypatch.context() as patch:
        patch.setattr(History, "add", refused)
        assert "is away" in workplace.run("resume", "latest", code=4).stderr
    assert workplace.json("resume", "latest")["night"]["exit_code"] == 0
    assert [entry["run"] for entry in workplace.json("history")[0]["values"]] == [cut_short.name]


def test_a_night_is_not_removed_at_its_own_end(cut_short: Path, workplace: Workplace, lab: Lab) -> None:
    (workplace.folder / "lab").mkdir()
    (workplace.folder / "edgerig.toml").write_text(CONFIG + "keep_runs = 1\n")
    later = another(lab, cut_short.parent, datetime(2999, 1, 1, tzinfo=UTC), 2)  # as if the clock had been set back
    workplace.run("nightly", "nightly", "--judge", cut_short)
    assert (cut_short / "journal.jsonl").exists()
    assert (later / "journal.jsonl").exists()


def test_a_run_of_another_name_is_no_night(cut_short: Path, workplace: Workplace) -> None:
    (workplace.folder / "lab").mkdir()
    (workplace.folder / "edgerig.toml").write_text(f"{CONFIG}\n[runs.weekly]\nvariants = ['models']\n")
    said = workplace.run("nightly", "weekly", "--judge", "latest", code=2).stderr
    assert f"{cut_short.name} is a run of 'nightly', and no night of 'weekly'" in said
    assert workplace.json("history") == []


# -- later nights, judged on days that are given


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(f"sqlite:///{tmp_path}/nights.sqlite")


def another(lab: Lab, runs: Path, started: datetime, number: int) -> Path:
    """Return a copy of the first night's folder as that of another night."""
    folder = runs / f"{started:%Y%m%d-%H%M%S}-nightly-{number:04}"
    folder.mkdir(parents=True)
    for name in ("frames", "scores"):
        (folder / name).symlink_to(lab.folder / name)
    first, *rest = (lab.folder / "journal.jsonl").read_text().splitlines()
    plan = json.loads(first)
    plan["plan"] |= {"id": folder.name, "started": started.isoformat(timespec="seconds")}
    kept = [line for line in rest if not line.startswith('{"event":"night"')]
    (folder / "journal.jsonl").write_text("\n".join([json.dumps(plan, separators=(",", ":")), *kept]) + "\n")
    return folder


def judged(lab: Lab, folder: Path, history: History, now: datetime) -> Run:
    table = config.load(lab.workplace.folder / "edgerig.toml").run_table("nightly")
    return chronicle.judge(folder, "nightly", table, history, now)


def test_a_device_that_may_be_missing_is_an_alarm_after_three_nights(
    lab: Lab, tmp_path: Path, history: History
) -> None:
    codes = []
    for number in range(3):
        now = datetime(2026, 3, 1 + number, 2, tzinfo=UTC)
        run = judged(lab, another(lab, tmp_path / "runs", now, number), history, now)
        codes.append(run.night.exit_code if run.night else None)
    assert codes == [0, 0, 3]
    assert run.night
    alarms = [finding.text for finding in run.night.findings if finding.level == "alarm"]
    assert alarms == [
        f"scripted/{name}/null/cpu/1 has not reported for 3 nights (never before)." for name in ("one", "two")
    ]
    silent = [cell.key for cell in run.cells if cell.outcome is Outcome.LOST]
    words = {"metric": "silent", "until": "2026-03-03", "reason": "in repair", "author": "Ann", "accepted": "2026"}
    history.accept(Acceptance(key=key, run=run.id, **words) for key in silent)
    folder = tmp_path / "runs" / run.id
    again = [judged(lab, folder, history, datetime(2026, 3, day, 8, tzinfo=UTC)).night for day in (3, 4)]
    assert [night.exit_code if night else None for night in again] == [0, 3]
    assert len(history.nights()) == 3
    assert state.read(folder).night == again[-1]
    assert collect.collect(state.read(folder), folder).night == again[-1]
    history.close()


def test_old_runs_go_and_what_was_decided_by_stays(lab: Lab, tmp_path: Path, history: History) -> None:
    now = datetime(2026, 3, 20, 2, tzinfo=UTC)
    runs = tmp_path / "runs"
    folders = [another(lab, runs, now - timedelta(days=day), day) for day in range(9, 0, -1)]
    names = [folder.name for folder in folders]
    history.promote(Promotion("nightly", names[0], str(folders[0]), "", "Ann", "2026", False))
    cell = state.read(folders[1]).plan.cells[0]
    told = {"reason": "why", "author": "Ann", "accepted": "2026"}
    history.accept(
        [
            Acceptance(key=cell.key, until="2026-03-20", run=names[1], **told),
            Acceptance(key=cell.key, until="2026-03-19", run=names[2], **told),
        ]
    )
    (folders[3] / "journal.jsonl").write_text("damaged\n")
    folders[0].rename(runs / "2026-golden")  # it stays what was promoted

    def removable(**keys: int) -> list[str]:
        return [entry.folder.name for entry in retention.removable(runs, Store(**keys), history, now)]

    with Journal(folders[4]):  # somebody is at work there
        assert removable(keep_runs=2) == [names[2], names[5], names[6]]
    assert removable() == []
    assert removable(keep_days=5) == [names[2]]
    assert removable(keep_runs=2, keep_days=3) == names[2:3] + names[4:6]
    old = retention.removable(runs, Store(keep_runs=2), history, now)
    assert retention.remove(old[0], runs) == old[0].bytes > 0
    assert not folders[2].exists()
    assert (lab.folder / "frames").is_dir()
    assert any((lab.folder / "frames").iterdir())
    history.close()


def test_cleaning_runs_asks_first(lab: Lab, workplace: Workplace) -> None:
    (workplace.folder / "edgerig.toml").write_text("[store]\nkeep_runs = 1\n")
    for day in (1, 2, 3):
        another(lab, workplace.folder / "runs", datetime(2026, 3, day, tzinfo=UTC), day)
    foreseen = workplace.json("clean", "--runs")
    assert [row["removed"] for row in foreseen] == [False, False]
    assert len(list((workplace.folder / "runs").iterdir())) == 3
    assert "Nothing was removed: --yes removes them." in workplace.run("clean", "--runs").stderr
    assert [row["removed"] for row in workplace.json("clean", "--runs", "--yes")] == [True, True]
    assert [path.name[:8] for path in (workplace.folder / "runs").iterdir()] == ["20260303"]
    assert workplace.json("clean", "--runs") == []


def test_a_run_on_some_of_the_targets_needs_not_those_that_may_be_missing(lab: Lab) -> None:
    there = lab.workplace.json("run", "nightly", "--target", "here", "--dry-run")
    assert [target["target"] for target in there["targets"]] == ["here"]
