"""The real adb client against a phone of ours: what is put is whole or not there, and a lost link is told as one."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgerig.deadline import Deadline
from edgerig.errors import LinkLost, TargetError, TargetFull, TargetRefused, TargetUnreachable
from targets import adb, shell
from targets.adb import AdbTransport, Server
from targets.rack import RackServer
from tests.devices import adbd, android
from tests.devices.adbd import Phone
from tests.devices.sshd import Desk, Sshd

SOON_S = 20.0


def soon(seconds: float = SOON_S) -> Deadline:
    return Deadline(seconds)


@pytest.fixture
def way(phone: Phone) -> Iterator[AdbTransport]:
    """Return a way to the phone."""
    transport = AdbTransport(Server(), phone.address)
    yield transport
    transport.close()


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """Return a file that takes a while."""
    path = tmp_path / "big"
    path.write_bytes(os.urandom(1 << 20) * 24)
    return path


def wait_until(true: Callable[[], object]) -> None:
    end = time.monotonic() + SOON_S
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


class During:
    """Does something in a thread once something has happened, unless the block is over before."""

    def __init__(self, when: Callable[[], object], then: Callable[[], object]) -> None:
        self._when, self._then = when, then
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.done = False

    def _run(self) -> None:
        while not self._over.wait(0.002):
            if self._when():
                self._then()
                self.done = True
                return

    def __enter__(self) -> During:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def test_what_is_put_is_there_and_comes_back(way: AdbTransport, phone: Phone, big: Path, tmp_path: Path) -> None:
    way.put(big, "incoming/x", soon())
    there = phone.device / "incoming/x"
    assert there.read_bytes() == big.read_bytes()
    assert os.geteuid() or there.stat().st_uid == android.USER
    way.get("incoming/x", tmp_path / "back", soon())
    assert (tmp_path / "back").read_bytes() == big.read_bytes()
    with pytest.raises(TargetRefused, match=r"incoming/y cannot be read on .*: No such file or directory\."):
        way.get("incoming/y", tmp_path / "back", soon())
    there.unlink()


def test_words_arrive_as_they_are(way: AdbTransport) -> None:
    odd = ["a b", "$HOME", "`id`", "'", '"', "a;b", "*", "a\nb", "", "é", "\\"]
    done = shell.run(way, ["sh", "-c", r'printf "%s\0" "$@"; echo oh >&2; exit 5', "sh", *odd, "{root}"], soon())
    assert done.out.split("\0")[:-1] == [*odd, adb.ROOT]
    assert (done.status, done.err) == (5, "oh")


def test_what_is_said_is_bytes(way: AdbTransport) -> None:
    channel = way.start(["cat"])
    channel.send(bytes(range(256)) * 400)
    heard = b""
    while len(heard) < 256 * 400:
        heard += channel.receive(soon())
    assert heard == bytes(range(256)) * 400
    channel.close()


@pytest.mark.parametrize("gone", [Phone.unplug, Phone.drop])
def test_an_interrupted_push_leaves_nothing(
    way: AdbTransport, phone: Phone, big: Path, gone: Callable[[Phone], None]
) -> None:
    part = phone.device / "incoming/x.part"
    with During(lambda: part.exists() and part.stat().st_size > 1 << 20, lambda: gone(phone)), pytest.raises(LinkLost):
        way.put(big, "incoming/x", soon())
    assert not (phone.device / "incoming/x").exists()
    phone.in_order()
    small = big.with_name("small")
    small.write_bytes(b"small")
    way.put(small, "incoming/y", soon())
    assert [path.name for path in (phone.device / "incoming").iterdir()] == ["y"]
    (phone.device / "incoming/y").unlink()


def test_a_file_that_arrives_damaged_is_not_kept(way: AdbTransport, phone: Phone, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"0123456789")
    phone.damages = True
    with pytest.raises(LinkLost, match="did not arrive whole"):
        way.put(tmp_path / "x", "incoming/x", soon())
    assert list((phone.device / "incoming").iterdir()) == []


def test_where_nothing_may_be_written(phone: Phone, tmp_path: Path) -> None:
    way = AdbTransport(Server(), phone.address, "/system/edgerig")
    (tmp_path / "x").write_bytes(b"0123456789")
    with pytest.raises(TargetRefused, match=r"/system/edgerig/incoming cannot be made on .*Permission denied"):
        way.put(tmp_path / "x", "incoming/x", soon())


def test_a_full_phone_is_told_as_that() -> None:
    assert isinstance(adb._complaint("x", "cat: write error: No space left on device"), TargetFull)


def test_the_end_of_a_program_is_not_that_of_the_link(way: AdbTransport, phone: Phone) -> None:
    channel = way.start(["sh", "-c", "echo bad >&2; exit 1"])
    assert channel.receive(soon()) == b""
    assert channel.errors() == "bad"
    channel.close()
    channel = way.start(["cat"])
    channel.send(b"x")
    assert channel.receive(soon()) == b"x"
    phone.unplug()
    with pytest.raises(LinkLost, match="was lost"):
        channel.receive(soon())
    channel.close()
    with pytest.raises(TargetUnreachable, match="does not answer"):
        way.start(["cat"])
    phone.plug()
    channel = way.start(["cat"])
    channel.close()


def test_a_program_goes_on_when_the_phone_is_unplugged(way: AdbTransport, phone: Phone) -> None:
    channel = way.start(["sh", "-c", "echo on; cat > /dev/null; sleep .2; echo done > /data/local/tmp/later"])
    assert channel.receive(soon()) == b"on\n"
    phone.unplug()
    later = phone.android.root / "data/local/tmp/later"
    wait_until(later.exists)
    later.unlink()
    channel.close()


def test_a_silent_link_ends_at_its_deadline(way: AdbTransport, phone: Phone, big: Path) -> None:
    channel = way.start(["cat"])
    phone.silent = True
    with pytest.raises(LinkLost, match="went silent"):
        channel.receive(soon(0.3))
    channel.close()
    way._broken = False
    with pytest.raises(LinkLost):
        way.put(big, "incoming/x", soon(0.5))


def test_an_unauthorized_phone_is_refused(phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adb, "SETTLE_S", 0.3)
    phone.unauthorized = True
    with pytest.raises(TargetRefused, match=r"has not accepted the key of this computer \(unauthorized\)") as caught:
        AdbTransport(Server(), phone.address)
    assert "accept its dialog" in caught.value.hint


def test_a_phone_that_is_off_is_unreachable(phone: Phone) -> None:
    phone.unplug()
    with pytest.raises(TargetUnreachable, match=f"{phone.address} does not answer: Connection refused"):
        AdbTransport(Server(), phone.address)


def test_an_absent_phone_is_told_with_those_that_are_there(way: AdbTransport, phone: Phone) -> None:
    with pytest.raises(TargetUnreachable, match="adb does not see R58M12") as caught:
        AdbTransport(Server(), "R58M12")
    assert f"It sees {phone.address}." in caught.value.hint
    assert AdbTransport(Server(), "")._serial == phone.address  # the only one needs no name


def test_without_any_phone(phone: Phone) -> None:
    with pytest.raises(TargetUnreachable, match="adb sees no phone"):
        AdbTransport(Server(), "")


STATES = {
    "offline": (TargetUnreachable, "does not answer (offline)"),
    "no permissions (missing udev rules? user is in the plugdev group); see [http://x]": (
        TargetRefused,
        "may not open",
    ),
    "recovery": (TargetRefused, "in the state 'recovery'"),
    "unauthorized": (TargetRefused, "(unauthorized)"),
}


@pytest.mark.parametrize("state", STATES)
def test_each_state_has_its_sentence(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Server, "run", lambda *_, **__: f"List of devices attached\nR58M12\t{state}\n\n")
    error, text = STATES[state]
    with pytest.raises(TargetError) as caught:
        adb.chosen(Server(), "R58M12")
    assert type(caught.value) is error
    assert text in caught.value.message
    assert caught.value.hint


def test_of_several_phones_one_has_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Server, "run", lambda *_, **__: "List of devices attached\nA1\tdevice\nB2\toffline\n")
    with pytest.raises(TargetRefused, match=r"several devices are connected: A1, B2\.") as caught:
        adb.chosen(Server(), "")
    assert 'address = "A1"' in caught.value.hint


def test_without_adb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("ADB", raising=False)
    with pytest.raises(TargetRefused, match="adb is not installed") as caught:
        AdbTransport(Server(), "")
    assert "apt install adb" in caught.value.hint


def test_a_phone_at_another_host(phone: Phone, board: Sshd, desk: Desk, big: Path, tmp_path: Path) -> None:
    server = RackServer(board.address)
    way = AdbTransport(server, phone.address)
    assert "-H" in server.argv()
    way.put(big, "incoming/x", soon())
    way.get("incoming/x", tmp_path / "back", soon())
    assert (tmp_path / "back").read_bytes() == big.read_bytes()
    channel = way.start(["cat"])
    channel.send(b"x")
    assert channel.receive(soon()) == b"x"
    for session in board.sessions():
        session.kill()
    with pytest.raises(LinkLost):
        channel.receive(soon())
    channel.close()
    assert shell.run(way, ["rm", f"{adb.ROOT}/incoming/x"], soon()).status == 0  # over a new tunnel
    way.close()


def test_a_host_without_a_server_gets_one_or_says_why(
    adb_server: None, board: Sshd, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "1")  # which nobody may open
    if os.geteuid() == 0:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "70000")
    with pytest.raises(TargetRefused, match="no adb server can be started on") as caught:
        AdbTransport(RackServer(board.address), "")
    assert "apt install adb" in caught.value.hint
    assert adbd.HOST in board.address
