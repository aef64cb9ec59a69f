"""Bad input: one clear sentence that names the thing at fault, the right exit code, and nothing is lost."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import edgerig
from edgerig.errors import ConfigError, TargetRefused
from harness import cli, state
from harness.cli import main
from harness.commands import nightly as night
from harness.config import Config, Workspace
from targets import profile
from tests import needs
from tests.harness.command import short_argv
from tests.support import faces, models

HERE = '[targets.here]\narchitecture = ""\n'
RUN = ("run", "--variants", "models", "--faces", "faces", "--target", "here", "--quick")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a face set, a model and a target, which is where commands run."""
    faces.make(tmp_path / "faces", 12)
    models.onnx_model(tmp_path / "models", "good")
    (tmp_path / "edgerig.toml").write_text(HERE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _empty_faces(folder: Path) -> None:
    shutil.rmtree(folder / "faces")
    (folder / "faces" / "real").mkdir(parents=True)


def _one_class(folder: Path) -> None:
    shutil.rmtree(folder / "faces" / "fake")


def _no_image(folder: Path) -> None:
    (folder / "faces" / "real" / "notes.png").write_text("not a picture")


def _unknown_label(folder: Path) -> None:
    picture = next((folder / "faces" / "real").iterdir())
    (folder / "faces" / "labels.csv").write_text(f"path,label\nreal/{picture.name},genuine\n")


def _no_faces(folder: Path) -> None:
    shutil.rmtree(folder / "faces")


def _no_model(folder: Path) -> None:
    (folder / "models" / "good.onnx").unlink()


def _empty_model(folder: Path) -> None:
    (folder / "models" / "good.onnx").write_bytes(b"")


def _swapped_model(folder: Path) -> None:
    path = folder / "models" / "good.toml"
    path.write_text('sha256 = "' + "0" * 64 + '"\n' + path.read_text())


def _no_manifest(folder: Path) -> None:
    (folder / "models" / "good.toml").unlink()


def _manifest_typo(folder: Path) -> None:
    path = folder / "models" / "good.toml"
    path.write_text("treshold = 0.4\n" + path.read_text())


def _config_typo(folder: Path) -> None:
    (folder / "edgerig.toml").write_text(HERE + "[runs.night]\nthread = [1]\n")


def _target_typo(folder: Path) -> None:
    (folder / "edgerig.toml").write_text(HERE + "afinity = [0]\n")


def _broken_config(folder: Path) -> None:
    (folder / "edgerig.toml").write_text("[targets\n")


def _out_is_a_file(folder: Path) -> None:
    (folder / "runs").write_text("")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_empty_faces, ["faces", "empty"]),
        (_one_class, ["faces", "only real", "AUC"]),
        (_no_image, ["notes.png", "not an image"]),
        (_unknown_label, ["line 2", "'genuine'", "'real' or 'fake'"]),
        (_no_faces, ["there is no face set at faces"]),
        (_no_model, ["good.onnx", "missing"]),
        (_empty_model, ["good.onnx", "empty"]),
        (_swapped_model, ["good.onnx", "not the file"]),
        (_no_manifest, ["models", "edgerig variants init models"]),
        (_manifest_typo, ["good.toml", "'treshold'", "'threshold'"]),
        (_config_typo, ["edgerig.toml", "'runs.night.thread'", "'threads'"]),
        (_target_typo, ["edgerig.toml", "'afinity'", "'affinity'"]),
        (_broken_config, ["edgerig.toml", "not valid TOML"]),
        (_out_is_a_file, ["runs", "cannot be written"]),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_measured(
    folder: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None], words: list[str]
) -> None:
    spoil(folder)
    assert main(RUN) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert all(word in said.err for word in words), said.err
    assert len([line for line in said.err.splitlines() if not line.startswith("Note: ")]) <= 2
    assert not list(folder.glob("runs/*"))


