"""Budgets and the choice from the command line to choice.json, on scripted models whose answer is known."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

import edgerig
from edgerig.errors import ModelError, RunError, UserError
from harness.commands.pick import pick
from harness.findings import choosing
from tests.harness.command import Workplace
from tests.support import models

SCHEMA = Path(__file__).parents[2] / "docs" / "schema" / "choice.json"
RUN = ("run", "--variants", "models", "--quick")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, faces: Path) -> Iterator[Workplace]:
    """Return a workplace with one run of two scripted models, one far faster, that broke one budget."""
    workplace = Workplace(tmp_path_factory.mktemp("pick"))
    models.null_model(workplace.folder / "models", "teacher", latency_ms=30.0)
    models.null_model(workplace.folder / "models", "student", latency_ms=1.0, keys={"parent": "teacher"})
    limits = ("--require", "peak_mb<=100000", "--require", "auc_drop<=.9", "--require", "x86:size_mb<=0.000001")
    workplace.run(*RUN, "--faces", faces, *limits, code=1)
    yield workplace
    workplace.wait_for_no_agents()


def test_a_broken_budget_ends_with_1_and_stands_in_all_files(bench: Workplace) -> None:
    folder = next(bench.folder.glob("runs/*"))
    run = json.loads((folder / "run.json").read_text())
    verdicts = {(check["budget"], check["verdict"]) for check in run["budgets"]}
    assert verdicts == {("peak_mb", "met"), ("auc_drop", "met"), ("size_mb", "broken")}
    assert sum(check["budget"] == "auc_drop" for check in run["budgets"]) == 1  # the teacher was made of nothing
    assert (folder / "budgets.csv").read_text().count(",broken,") == 2
    assert "Budget broken: size_mb of " in run["headline"]
    assert "nothing to ship" in bench.run("pick", code=1).stdout


def as_if(journal: Path, copy: Path) -> None:
    """Copy a run as if size had not been limited, two rounds were no quick run, and nothing else had been at work."""
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    del events[0]["plan"]["budgets"]["x86"]["size_mb"]
    events[0]["plan"]["method"] |= {"setting": "default", "round_frames": 1}
    for event in events:
        if event["event"] == "round":
            event["round"] |= {"vitals": [], "waited_share": None, "stolen_share": None}
    copy.mkdir(parents=True)
    for name in ("frames", "scores"):
        (copy / name).symlink_to(journal.parent / name)
    (copy / "journal.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))


def test_the_faster_one_is_chosen_and_pinned(bench: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    as_if(next(bench.folder.glob("runs/*/journal.jsonl")), bench.folder / "again" / "r")
    done = bench.run("pick", "again/r", "--write", "choice.json")
    assert done.stdout.startswith("x86: ship student on x86, null cpu, 1 thread: the best of 2 by p50_ms")
    pinned = json.loads((bench.folder / "choice.json").read_text())
    assert list(Draft202012Validator(json.loads(SCHEMA.read_text())).iter_errors(pinned)) == []
    monkeypatch.chdir(bench.folder)
    choice = Path("choice.json")
    student, teacher = Path("models/student.null"), Path("models/teacher.null")
    assert choosing.verify(choice, [student]) == {student: "student.null"}
    assert bench.json("pick", "--verify", choice, student) == [{"file": str(student), "is": "student.null"}]
    with pytest.raises(ModelError, match=r"models/teacher.null is none of the files that choice.json chooses"):
        choosing.verify(choice, [student, teacher])
    found = edgerig.pick("again/r", rank="size_mb")
    assert found.choices[0].cell is not None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rank", "size"), "Did you mean 'size_mb'?"),
        (("--target", "x68"), "Did you mean 'x86'?"),
        (("--verify", "nothing.json", "a"), "there is no choice at nothing.json"),
    ],
)
def test_what_is_not_there_is_refused(
    bench: Workplace, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(bench.folder)
    error = CliRunner().invoke(pick, words).exception
    assert isinstance(error, UserError)
    assert said in f"{error.message} {error.hint}"


def test_a_damaged_choice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "choice.json").write_text('{"schema_version": 1}')
    with pytest.raises(RunError, match="is no choice of edgerig"):
        choosing.read(tmp_path / "choice.json")
