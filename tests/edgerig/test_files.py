"""Files are written whole or not at all, and a disk's troubles are sentences."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from edgerig import files
from edgerig.errors import DiskFull, OutputError
from tests.support import disks


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    files.write(path, b"first")
    before = path.open("rb")  # a reader who came before sees what was there
    files.write(path, b"second")
    with before:
        assert before.read() == b"first"
    assert path.read_bytes() == b"second"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_it_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda handle: there.append((tmp_path / "a.txt").exists()))
    files.write(tmp_path / "a.txt", b"data")
    assert there == [False]


def test_folders_are_made(tmp_path: Path) -> None:
    assert files.make_folder(tmp_path / "a" / "b").is_dir()
    assert files.make_folder(tmp_path / "a" / "b").is_dir()


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(OutputError, match="a cannot be written: File exists"):
        files.make_folder(tmp_path / "a")
    with pytest.raises(OutputError, match="b cannot be written: Not a directory"):
        files.make_folder(tmp_path / "a" / "b")


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file or directory") as caught:
        files.write(tmp_path / "none" / "a.txt", b"")
    assert caught.value.hint == "Choose another folder."


AS_NOBODY = """
import os, sys
from pathlib import Path
from edgerig import files
from edgerig.errors import EdgerigError
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
for action in (lambda: files.write(Path(sys.argv[1]) / "a.txt", b"new"),
               lambda: files.make_folder(Path(sys.argv[1]) / "b")):
    try:
        action()
    except EdgerigError as error:
        print(type(error).__name__, error.message.rpartition(": ")[2])
"""


def test_a_folder_without_permission() -> None:
    # Not pytest's: its folders are for their owner alone, also the ones above.
    with tempfile.TemporaryDirectory() as above:
        folder = Path(above) / "closed"
        folder.mkdir()
        (folder / "a.txt").write_bytes(b"old")
        folder.chmod(0o555)
        Path(above).chmod(0o755)
        argv = [sys.executable, "-c", AS_NOBODY, str(folder)]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        assert done.stdout == "OutputError Permission denied.\n" * 2
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"a.txt": b"old"}


FULL = """
import sys
from pathlib import Path
from edgerig import files
from edgerig.errors import DiskFull
folder = Path(sys.argv[1])
files.write(folder / "a.txt", b"old")
try:
    files.write(folder / "a.txt", bytes(1 << 20))
except DiskFull as error:
    print(error.message)
    print(error.hint)
print((folder / "a.txt").read_bytes(), [path.name for path in folder.iterdir()])
"""


def test_a_full_disk_keeps_what_was_there(tmp_path: Path) -> None:
    message, hint, left = disks.on_small_disk(FULL, tmp_path).splitlines()
    assert message == f"the disk is full: {tmp_path}/a.txt could not be written."
    assert "edgerig resume" in hint
    assert left == "b'old' ['a.txt']"  # and no half of the new one beside it


def test_a_full_device(tmp_path: Path) -> None:
    with (
        pytest.raises(DiskFull),
        files.writing(tmp_path / "a.txt"),
        open("/dev/full", "wb", buffering=0) as stream,  # noqa: PTH123
    ):
        stream.write(b"x")


def test_other_errors_are_not_touched(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), files.writing(tmp_path / "a.txt"):
        _ = 1 / 0
