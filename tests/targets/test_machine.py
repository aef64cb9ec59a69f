"""Booting a machine, as far as it goes without one: what is refused, its disk, and what the kernel unpacks."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from edgerig.errors import ConfigError, TargetRefused, TargetUnreachable
from targets import connect, cpio, ext4, guest, image, machine, profile
from targets.image import Contents, Image
from targets.machine import Kind, MachineTransport
from tests.needs import require

TARGET = "emulated-arm64-machine"


def an_image(folder: Path) -> Image:
    """Return an image whose parts are files, and nothing that would boot."""
    contents = Contents(recipe="", machine="aarch64", debian="", kernel="", bundle="", packages=())
    folder.mkdir(parents=True)
    for name in (image.KERNEL, image.INITRAMFS, image.ROOT):
        (folder / name).write_bytes(bytes(4096))
    made = Image(name=folder.name, bytes=0, built="2026-01-01", contents=contents)
    (folder / image.INDEX).write_text(made.model_dump_json())
    return Image.read(folder)


def test_without_an_image_the_command_that_builds_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGERIG_MACHINES", str(tmp_path))
    with pytest.raises(TargetRefused, match="no machine for aarch64") as refused:
        connect.connect(profile.resolve(TARGET, {}), tmp_path)
    assert "edgerig machine build" in refused.value.hint
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / image.INDEX).write_text("{}")
    with pytest.raises(Exception, match="is no machine's image"):
        image.found(tmp_path)


def test_without_qemu_the_line_that_installs_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(TargetRefused, match="qemu-system-aarch64 is not on this machine") as refused:
        machine.program()
    assert "apt install qemu-system-arm" in refused.value.hint


def test_a_machine_that_does_not_start_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    require("qemu-system-aarch64", "qemu-system-arm is missing")
    require("mke2fs", "e2fsprogs is missing")
    folder = tmp_path / "device"
    with pytest.raises(TargetRefused, match=r"the machine odd has ended: .*cortex-a9"):
        MachineTransport(an_image(tmp_path / "image"), Kind("odd", "cortex-a9", counts=True), folder)
    assert not (folder / "boot").exists()  # nor the keys that were in it


def test_a_disk_that_was_left_in_order_is_used_again_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ext4, "make", lambda path, _: path.write_text("new"))
    kept = tmp_path / "data.ext4"
    kept.write_text("from before")
    used = machine._disk(tmp_path)
    assert (used.read_text(), kept.exists()) == ("from before", False)
    assert machine._disk(tmp_path).read_text() == "new"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"transport": "local"}, "go together"),
        ({"emulator": ""}, "go together|names the processor"),
        ({"cpu": "cortex-a27"}, "cortex-a7"),
        ({"emulated": False}, "emulated = true"),
        ({"set": {"governor": "performance"}}, "nothing|neither"),
    ],
)
def test_what_makes_no_machine_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        profile.resolve("odd", {"odd": {"extends": TARGET, **wrong}})


def test_only_a_machine_counts_instructions() -> None:
    with pytest.raises(ConfigError, match="counts instructions"):
        profile.resolve("odd", {"odd": {"extends": "x86", "counts_instructions": True}})
    assert profile.resolve(TARGET, {}).settings.counts_instructions


def test_busybox_finds_in_the_archive_what_was_put_there(tmp_path: Path) -> None:
    require("busybox", "busybox-static is missing")
    entries = [cpio.Entry("init", b"#!\n", 0o755), cpio.Entry("given/deep/key", b"secret"), cpio.Entry("given/b", b"")]
    content = cpio.archive(entries)
    assert len(content) % 4 == 0
    assert content == cpio.archive(entries)
    subprocess.run(["busybox", "cpio", "-idm"], input=content, cwd=tmp_path, check=True, capture_output=True)
    found = {str(path.relative_to(tmp_path)): path for path in tmp_path.rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in found.items()} == {entry.path: entry.content for entry in entries}
    assert (found["init"].stat().st_mode & 0o777, found["given/deep/key"].stat().st_mode & 0o777) == (0o755, 0o600)


def test_the_scripts_are_a_shells() -> None:
    for script in (guest.INIT, guest.SERVE, guest.STOP[2]):
        subprocess.run(["sh", "-n", "-c", script], check=True)
    assert f"echo '{guest.READY}'" in guest.SERVE
    assert f"echo '{guest.STOPPED}'" in guest.STOP[2]


def test_a_port_that_somebody_took_meanwhile_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require("qemu-system-aarch64", "qemu-system-arm is missing")
    require("mke2fs", "e2fsprogs is missing")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(machine, "_free_port", lambda: taken.getsockname()[1])
        with pytest.raises(TargetUnreachable, match="did not get its port") as error:
            MachineTransport(an_image(tmp_path / "image"), Kind("late", "cortex-a72", counts=True), tmp_path / "device")
    assert error.value.transient
