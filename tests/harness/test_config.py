"""edgerig.toml: found like pyproject.toml, relative to its own folder, refused with the key and the nearest match."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgerig.errors import ConfigError
from harness import config
from harness.config import RunTable, Workspace


def written(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "edgerig.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(folder: Path, text: str) -> tuple[str, str]:
    with pytest.raises(ConfigError) as caught:
        config.load(written(folder, text))
    return caught.value.message.removeprefix(f"{folder}/edgerig.toml: "), caught.value.hint


def test_the_nearest_file_above_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "")
    near = written(tmp_path / "lab", "[store]\nfolder = 'nights'\n")
    below = tmp_path / "lab" / "a" / "b"
    below.mkdir(parents=True)
    assert config.find(below) == near
    monkeypatch.chdir(below)
    assert config.load(None).runs_folder == tmp_path / "lab" / "nights"


def test_a_folder_of_that_name_is_no_file(tmp_path: Path) -> None:
    near = written(tmp_path, "")
    (tmp_path / "a" / "edgerig.toml").mkdir(parents=True)
    assert config.find(tmp_path / "a") == near


def test_without_a_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config, "find", lambda start: None)
    workspace = config.load(None)
    assert workspace.path is None
    assert workspace.run_table(None) == RunTable()
    assert workspace.runs_folder == Path("runs")
    assert workspace.target("x86").settings.transport == "local"


def test_a_named_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no file"):
        config.load(tmp_path / "edgerig.toml")


def workspace(folder: Path, run: str) -> Workspace:
    return config.load(written(folder, f"[runs.nightly]\n{run}\n"))


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    table = workspace(tmp_path, 'variants = ["models", "teacher"]\nfaces = "faces"').run_table("nightly")
    assert table.variants == (str(tmp_path / "models"), "teacher")  # a name of a shipped variant stays one
    assert table.faces == str(tmp_path / "faces")


def test_absolute_paths_stay(tmp_path: Path) -> None:
    table = workspace(tmp_path, 'faces = "/data/faces"').run_table("nightly")
    assert table.faces == "/data/faces"


def test_an_unknown_run_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no run 'nigthly'") as caught:
        workspace(tmp_path, "").run_table("nigthly")
    assert caught.value.hint == "Did you mean 'nightly'?"


def test_a_run_where_there_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        config.load(written(tmp_path, "")).run_table("nightly")
    assert caught.value.hint.endswith("edgerig.toml has no runs.")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[run.a]\n", "unknown key 'run'.", "Did you mean 'runs'?"),
        ("[runs.a]\nthread = [1]\n", "unknown key 'runs.a.thread'.", "Did you mean 'threads'?"),
        ("[store]\nfoldr = 'x'\n", "unknown key 'store.foldr'.", "Did you mean 'folder'?"),
        ("[runs.a]\nzzz = 1\n", "unknown key 'runs.a.zzz'.", "Known here: baseline"),
        ("[runs.a]\nthreads = [0]\n", "'runs.a.threads.0': input should be greater than or equal to 1, not 0.", ""),
        ("[runs.a]\nthreads = 1\n", "'runs.a.threads': input should be a valid tuple, not 1.", ""),
        ("[runs.a]\nbudget_s = inf\n", "'runs.a.budget_s': input should be a finite number, not inf.", ""),
        ("[runs.a]\nsetting = 'slow'\n", "'runs.a.setting': input should be 'default', 'quick' or 'full'", ""),
        ("[targets.a]\nemulatd = true\n", "targets.a: unknown key 'emulatd'.", "Did you mean 'emulated'?"),
        ("[targets.a.set]\ngovernr = ''\n", "targets.a: unknown key 'set.governr'.", "Did you mean 'governor'?"),
        ("[runs.faces]\nthread = [1]\n", "unknown key 'runs.faces.thread'.", "Did you mean 'threads'?"),
        ("[targets.a]\nextends = 'x68'\n", "targets.a extends 'x68', which is no profile.", "Did you mean 'x86'?"),
        ("[targets.'a b']\n", "targets: 'name': string should match pattern", ""),
    ],
)
def test_what_is_wrong_is_named_when_the_file_is_read(tmp_path: Path, text: str, message: str, hint: str) -> None:
    said, advice = refused(tmp_path, text)
    assert said.startswith(message)
    assert advice.startswith(hint)


LAB = """
[targets.one]
tags = ["lab"]
[targets.two]
tags = ["lab", "two"]
[targets.lab2]
"""


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("lab",), ["one", "two"]),
        (("lab", "two"), ["one", "two"]),  # the target two, not those with the tag of that name; each once
        (("two",), ["two"]),
        (("x86", "lab"), ["x86", "one", "two"]),
    ],
)
def test_a_tag_stands_for_all_targets_that_have_it(tmp_path: Path, words: tuple[str, ...], names: list[str]) -> None:
    space = config.load(written(tmp_path, LAB + "[targets.three]\ntags = ['two']\n"))
    assert [target.name for target in space.targets(words)] == names


def test_what_is_neither_a_target_nor_a_tag_is_refused_with_the_nearest(tmp_path: Path) -> None:
    space = config.load(written(tmp_path, LAB.replace('"lab"', '"rack"')))
    with pytest.raises(ConfigError, match="there is no target 'rakc'") as caught:
        space.targets(("rakc",))
    assert caught.value.hint == "Did you mean 'rack'?"


def test_devices_that_may_be_missing_are_held_against_the_targets_of_their_run(tmp_path: Path) -> None:
    run = "[runs.a]\ntargets = ['lab']\nmissing_ok = ['{}']\n"
    assert config.load(written(tmp_path, LAB + run.format("one"))).run_table("a").missing_ok == ("one",)
    assert config.load(written(tmp_path, LAB + run.format("lab"))).run_table("a").missing_ok == ("one", "two")
    said, _ = refused(tmp_path, LAB + run.format("lab2"))
    assert said == "runs.a: missing_ok names 'lab2', which is not among the targets of the run."


def test_no_toml_is_told_with_line_and_column(tmp_path: Path) -> None:
    said, _ = refused(tmp_path, "[runs\n")
    assert "is not valid TOML" in said
    assert "line 1" in said


def test_configured_targets_come_before_the_shipped(tmp_path: Path) -> None:
    names = config.load(written(tmp_path, "[targets.bench]\ntags = ['lab']\n")).target_names()
    assert names == ["bench", "emulated-arm64", "emulated-arm64-machine", "x86"]
