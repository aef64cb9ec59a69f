"""The local transport: whole files, programs with their stderr, and troubles by their class."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from edgerig.deadline import Deadline
from edgerig.errors import LinkLost, TargetRefused
from targets import local
from targets.local import LocalChannel, LocalTransport
from tests.support import disks


def soon() -> Deadline:
    """Return a deadline that no program here needs."""
    return Deadline(60)


@pytest.fixture
def device(tmp_path: Path) -> LocalTransport:
    return LocalTransport(tmp_path / "device")


def said(channel: LocalChannel) -> bytes:
    """Return all that a program prints."""
    try:
        return b"".join(iter(lambda: channel.receive(soon()), b""))
    finally:
        channel.close()


def python(device: LocalTransport, program: str) -> LocalChannel:
    return device.start([sys.executable, "-c", program])


def test_a_file_goes_there_and_comes_back(tmp_path: Path, device: LocalTransport) -> None:
    data = bytes(range(256)) * 4096
    (tmp_path / "here").write_bytes(data)
    device.put(tmp_path / "here", "deep/er/there", soon())
    assert (tmp_path / "device" / "deep" / "er" / "there").read_bytes() == data
    device.get("deep/er/there", tmp_path / "back", soon())
    assert (tmp_path / "back").read_bytes() == data


def test_a_put_replaces_as_a_whole(tmp_path: Path, device: LocalTransport) -> None:
    (tmp_path / "old").write_bytes(b"old")
    (tmp_path / "new").write_bytes(b"new")
    device.put(tmp_path / "old", "file", soon())
    with (tmp_path / "device" / "file").open("rb") as reader:
        device.put(tmp_path / "new", "file", soon())
        assert reader.read() == b"old"
    assert [path.name for path in (tmp_path / "device").iterdir()] == ["file"]


def test_a_put_that_fails_leaves_nothing(tmp_path: Path, device: LocalTransport) -> None:
    with pytest.raises(TargetRefused, match="none cannot be copied to"):
        device.put(tmp_path / "none", "file", soon())
    assert list((tmp_path / "device").iterdir()) == []


def test_what_is_not_there_cannot_be_got(tmp_path: Path, device: LocalTransport) -> None:
    with pytest.raises(TargetRefused, match="none cannot be read from"):
        device.get("none", tmp_path / "back", soon())
    assert not (tmp_path / "back").exists()


def test_trouble_on_this_side_is_the_callers(tmp_path: Path, device: LocalTransport) -> None:
    (tmp_path / "device" / "file").write_bytes(b"x")
    with pytest.raises(FileNotFoundError):
        device.get("file", tmp_path / "none" / "back", soon())


def test_a_program_is_spoken_with(device: LocalTransport) -> None:
    channel = python(device, "import sys; print(sys.stdin.readline()[::-1], end='', flush=True)")
    channel.send(b"abc\n")
    assert said(channel) == b"\ncba"


def test_the_devices_folder_is_put_into_the_words(tmp_path: Path, device: LocalTransport) -> None:
    assert said(device.start(["echo", "{root}/agents", "{root}"])).decode().split() == [
        f"{tmp_path}/device/agents",
        f"{tmp_path}/device",
    ]


def test_words_are_not_read_by_a_shell(device: LocalTransport) -> None:
    assert said(device.start(["echo", "$HOME; ls > x", "'"])) == b"$HOME; ls > x '\n"


def test_the_end_of_a_program_and_its_last_words(device: LocalTransport) -> None:
    channel = python(device, "import sys; sys.stderr.write('x' * 9000 + 'cannot load libc'); sys.exit(3)")
    assert channel.receive(soon()) == b""
    assert channel.errors().endswith("cannot load libc")
    assert len(channel.errors()) <= 4096
    channel.close()


def test_a_talkative_stderr_does_not_block(device: LocalTransport) -> None:
    channel = python(device, "import sys; sys.stderr.write('x' * 1_000_000); print('done')")
    assert said(channel) == b"done\n"


def test_sending_to_a_program_that_ended(device: LocalTransport) -> None:
    channel = python(device, "import sys; sys.stderr.write('no numpy'); sys.stdin.close()")
    assert channel.receive(soon()) == b""
    with pytest.raises(LinkLost, match="the agent has ended: no numpy"):
        channel.send(b"hello\n" * 100_000)
    channel.close()


def test_silence_ends_with_the_deadline(device: LocalTransport) -> None:
    channel = python(device, "import sys; sys.stdin.read()")
    begin = time.monotonic()
    with pytest.raises(LinkLost, match="did not answer in time"):
        channel.receive(Deadline(0.1))
    assert time.monotonic() - begin < 2
    channel.close()


def test_closing_ends_a_program_that_listens(device: LocalTransport) -> None:
    channel = python(device, "import sys; sys.stdin.read()")
    begin = time.monotonic()
    channel.close()
    channel.close()  # twice is once
    assert time.monotonic() - begin < 3
    assert channel._process.returncode == 0


def test_closing_kills_a_program_that_does_not(device: LocalTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_PATIENCE_S", 0.1)
    channel = device.start(["sleep", "60"])
    channel.close()
    assert channel._process.returncode == -9


def test_a_program_that_is_not_there(device: LocalTransport) -> None:
    with pytest.raises(TargetRefused, match="no-such-program cannot be started: No such file"):
        device.start(["no-such-program"])


def test_a_file_that_is_no_program(tmp_path: Path, device: LocalTransport) -> None:
    (tmp_path / "text").write_text("no program")
    with pytest.raises(TargetRefused, match="cannot be started: Permission denied"):
        device.start([str(tmp_path / "text")])


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(TargetRefused, match=r"the device's folder .* cannot be made: Not a directory"):
        LocalTransport(tmp_path / "file" / "device")


AS_NOBODY = """
import os, sys
from pathlib import Path
from edgerig.deadline import Deadline
from edgerig.errors import TargetRefused
from targets.local import LocalTransport
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    LocalTransport(Path(sys.argv[1])).put(Path(sys.executable), "file", Deadline(5))
except TargetRefused as error:
    print(error.message)
"""


def test_a_folder_that_cannot_be_written() -> None:
    with tempfile.TemporaryDirectory() as above:  # not pytest's, which are for their owner alone
        folder = Path(above) / "device"
        folder.mkdir(mode=0o555)
        Path(above).chmod(0o755)
        argv = [sys.executable, "-c", AS_NOBODY, str(folder)]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        assert done.stdout.endswith(f"cannot be copied to {folder}: Permission denied.\n")


FULL = """
import sys, typing
from pathlib import Path
from edgerig.deadline import Deadline
from edgerig.errors import TargetFull
from targets.local import LocalTransport
folder = Path(sys.argv[1])
device = LocalTransport(folder)
try:
    device.put(Path(typing.__file__), "file", Deadline(5))
except TargetFull as error:
    print(error.message)
print([path.name for path in folder.rglob("*")])
"""


def test_a_device_without_space_is_left_as_it_was(tmp_path: Path) -> None:
    message, left = disks.on_small_disk(FULL, tmp_path, kilobytes=16).splitlines()
    assert message.endswith(f"cannot be copied to {tmp_path}: no space is left.")
    assert left == "[]"
