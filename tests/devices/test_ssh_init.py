"""A board is probed, and becomes a target of edgerig.toml without anything else in it being touched."""

from __future__ import annotations

import platform
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from edgerig.errors import ConfigError
from harness.agent.protocol import Identity
from harness.commands import init
from harness.devices import probe
from harness.devices.probe import Board
from targets import profile
from tests.devices.sshd import Desk, Sshd
from tests.harness.command import Workplace

HERE = Identity(
    agent_sha256="",
    python="3.11.2",
    python_executable="/usr/bin/python3",
    machine="aarch64",
    system="Linux",
    kernel="6.6",
    os="Debian GNU/Linux 12 (bookworm)",
    libc="glibc 2.36",
    hostname="pi4",
    cpu="Cortex-A72",
    cores=4,
    memory_mb=3793.0,
    packages={"numpy": "1.24.2"},
    board="Raspberry Pi 4 Model B Rev 1.4",
)


def test_a_board_is_written_and_can_be_listed(workplace: Workplace, board: Sshd) -> None:
    done = workplace.run("init", "--ssh", board.address, "--name", "desk", "--python", sys.executable)
    table = tomllib.loads((workplace.folder / "edgerig.toml").read_text())
    assert table["targets"]["desk"]["address"] == board.address
    assert table["targets"]["desk"]["extends"] == "linux"
    assert table["runs"]["desk"]["targets"] == ["desk"]
    assert platform.machine() in done.stdout
    assert "load_1m" in done.stdout
    assert [row["target"] for row in workplace.json("list", "targets")] == ["desk", *profile.standalone()]
    assert list((board.device / "spool").iterdir()) == []


def test_a_board_is_added_to_what_is_there(workplace: Workplace, board: Sshd) -> None:
    old = '# ours\n[runs.nightly]\ntargets = ["x86"] # only this one'
    (workplace.folder / "edgerig.toml").write_text(old)
    told = workplace.json("init", "--ssh", board.address, "--python", sys.executable)
    new = (workplace.folder / "edgerig.toml").read_text()
    assert new.startswith(f"{old}\n\n[targets.board]\n")
    assert told["target"] == "board"
    assert told["identity"]["machine"] == platform.machine()
    refused = workplace.run("init", "--ssh", board.address, code=2)
    assert "there is a target 'board' already" in refused.stderr
    assert "--name" in refused.stderr
    assert (workplace.folder / "edgerig.toml").read_text() == new


def test_a_board_that_is_off_writes_nothing(workplace: Workplace, board: Sshd) -> None:
    board.stop()
    try:
        refused = workplace.run("init", "--ssh", board.address, code=3)
    finally:
        board.start()
    assert "does not answer" in refused.stderr
    assert not (workplace.folder / "edgerig.toml").exists()


def test_targets_that_are_closed_are_not_broken(tmp_path: Path) -> None:
    path = tmp_path / "edgerig.toml"
    path.write_text('targets = { here = { extends = "x86" } }\n')
    found = Board("pi4", HERE, probe._table(HERE, {"transport": "ssh", "address": "pi4"}), {}, [])
    with pytest.raises(ConfigError, match="cannot be added to") as caught:
        init._add(path, found)
    assert "'extends': 'raspberry-pi'" in caught.value.hint
    assert path.read_text() == 'targets = { here = { extends = "x86" } }\n'


@pytest.mark.parametrize(
    ("model", "machine", "extends", "architecture"),
    [
        ("Raspberry Pi 4 Model B Rev 1.4", "aarch64", "raspberry-pi", None),
        ("Raspberry Pi 2 Model B Rev 1.1", "armv7l", "raspberry-pi", "armv7l"),
        ("NVIDIA Jetson Orin Nano Developer Kit", "aarch64", "jetson", None),
        ("NVIDIA Orin Jetson-Small Developer Kit", "aarch64", "jetson", None),
        ("Radxa ROCK 5B", "aarch64", "linux", None),
        (None, "x86_64", "linux", None),
    ],
)
def test_a_profile_is_proposed(model: str | None, machine: str, extends: str, architecture: str | None) -> None:
    identity = replace(HERE, board=model, machine=machine)
    table = probe._table(identity, {"transport": "ssh", "address": "me@there"})
    assert (table["extends"], table.get("architecture")) == (extends, architecture)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("pi@pi4.local", "pi4"),
        ("pi4:2222", "pi4"),
        ("pi@192.168.1.4", "board"),
        ("nano_2", "nano_2"),
        ("me@[::1]:22", "board"),
    ],
)
def test_a_target_is_called_like_its_host(address: str, name: str) -> None:
    assert probe.name_of(address) == name


def test_what_a_board_lacks_is_told() -> None:
    found = Board("pi4", HERE, {"extends": "raspberry-pi"}, {"clock_mhz": 1500.0}, ["throttled"])
    lines = init._findings(found)
    assert any("Not readable: throttled" in line for line in lines)
    assert any("pip install onnxruntime" in line for line in lines)


@pytest.mark.parametrize("words", [("--name", "x"), ("--python", "p"), ("--ssh", "h", "--force")])
def test_options_that_do_not_go_together(workplace: Workplace, desk: Desk, words: tuple[str, ...]) -> None:
    assert workplace.run("init", *words, code=2).stderr
