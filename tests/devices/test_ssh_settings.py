"""Settings over SSH, on a board that is a real sshd: what was set is put back when the connection is cut."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

import pytest

from harness import config
from harness.devices import lease, settings
from harness.devices.lease import Lease
from targets import settings as scripts
from tests.devices.sshd import Desk, Sshd
from tests.devices.test_ssh_run import write_target
from tests.harness.command import Workplace
from tests.support.sysfs import Device


def test_a_link_that_is_cut_leaves_nothing_set(
    workplace: Workplace, desk: Desk, board: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device(tmp_path / "sys")
    found = device.governors
    for module, name, value in (
        (scripts, "SYS", str(device.home)),
        (scripts, "POLL_S", 0.1),
        (settings, "EXPIRY_S", 1),
        (settings, "LATER_S", 0),
        (lease, "BEAT_S", 600.0),
    ):
        monkeypatch.setattr(module, name, value)
    write_target(workplace, board.address, **{"set.governor": "performance"})
    target = config.load(workplace.folder / "edgerig.toml").target("board")
    with Lease(target, "cut") as held, settings.applied(target, held, lambda *_, **__: None):
        assert device.governors == ["performance", "performance"]
        assert board.signal_sessions(signal.SIGKILL)
        end = time.monotonic() + 10
        while device.governors != found:
            assert time.monotonic() < end, "it is still set"
            time.sleep(0.05)
    shutil.rmtree(board.device / "lease")  # nobody could free it: the tests that follow would wait until it expires
