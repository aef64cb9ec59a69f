"""A board behind sshd, and the desk of who measures on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.devices import session
from tests.devices import adbd, sshd
from tests.devices.adbd import Phone
from tests.devices.sshd import Desk, Sshd
from tests.harness.command import Workplace


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "PAUSE_S", 0.05)


@pytest.fixture(scope="session")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """Return a device for all tests that leave it in order."""
    with sshd.running(tmp_path_factory.mktemp("board")) as device:
        yield device


@pytest.fixture
def jump(tmp_path: Path) -> Iterator[Sshd]:
    """Return another host, to be jumped over."""
    with sshd.running(tmp_path / "jump") as host:
        yield host


@pytest.fixture
def desk(tmp_path: Path, board: Sshd, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Return a controller's home, this process's own as well, from which the board is known."""
    desk = Desk(tmp_path / "desk")
    desk.knows(board)
    monkeypatch.setenv("HOME", str(desk.home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return desk


@pytest.fixture
def workplace(tmp_path: Path, desk: Desk) -> Workplace:
    """Return a folder to run commands in, as the one at the desk."""
    place = Workplace(tmp_path)
    place.environment.update(desk.environment)
    return place


@pytest.fixture(scope="session")
def adb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have an adb server of our own, with keys of its own, for all that is started from here."""
    with adbd.serving(tmp_path_factory.mktemp("adb")):
        yield


@pytest.fixture(scope="session")
def only_phone(tmp_path_factory: pytest.TempPathFactory, adb_server: None) -> Iterator[Phone]:
    """Return a phone for all tests; see `phone`."""
    with adbd.running(tmp_path_factory.mktemp("phone")) as device:
        yield device


@pytest.fixture
def phone(only_phone: Phone) -> Iterator[Phone]:
    """Return a phone, which is in order again after the test, and which adb has forgotten."""
    yield only_phone
    only_phone.in_order()
    adbd.adb("disconnect", only_phone.address)
