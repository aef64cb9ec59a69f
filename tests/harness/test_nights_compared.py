"""Nights beside a baseline: a model gets slower, that is red, is accepted, and is red again when its day has passed."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from harness import cli, config
from harness.findings import chronicle
from harness.planning import method
from reports.formats import FORMATS
from tests.support import faces, models

# Rounds, frames and seconds of a round, frames and seconds of its warm-up: few, and so far apart in what they take that
# a busy machine's noise of some ms decides nothing.
SHORT = (5, 4, 0.0, 1, 0.0)
OLD_MS, NEW_MS = 5.0, 50.0
CONFIG = """
[targets.here]
architecture = ""
[runs.nightly]
variants = ["models"]
faces = "faces"
targets = ["here"]
budget_s = 40.0
setting = "SETTING"
"""


class Lab:
    """A folder where nights are run in this process, with short rounds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        faces.make(folder / "faces", 24, splits=("test",))

    def night(self, latency_ms: float, setting: str) -> int:
        """Build the model anew, run a night and return its exit code."""
        models.null_model(self.folder / "models", "scripted", latency_ms=latency_ms, wait="sleep")
        (self.folder / "edgerig.toml").write_text(CONFIG.replace("SETTING", setting))
        return self.run("nightly", "nightly")

    def run(self, *words: str) -> int:
        """Run a command and return its exit code."""
        return cli.main([*words, "--config", str(self.folder / "edgerig.toml")])

    def latest(self) -> dict[str, Any]:
        """Return the latest run."""
        path = max(self.folder.glob("runs/*/run.json"))
        return {"folder": path.parent, **json.loads(path.read_text())}


class Season(NamedTuple):
    """What some nights left."""

    lab: Lab
    codes: list[int]
    first: dict[str, Any]
    red: dict[str, Any]


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Season]:
    """Return a good night that was promoted, and one with a model that takes ten times as long."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(method._SETTINGS, "default", SHORT)
        patch.setitem(method._SETTINGS, "quick", (1, 2, 0.0, 1, 0.0))
        lab = Lab(tmp_path_factory.mktemp("season"))
        codes = [lab.night(OLD_MS, "quick"), lab.run("baseline", "promote", "latest", "--reason", "release 1")]
        first = lab.latest()
        codes.append(lab.night(NEW_MS, "default"))
        yield Season(lab, codes, first, lab.latest())
    signal.signal(signal.SIGTERM, before)


def findings(run: dict[str, Any]) -> list[tuple[str, int]]:
    return [(entry["kind"], entry["exit_code"]) for entry in run["night"]["findings"]]


def test_a_slow_down_is_red_and_the_first_night_is_not(season: Season) -> None:
    assert season.codes == [0, 0, 1]
    assert findings(season.first) == [("baseline", 0)]
    assert ("regression", 1) in findings(season.red)
    (finding,) = [entry for entry in season.red["night"]["findings"] if entry["exit_code"]]
    assert finding["metric"] == "p50_ms"
    assert "scripted" in finding["text"]
    assert season.red["night"]["baseline"] == season.first["id"]


def test_the_history_keeps_one_line_for_both_builds(season: Season, capsys: pytest.CaptureFixture[str]) -> None:
    assert season.lab.run("history", "scripted", "--json") == 0
    (trend,) = json.loads(capsys.readouterr().out)
    assert [value["verdict"] for value in trend["values"]] == ["", "regression"]
    assert [change["what"] for change in trend["values"][1]["changes"]] == ["model"]
    assert season.lab.run("history", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) == 1  # what was measured beside them is no cell of its own


def test_a_red_run_is_no_baseline(season: Season, capsys: pytest.CaptureFixture[str]) -> None:
    assert season.lab.run("baseline", "promote", season.red["id"]) == 2
    assert "ended with exit code 1" in capsys.readouterr().err


def test_accepted_until_its_day_has_passed(season: Season) -> None:
    lab, until = season.lab, datetime.now(UTC).date() + timedelta(days=30)
    why = ("--reason", "the new decoder", "--metric", "p50_ms")
    assert lab.run("accept", "scripted", "--until", until.isoformat(), *why) == 0
    assert lab.run("nightly", "nightly", "--judge", season.red["id"], "--format", "junit,markdown") == 0
    again = lab.latest()
    assert ("accepted", 0) in findings(again)
    assert season.red["headline"].startswith("Regression: scripted on ")
    assert not again["headline"].startswith("Regression")
    assert f"Accepted until {until.isoformat()}: scripted on " in again["headline"]
    (word,) = again["night"]["accepted"]
    assert (word["reason"], word["until"], word["run"]) == ("the new decoder", until.isoformat(), season.red["id"])
    assert word["author"]
    folder = again["folder"]
    assert "the new decoder" in (folder / "report.html").read_text()
    assert "the new decoder" in (folder / "summary.md").read_text()
    assert 'failures="0"' in (folder / "junit.xml").read_text()

    space = config.load(lab.folder / "edgerig.toml")
    after = datetime(until.year, until.month, until.day, 12, tzinfo=UTC) + timedelta(days=1)
    with chronicle.open_history(space, lab.folder / "runs") as history:
        run = chronicle.judge(folder, "nightly", space.run_table("nightly"), history, after)
    assert run.night is not None
    assert run.night.exit_code == 1
    (red,) = [finding.text for finding in run.night.findings if finding.level == "red"]
    assert red.endswith(f" ran out on {until}.")
    assert 'failures="1"' in FORMATS["junit"](run, None)["junit.xml"]
