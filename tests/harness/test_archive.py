"""Archives of ours: the same bytes from the same files, nothing that lands outside, unpacked whole or not at all."""

from __future__ import annotations

import io
import os
import tarfile
import time
from pathlib import Path

import pytest

from edgerig import digest
from edgerig.deadline import Deadline
from edgerig.errors import HostError, TargetFull, TargetRefused
from harness.devices import placing
from harness.stock import archive
from targets import profile, shell, unpacking
from targets.fake import FakeTransport, Fault
from targets.local import LocalTransport
from tests.support.disks import on_small_disk

TARGET = profile.resolve("box", {"box": {"architecture": ""}})


def small_tree(folder: Path) -> Path:
    """Write a tree with a program, a long name and an empty file; times and modes as the moment has it."""
    for name, text in {
        "bin/tool": "#!/bin/sh\necho works\n",
        "lib/" + "n" * 90 + ".py": "x = 1\n",
        "empty": "",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "bin/tool").chmod(0o755)
    return folder


def test_the_same_files_are_the_same_bytes(tmp_path: Path) -> None:
    first, second = small_tree(tmp_path / "one"), small_tree(tmp_path / "two")
    os.utime(second / "empty", (1, 1))
    (second / "empty").chmod(0o664)
    digests = [archive.pack(folder, folder.with_suffix(".tar.gz")) for folder in (first, second)]
    assert digests[0] == digests[1]
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()
    (second / "empty").write_text("no more")
    assert archive.pack(second, tmp_path / "three.tar.gz") != digests[0]


def test_owners_and_times_are_nobodys(tmp_path: Path) -> None:
    path = packed(tmp_path)
    with tarfile.open(path) as tar:
        entries = tar.getmembers()
    assert [entry.name for entry in entries] == ["bin", "bin/tool", "empty", "lib", f"lib/{'n' * 90}.py"]
    assert {(entry.uid, entry.gid, entry.uname, entry.mtime) for entry in entries} == {(0, 0, "", 0)}
    assert {entry.mode for entry in entries} == {0o755, 0o644}


def packed(folder: Path) -> Path:
    path = folder / "tree.tar.gz"
    archive.pack(small_tree(folder / "tree"), path)
    return path


def foreign(path: Path, name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> Path:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, link
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(entry, io.BytesIO())
    return path


@pytest.mark.parametrize(
    ("name", "kind", "link"),
    [
        ("../outside", tarfile.REGTYPE, ""),
        ("/etc/passwd", tarfile.REGTYPE, ""),
        ("a/../../outside", tarfile.REGTYPE, ""),
        ("link", tarfile.SYMTYPE, "/etc/passwd"),
        ("link", tarfile.LNKTYPE, "../outside"),
        ("pipe", tarfile.FIFOTYPE, ""),
    ],
)
def test_what_would_land_outside_is_refused_and_never_sent(tmp_path: Path, name: str, kind: bytes, link: str) -> None:
    path = foreign(tmp_path / "foreign.tar.gz", name, kind, link)
    device = LocalTransport(tmp_path / "device")
    with pytest.raises(HostError, match="outside of its folder"):
        placing.placed(TARGET, device, path, "foreign", digest.of_file(path))
    assert not list(Path(device.root).rglob("*.tar.gz"))


def test_a_damaged_archive_is_never_sent(tmp_path: Path) -> None:
    path = packed(tmp_path)
    sha256 = digest.of_file(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(HostError, match="damaged"):
        placing.placed(TARGET, LocalTransport(tmp_path / "device"), path, "tree", sha256)


def test_an_archive_is_sent_once_and_used_where_it_lies(tmp_path: Path) -> None:
    path, device = packed(tmp_path), LocalTransport(tmp_path / "device")
    folder, sent = placing.placed(TARGET, device, path, "tree", digest.of_file(path))
    assert sent == path.stat().st_size
    assert shell.run(device, [f"{folder}/bin/tool"], Deadline(30)).out == "works\n"
    assert placing.placed(TARGET, device, path, "tree", digest.of_file(path)) == (folder, 0)
    assert not list(Path(device.root).rglob("*.tar.gz"))


def test_what_was_cut_off_is_never_used(tmp_path: Path) -> None:
    path, device = packed(tmp_path), LocalTransport(tmp_path / "device")
    folder = Path(device.root, unpacking.FOLDER)
    (folder / "tree.new" / "bin").mkdir(parents=True)  # unpacking was interrupted
    (folder / "tree.tar.gz").write_bytes(path.read_bytes()[:100])  # sending was
    _, sent = placing.placed(TARGET, device, path, "tree", digest.of_file(path))
    assert sent == path.stat().st_size
    assert sorted(entry.name for entry in folder.iterdir()) == ["tree"]


def test_what_nobody_used_for_a_month_makes_room(tmp_path: Path) -> None:
    path, device = packed(tmp_path), LocalTransport(tmp_path / "device")
    sha256, folder = digest.of_file(path), Path(device.root, unpacking.FOLDER)
    long_ago = time.time() - 40 * 86400
    for name in ("used", "forgotten"):
        placing.placed(TARGET, device, path, name, sha256)
        os.utime(folder / name, (long_ago, long_ago))
    placing.placed(TARGET, device, path, "used", sha256)
    placing.placed(TARGET, device, path, "new", sha256)
    assert sorted(entry.name for entry in folder.iterdir()) == ["new", "used"]


def test_an_archive_that_always_arrives_in_part_is_refused(tmp_path: Path) -> None:
    path, device = packed(tmp_path), LocalTransport(tmp_path / "device")
    cut = FakeTransport(device, [Fault.model_validate({"on": "put", "kind": "truncate", "times": 9})])
    with pytest.raises(TargetRefused, match="did not arrive as it was sent"):
        placing.placed(TARGET, cut, path, "tree", digest.of_file(path))
    assert not list(Path(device.root).rglob("tool"))


FILLED = """
import sys
from pathlib import Path
from edgerig import digest
from edgerig.errors import TargetFull
from harness.devices import placing
from targets import profile
from targets.local import LocalTransport
root = Path(sys.argv[1])
path = root.parent / "big.tar.gz"
target = profile.resolve("box", {"box": {"architecture": ""}})
try:
    placing.placed(target, LocalTransport(root), path, "big", digest.of_file(path))
except TargetFull as error:
    print(error.message)
print([entry.name for entry in (root / "bundles").iterdir()])
"""


def test_a_disk_that_is_full_leaves_no_half_tree(tmp_path: Path) -> None:
    folder = tmp_path / "big"
    folder.mkdir()
    (folder / "zeros").write_bytes(bytes(1_000_000))
    archive.pack(folder, tmp_path / "big.tar.gz")
    (tmp_path / "disk").mkdir()
    said = on_small_disk(FILLED, tmp_path / "disk", 300).splitlines()
    assert "no space is left on box" in said[0]
    assert said[1] == "['big.tar.gz']"


def test_a_device_without_tar_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, device = packed(tmp_path), LocalTransport(tmp_path / "device")
    monkeypatch.setattr(unpacking, "SCRIPT", unpacking.SCRIPT.replace("| tar", "| no-such-tar"))
    with pytest.raises(TargetRefused, match="no-such-tar"):
        placing.placed(TARGET, device, path, "tree", digest.of_file(path))


def test_a_device_that_is_full_when_it_is_sent(tmp_path: Path) -> None:
    path = packed(tmp_path)
    full = FakeTransport(LocalTransport(tmp_path / "device"), [Fault.model_validate({"on": "put", "kind": "full"})])
    with pytest.raises(TargetFull):
        placing.placed(TARGET, full, path, "tree", digest.of_file(path))
