"""The main job over SSH, as people do it: from push to report, twice, broken off, gone on with."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest

from model_zoo import select
from tests.devices.sshd import HOST, Desk, Sshd
from tests.harness.command import Workplace, rounds
from tests.needs import require
from tests.support import faces, models

MEASURE = ("run", "--faces", "faces", "--target", "board", "--quick", "--variants")
SCRIPTED = (*MEASURE, "models/scripted.null")  # a model that needs no runtime to be imported


@pytest.fixture
def bench(workplace: Workplace, board: Sshd) -> Workplace:
    """Return a workplace with a face set, two models, and the board as a target."""
    faces.make(workplace.folder / "faces", 20, splits=("val", "test"))
    models.onnx_model(workplace.folder / "models", "good")
    models.null_model(workplace.folder / "models", "scripted", latency_ms=2.0, wait="sleep")
    write_target(workplace, board.address)
    return workplace


def write_target(workplace: Workplace, address: str, **keys: str) -> None:
    table = {"transport": "ssh", "address": address, "architecture": "", "python": sys.executable, **keys}
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    (workplace.folder / "edgerig.toml").write_text("\n".join(["[targets.board]", *lines, ""]))


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    lines = (folder / "journal.jsonl").read_text().splitlines()
    return [event for line in lines if (event := json.loads(line))["event"] == kind]


def outcomes(run: dict[str, Any]) -> set[str]:
    return {cell["outcome"] for cell in run["cells"]}


def wait_until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_from_push_to_report_and_again_without_pushing(bench: Workplace, board: Sshd) -> None:
    run = bench.json(*MEASURE, "models")
    assert outcomes(run) == {"ok"}
    assert run["targets"][0]["transport"] == "ssh"
    assert (bench.folder / run["folder"] / "report.html").read_text().startswith("<!doctype html>")
    assert events(bench.folder / run["folder"], "pushed")[0]["bytes"] > 0
    again = bench.json(*SCRIPTED)
    assert outcomes(again) == {"ok"}
    assert events(bench.folder / again["folder"], "pushed")[0]["bytes"] == 0
    assert list((board.device / "spool").iterdir()) == []
    assert list((board.device / "incoming").iterdir()) == []


def test_a_run_goes_on_when_its_sessions_are_killed(bench: Workplace, board: Sshd) -> None:
    process = bench.start(*SCRIPTED, "--json")
    wait_until(board.sessions)  # at the door
    folder = bench.journal().parent
    for _ in range(2):
        bench.wait_for_rounds(len(rounds(folder / "journal.jsonl")) + 1)
        assert board.signal_sessions(SIGKILL)
    out, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    run = json.loads(out)
    assert outcomes(run) == {"ok"}
    assert [len(cell["rounds"]) for cell in run["cells"]] == [2]


def test_a_killed_controller_goes_on_where_it_stood(bench: Workplace, board: Sshd) -> None:
    process = bench.start(*SCRIPTED)
    folder = bench.wait_for_rounds(1)
    process.kill()
    process.communicate()
    before = rounds(folder / "journal.jsonl")
    run = bench.json("resume", folder.name[:20])
    assert outcomes(run) == {"ok"}
    assert rounds(folder / "journal.jsonl")[: len(before)] == before


def test_a_board_that_is_switched_off_is_told_as_offline(bench: Workplace, board: Sshd) -> None:
    board.stop()
    try:
        run = bench.json(*SCRIPTED, code=4)
        assert outcomes(run) == {"lost"}
        assert "does not answer" in run["cells"][0]["reason"]
        steps = bench.json("doctor", "board", code=3)
    finally:
        board.start()
    assert steps[1]["found"].startswith("offline: ")
    assert {step["standing"] for step in steps[2:]} == {"skipped"}
    resumed = bench.json("resume", "latest")
    assert outcomes(resumed) == {"ok"}


def test_doctor_goes_the_real_way(bench: Workplace) -> None:
    require(any(select.SHIPPED.glob("*.toml")), "the shipped variants are not built")
    steps = bench.json("doctor", "board")
    assert {step["standing"] for step in steps} <= {"ok", "warning"}
    assert any("one frame" in step["step"] for step in steps)


def test_doctor_tells_refused_from_offline(bench: Workplace, desk: Desk, board: Sshd) -> None:
    desk.known_hosts.write_text("")
    steps = bench.json("doctor", "board", code=3)
    assert steps[1]["standing"] == "failed"
    assert steps[1]["found"] == f"refused: the host key of [{HOST}]:{board.port} is unknown."
    assert steps[1]["todo"].startswith("Accept it once: ssh ")


def test_a_jetson_behind_a_jump_host_is_measured(bench: Workplace, desk: Desk, board: Sshd, jump: Sshd) -> None:
    desk.knows(board, jump)
    desk.config.write_text(
        f"Host rack\n  HostName {HOST}\n  Port {jump.port}\n\n"
        f"Host nano\n  HostName {HOST}\n  Port {board.port}\n  ProxyJump rack\n"
    )
    write_target(bench, "nano")
    run = bench.json(*SCRIPTED)
    assert outcomes(run) == {"ok"}