def test_a_night_without_a_name_is_asked_for_it_where_there_are_some(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (folder / "edgerig.toml").open("a") as out:
        out.write('\n[runs.weekly]\nvariants = ["models"]\n')
    assert main(["nightly"]) == 2
    assert "which night? edgerig.toml has: weekly" in capsys.readouterr().err
    assert not list(folder.glob("runs/*"))


def test_a_night_without_any_says_what_it_measures_instead(capsys: pytest.CaptureFixture[str]) -> None:
    """The brackets are no markup of rich's, which would swallow the words between them."""
    night._require_name(Workspace(Config(), None), None)
    assert "no [runs.NAME] is asked for" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["runn"], "Did you mean 'run'?"),
        (["run", "--varaints", "x"], "--variants"),
        (["run", "--threads", "0"], "'0'"),
        (["run", "--threads", "²"], "'²'"),
        (["run", "--variants", ""], "nothing is named"),
        (["run", "--variants", "models", "--target", ","], "nothing is named"),
        (["run", "--variants", "models", "--baseline", ""], "'baseline'"),
        (["run", "--variants", "models", "--faces", ""], "'faces'"),
        (["run", "nightly"], "'nightly'"),
        (["run", "--variants", "nope"], "'nope'"),
        (["run", "--target", "her"], "'here'"),
        (["run", "--variants", "models", "--faces", "faces", "--runtime", "onxruntime"], "'onnxruntime'"),
        (["show", "yesterday"], "edgerig list runs"),
        (["resume", "faces"], "'faces'"),
        (["report", "latest", "--format", "pdf"], "'pdf'"),
        (["list", "models"], "variants"),
        (["variants", "init", "nowhere"], "nowhere"),
        (["variants", "init", "faces", "--faces", "faces"], "no model"),
        (["init"], "--force"),
    ],
)
def test_a_wrong_word_is_refused_with_what_would_be_right(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    assert folder.is_dir()
    assert main(words) == 2
    assert told in capsys.readouterr().err


def test_an_empty_list_is_not_taken_for_the_variants_that_ship(folder: Path) -> None:
    with pytest.raises(ConfigError, match="the list is empty"):
        edgerig.benchmark(sorted(folder.glob("models/*.tflite")), faces="faces", out=folder / "runs")


def test_the_end_of_a_file_is_not_told_as_an_interruption(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends(_: Path) -> None:
        raise EOFError("no data left in file")

    (tmp_path / "journal.jsonl").touch()
    monkeypatch.setattr(state, "read", ends)
    assert main(["show", str(tmp_path)]) == 4
    assert "internal error, EOFError: no data left in file" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["truncated", "garbage"])
def test_a_damaged_model_fails_its_cell(folder: Path, capsys: pytest.CaptureFixture[str], damage: str) -> None:
    path = folder / "models" / "good.onnx"
    path.write_bytes(path.read_bytes()[:200] if damage == "truncated" else b"\x00nonsense" * 50)
    assert main(RUN) == 4
    printed = capsys.readouterr().out
    assert "failed" in printed
    assert "cannot load model.onnx" in " ".join(printed.split())


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"size": [24, 24], "layout": "NHWC"}, "NHWC"),
        ({"size": [32, 32]}, "32x32"),
        ({"size": [24, 24], "dtype": "uint8"}, "uint8"),
    ],
)
def test_a_manifest_that_does_not_fit_its_model_is_found_before_measuring(
    folder: Path, capsys: pytest.CaptureFixture[str], table: dict[str, object], told: str
) -> None:
    models.write_manifest(folder / "models" / "good.onnx", input=table)
    assert main(RUN) == 4
    printed = " ".join(capsys.readouterr().out.split())
    assert "the manifest says" in printed
    assert told in printed
    assert not list(folder.glob("runs/*/frames/*"))


def test_an_index_that_the_model_does_not_have_is_found_before_measuring(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models.write_manifest(folder / "models" / "good.onnx", input={"size": [24, 24]}, output={"index": 7})
    assert main(RUN) == 4
    assert "7" in " ".join(capsys.readouterr().out.split())


def test_a_runtime_that_is_not_installed_is_unsupported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = folder / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    site = next(bare.glob("lib/python*/site-packages"))
    _link_numpy(site)
    (folder / "edgerig.toml").write_text(f'{HERE}python = "{bare}/bin/python"\n')
    models.null_model(folder / "models", "needs-nothing")
    assert main(RUN) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "unsupported" in printed
    assert "onnxruntime is not installed" in printed, printed


def _link_numpy(site: Path) -> None:
    import numpy as np  # noqa: PLC0415

    here = Path(np.__file__).parent.parent
    for package in ("numpy", "numpy.libs"):
        if (here / package).exists():
            (site / package).symlink_to(here / package)


LONG = {"quick": (2, 4096, 0.0, 10, 0.0)}  # rounds whose times take more room than there is; it is soon over


def test_a_full_disk_keeps_what_was_measured(folder: Path) -> None:
    needs.require("unshare", "a file system of the test's own needs unshare")
    (folder / "runs").mkdir()
    fill, go_on = (shlex.join(short_argv(*words, settings=LONG)) for words in (RUN, ("resume", "latest")))
    script = f"""
        mount -t tmpfs -o size=96k tmpfs runs || exit 99
        {fill}; echo code=$?
        wc -l runs/*/journal.jsonl
        mount -o remount,size=64m runs
        {go_on}; echo code=$?
    """
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    needs.require(done.returncode != 99 and "unshare" not in done.stderr, "this machine allows no file system of ours")
    codes = [line for line in done.stdout.splitlines() if line.startswith("code=")]
    assert codes == ["code=4", "code=0"], done.stdout + done.stderr
    assert "the disk is full" in done.stderr
    assert "edgerig resume" in done.stderr


def test_what_a_device_says_does_not_take_hold_of_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    cli._told(TargetRefused("held by \x1b[2J\x07me"), debug=False)
    assert capsys.readouterr().err == "edgerig: held by \ufffd[2J\ufffdme\n"


def test_a_password_in_an_index_is_refused() -> None:
    table = {"extends": "jetson", "address": "a@b", "environment": "venv", "index": "https://u:secret@host/simple"}
    with pytest.raises(ConfigError, match="index") as refused:
        profile.resolve("orin", {"orin": table})
    assert "secret" not in str(refused.value)
