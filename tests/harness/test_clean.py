"""Taking away what is ours on a device, and nothing else; and the limit of what is kept there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgerig import digest
from edgerig.deadline import Deadline
from edgerig.errors import LinkLost, ProtocolError, TargetHeld
from harness import workflow
from harness.devices import clean as module
from harness.devices.clean import clean
from harness.devices.lease import Lease
from targets import local, profile, shell
from targets.local import LocalTransport
from targets.profile import Target
from tests.harness.command import Workplace


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    monkeypatch.setenv("EDGERIG_CACHE", str(tmp_path))
    return profile.resolve("here", {"here": {"architecture": "", "cache_mb": 1}})


@pytest.fixture
def device(tmp_path: Path) -> Path:
    path = tmp_path / "devices" / "here"
    path.mkdir(parents=True)
    return path


def test_all_of_ours_goes_and_nothing_else(target: Target, device: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("mine")
    for name in module.OURS:
        (device / name / "deep er").mkdir(parents=True)
        (device / name / "deep er" / "file").write_bytes(os.urandom(100_000))
        (device / name / "deep er" / "file").chmod(0o444)
    (device / "spool" / "link").symlink_to(elsewhere)
    (device / "notes").write_text("mine")
    assert 600 < clean(target) < 1000
    assert [path.name for path in device.iterdir()] == ["notes"]
    assert (elsewhere / "precious").exists()


def test_a_link_in_the_place_of_a_folder_is_not_followed(target: Target, device: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").write_text("mine")
    (device / "store").symlink_to(tmp_path / "elsewhere")
    assert clean(target) == 0
    assert (tmp_path / "elsewhere" / "precious").exists()
    assert not list(device.iterdir())


def test_a_device_at_work_is_not_cleaned(target: Target, device: Path) -> None:
    (device / "store").mkdir()
    with Lease(target, "run"), pytest.raises(TargetHeld):
        clean(target)
    assert (device / "store").exists()


def test_a_device_keeps_no_more_than_its_profile_says(target: Target, device: Path, tmp_path: Path) -> None:
    for number in range(3):
        path = tmp_path / f"file-{number}"
        path.write_bytes(os.urandom(400_000))
        session = workflow.open_session(target)
        session.push({digest.of_file(path): path})
        session.close()
    sizes = [path.stat().st_size for path in (device / "store").iterdir() if len(path.name) == 64]
    assert sizes == [400_000] * 2


def test_cleaning_is_a_command(workplace: Workplace) -> None:
    (workplace.folder / "edgerig.toml").write_text("[targets.here]\narchitecture = ''\n")
    store = workplace.folder / "cache" / "devices" / "here" / "store"
    store.mkdir(parents=True)
    (store / "file").write_bytes(b"x" * 2_000_000)
    assert workplace.json("clean", "here") == [{"target": "here", "freed_mb": 2.0}]
    assert "here: 0.0 MB removed" in workplace.run("clean", "here").stdout


# -- short programs on a device


@pytest.mark.parametrize(
    ("script", "status", "out"), [("true", 0, ""), ("echo a; exit 7", 7, "a\n"), ("kill -9 $$", 137, "")]
)
def test_a_program_is_run_to_its_end(tmp_path: Path, script: str, status: int, out: str) -> None:
    done = shell.run(LocalTransport(tmp_path), ["sh", "-c", script], Deadline(5))
    assert (done.status, done.out) == (status, out)


def test_a_program_that_is_silent_or_endless_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_PATIENCE_S", 0.1)
    with pytest.raises(LinkLost):
        shell.run(LocalTransport(tmp_path), ["sh", "-c", "sleep 1"], Deadline(0.1))
    with pytest.raises(ProtocolError, match="does not stop printing"):
        shell.run(LocalTransport(tmp_path), ["head", "-c", "3000000", "/dev/zero"], Deadline(10))
