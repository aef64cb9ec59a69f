"""Leases, environments and cleaning over SSH, on a board that is a real sshd."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.devices.sshd import Sshd
from tests.devices.test_ssh_run import write_target
from tests.harness.command import Workplace
from tests.harness.test_provision import NAMES
from tests.support.wheels import wheel


def test_a_board_is_provisioned_held_and_cleaned(workplace: Workplace, board: Sshd, tmp_path: Path) -> None:
    for name in NAMES:
        wheel(tmp_path / "index", name)
    workplace.environment.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path / "index"))
    write_target(workplace, board.address, environment="venv", python=sys.executable)
    made = workplace.json("provision", "board")[0]
    again = workplace.json("provision", "board")[0]
    assert (made["reused"], again["reused"], again["sent_bytes"]) == (False, True, 0)
    assert workplace.json("leases") == [{"target": "board", "state": "free"}]
    assert workplace.json("clean", "board")[0]["freed_mb"] > 0
    assert not workplace.json("provision", "board")[0]["reused"]


def test_two_controllers_at_one_board(workplace: Workplace, board: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    write_target(workplace, board.address)
    for key in ("EDGERIG_CACHE", "HOME"):
        if key in workplace.environment:
            monkeypatch.setenv(key, workplace.environment[key])
    from harness import config  # noqa: PLC0415 - the environment first
    from harness.devices.lease import Lease  # noqa: PLC0415

    with Lease(config.load(workplace.folder / "edgerig.toml").target("board"), "first"):
        assert [row["run"] for row in workplace.json("leases")] == ["first"]
        assert "is held by" in workplace.apart("clean", "board", code=3).stderr
        steps = json.loads(workplace.apart("doctor", "board", "--json", code=3).stdout)
        assert [step["step"] for step in steps if step["standing"] == "failed"] == ["lease"]
    assert [row["state"] for row in workplace.json("leases")] == ["free"]
