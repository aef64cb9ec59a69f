from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from edgerig.errors import DiskFull, OutputError, RunError
from reports import files
from reports.formats import FORMATS
from reports.records import SCHEMA_VERSION, Run

OLD = Path(__file__).parent / "data" / "run-v1.json"


def test_a_run_reads_back_as_it_was_written(run: Run, tmp_path: Path) -> None:
    written = files.write(run, tmp_path, ["json"])
    assert written == [tmp_path / "run.json"]
    assert files.read(tmp_path) == run
    assert files.read(tmp_path / "run.json") == run


def test_all_formats_write_their_files_and_no_others(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    files.write(run, folder)
    expected = {"run.json", "cells.csv", "results.csv", "agreement.csv", "report.html", "summary.md"}
    for_ci = {"job-summary.md", "junit.xml"}  # pytest-benchmark's need frame times
    assert {path.name for path in folder.iterdir()} == expected | for_ci


def test_an_unknown_format_is_a_mistake_of_the_caller(run: Run, tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        files.write(run, tmp_path, ["yaml"])


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"html"}))  # which has a test of its own
def test_formats_give_the_same_bytes_twice(run: Run, name: str) -> None:
    assert FORMATS[name](run, None) == FORMATS[name](run, None)


def test_a_folder_that_cannot_be_written_is_one_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        files.write(run, tmp_path / "file", ["json"])


def test_a_full_disk_leaves_the_old_file(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write(run.model_copy(update={"name": "before"}), tmp_path, ["json"])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull, match="disk is full"):
        files.write(run, tmp_path, ["json"])
    assert files.read(tmp_path).name == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_a_stored_run_of_schema_1_is_read() -> None:
    run = files.read(OLD)
    assert run.schema_version == 1
    assert [cell.outcome for cell in run.cells] == ["ok", "crashed", "unsupported", "ok"]
    assert run.cells[0].value("latency_p50", "end_to_end") is not None


def test_missing_runs_and_folders_are_told_apart_from_damaged_ones(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no run"):
        files.read(tmp_path)
    with pytest.raises(RunError, match="there is no run"):
        files.read(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value"),
        (b'{"schema_version": 1, "id"', "Expecting"),
        (b"\xff\xfe", "utf-8"),
        (b"[]", "no schema version"),
        (b'{"schema_version": "1"}', "no schema version"),
        (b'{"schema_version": true}', "no schema version"),
        (b'{"schema_version": 0}', "no schema version"),
        (b'{"schema_version": 1}', "id: Field required"),
        (b"[" * 100_000, "nested"),
    ],
)
def test_damaged_runs_say_what_is_wrong(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(RunError, match=f"is damaged: .*{reason}"):
        files.read(tmp_path)


def test_a_newer_schema_says_to_update(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"schema_version": SCHEMA_VERSION + 1, "surprise": 1}))
    with pytest.raises(RunError, match="has schema version 2, this edgerig reads up to 1") as caught:
        files.read(tmp_path)
    assert caught.value.hint == "update edgerig"


def test_upgrades_are_applied_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = json.loads(OLD.read_text())
    content["title"] = content.pop("name")
    (tmp_path / "run.json").write_text(json.dumps(content))
    monkeypatch.setattr(files, "SCHEMA_VERSION", 3)
    steps = {
        1: lambda old: {**old, "title": old["title"] + ", upgraded"},
        2: lambda old: {**{key: old[key] for key in old if key != "title"}, "name": old["title"]},
    }
    monkeypatch.setattr(files, "UPGRADES", steps)
    assert files.read(tmp_path).name == "stored, upgraded"


def test_unknown_keys_are_not_read_over(tmp_path: Path) -> None:
    content = json.loads(OLD.read_text()) | {"surprise": 1}
    (tmp_path / "run.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match="surprise"):
        files.read(tmp_path)
