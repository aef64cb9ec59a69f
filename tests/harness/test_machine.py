"""Parts of a machine's image; that they make a machine is shown by tests/devices/test_machine.py."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from edgerig import process
from edgerig.errors import HostError
from harness.stock import debian, machine
from harness.stock.debian import Deb
from targets import guest


def test_drivers_are_loaded_in_the_order_of_their_needs(tmp_path: Path) -> None:
    drivers = tmp_path / "lib" / "modules" / "6.1" / "kernel" / "drivers"
    drivers.mkdir(parents=True)
    for name in reversed([*guest.MODULES, "virtio_other"]):
        if name != "virtio_ring":  # as a kernel that has it built in
            (drivers / f"{name}.ko").write_bytes(name.encode())
    (tmp_path / "busybox").write_bytes(b"shell")
    content = machine.initramfs(tmp_path / "busybox", tmp_path)
    assert len(content) % 4 == 0
    assert content == machine.initramfs(tmp_path / "busybox", tmp_path)
    names = [word.decode() for word in gzip.decompress(content).split(b"\0") if word.endswith(b".ko")]
    wanted = [f"modules/{number}-{name}.ko" for number, name in enumerate(guest.MODULES) if name != "virtio_ring"]
    assert [name[name.index("modules/") :] for name in names] == wanted


def test_the_kernel_is_the_one_that_debians_name_stands_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def fetch(names: list[str], *_: object) -> list[Deb]:
        asked.append(names)
        return [Deb(names[0], "1", tmp_path, "")]

    monkeypatch.setattr(debian, "fetch", fetch)
    monkeypatch.setattr(process, "run", lambda _: "linux-image-6.1.0-9-cloud-arm64 (= 6.1.99-1)\n")
    assert machine._kernel("aarch64", "mirror").name == "linux-image-6.1.0-9-cloud-arm64"
    assert asked == [["linux-image-cloud-arm64"], ["linux-image-6.1.0-9-cloud-arm64"]]
    monkeypatch.setattr(process, "run", lambda _: "initramfs-tools\n")
    with pytest.raises(HostError, match="names no kernel"):
        machine._kernel("aarch64", "mirror")


def test_the_root_has_a_shell_for_all_tools_and_nothing_that_nobody_reads(tmp_path: Path) -> None:
    for name in ("bin", "usr/bin", "usr/lib/aarch64-linux-gnu/gconv", "usr/share/man/man1"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "usr" / "bin" / "iconv").touch()
    machine._furnish(tmp_path)
    assert os.readlink(tmp_path / "bin" / "sh") == "busybox"  # noqa: PTH115 - the text of the link is meant
    assert (tmp_path / "etc" / "edgerig" / "serve").read_text() == guest.SERVE
    assert not any((tmp_path / name).exists() for name in ("usr/bin/iconv", "usr/share/man", "usr/lib/x/gconv"))
    assert (tmp_path / guest.HOME).is_dir()
