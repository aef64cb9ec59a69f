"""Rounds on a device that is hot, shared or changes its clock: they wait, are repeated, are kept and do not count."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.disturbed import a_loop_on
from harness.measuring.heat import Gate
from harness.planning import method
from targets import profile
from targets.profile import Target
from tests.harness.command import Workplace
from tests.support import devices, faces, models

BUDGET = ("--budget", "2")

# See tests.harness.command.SHORT. Long enough for a processor to be shared, and for a reading while a round lasts.
SHARED = {"default": (2, 16, 0.5, 10, 0.1)}
READ = {"default": (2, 16, 1.2, 10, 0.0)}


def target(thermometer: Path, **heat: Any) -> Target:
    vital = {"file": str(thermometer), "parser": "millicelsius"}
    table = {"architecture": "", "vitals": {"temperature": vital}, "heat": {"start_c": 50.0, **heat}}
    return profile.resolve("here", {"here": table})


@pytest.fixture
def thermometer(tmp_path: Path) -> Path:
    """Return a file that is read as a sensor, at 61 °C."""
    path = tmp_path / "temp"
    path.write_text("61000\n")
    return path


@pytest.mark.parametrize(("otherwise", "passes"), [("as-throttled", True), ("skip", False)])
def test_the_gate_gives_up_when_it_was_told_to(tmp_path: Path, thermometer: Path, otherwise: str, passes: bool) -> None:
    told: list[str] = []
    with devices.session(tmp_path) as session:
        gate = Gate(target(thermometer, wait_s=0.0, otherwise=otherwise), session, told.append)
        assert gate.passed() is passes
        assert gate.temperature_c() == 61.0


def test_the_gate_waits_until_the_device_is_cool(tmp_path: Path, thermometer: Path) -> None:
    told: list[str] = []

    def pause(_: float) -> None:
        thermometer.write_text("49000\n")

    with devices.session(tmp_path) as session:
        gate = Gate(target(thermometer, wait_s=60.0, otherwise="skip"), session, told.append, pause)
        assert gate.passed()
    assert told == ["cooling: 61 °C, a round begins at 50 °C"]


def test_a_device_without_a_sensor_is_not_waited_for(tmp_path: Path) -> None:
    with devices.session(tmp_path) as session:
        assert Gate(target(tmp_path / "none", wait_s=60.0, otherwise="skip"), session, print).passed()


@contextmanager
def falling(clock: Path) -> Iterator[None]:
    """Let a file that is read as a clock say ever less, so that any two readings a second apart differ."""
    over = threading.Event()

    def move() -> None:
        khz = 1_800_000
        while not over.wait(0.3):
            khz = khz * 93 // 100
            clock.write_text(f"{khz}\n")

    thread = threading.Thread(target=move)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def furnished(workplace: Workplace, table: str) -> None:
    faces.make(workplace.folder / "faces", 8)
    models.null_model(workplace.folder / "models", "scripted", latency_ms=2.0)
    (workplace.folder / "edgerig.toml").write_text(f'[targets.here]\narchitecture = ""\n{table}')


def measured(workplace: Workplace, *more: str, code: int = 0) -> dict[str, Any]:
    words = ("run", "--variants", "models", "--faces", "faces", "--target", "here", *BUDGET, *more)
    record = workplace.json(*words, code=code)
    return {**record["cells"][0], "folder": record["folder"]}


def test_a_load_on_its_core_is_flagged_and_its_rounds_repeated(workplace: Workplace) -> None:
    processor = max(os.sched_getaffinity(0))
    furnished(workplace, f"affinity = [{processor}]\n")
    workplace.settings = SHARED
    with a_loop_on(processor):
        cell = measured(workplace)
    assert all("other processes had its processor" in entry["tainted"] for entry in cell["rounds"])
    assert cell["verdict"]["trust"] == "noisy"
    assert "other processes" in cell["verdict"]["reason"]
    assert len(cell["rounds"]) > 1


def test_a_clock_that_moves_is_flagged(workplace: Workplace) -> None:
    clock = workplace.folder / "clock"
    clock.write_text("1800000\n")
    furnished(workplace, f'[targets.here.vitals.clock]\nfile = "{clock}"\nparser = "clock_khz"\n')
    workplace.settings = READ
    with falling(clock):
        cell = measured(workplace)
    flagged = [entry for entry in cell["rounds"] if "the clock" in entry["tainted"]]
    assert flagged
    assert cell["verdict"]["trust"] != "trusted"


def test_a_round_that_is_left_out_for_heat_is_measured_by_resume(workplace: Workplace) -> None:
    sensor = workplace.folder / "temp"
    sensor.write_text("80000\n")
    vital = f'[targets.here.vitals.temperature]\nfile = "{sensor}"\nparser = "millicelsius"\n'
    furnished(workplace, f'{vital}[targets.here.heat]\nstart_c = 50\nwait_s = 0\notherwise = "skip"\n')
    cell = measured(workplace, "--quick", code=4)
    assert (cell["outcome"], cell["reason"]) == ("skipped", "0 s did not cool the device to 50 °C.")
    sensor.write_text("45000\n")
    again = workplace.json("resume", "latest")
    assert again["cells"][0]["outcome"] == "ok"
    assert again["finished"]


def test_heat_that_nobody_waits_for_is_throttling(workplace: Workplace) -> None:
    sensor = workplace.folder / "temp"
    sensor.write_text("80000\n")
    vital = f'[targets.here.vitals.temperature]\nfile = "{sensor}"\nparser = "millicelsius"\n'
    furnished(workplace, f"{vital}[targets.here.heat]\nstart_c = 50\nwait_s = 0\n")
    cell = measured(workplace, "--quick")
    assert cell["verdict"]["trust"] == "throttled"
    assert "began at 80 °C" in cell["rounds"][0]["tainted"]


def test_long_passes_on_demand(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(method, "REALTIME_S", 2.0)
    furnished(workplace, "")
    cell = measured(workplace, "--quick", "--sustain", "3s", "--fps", "50", "--streams", "2")
    sustained, paced = cell["sustained"], cell["realtime"]
    assert sustained["first_p50_ms"] >= 2.0
    assert len(sustained["course"]) >= 3
    assert (workplace.folder / cell["folder"] / "sustained" / sustained["frames"]).is_file()
    assert (paced["arrivals"], paced["fps"], paced["streams"]) == (200, 50.0, 2)
    names = {(metric["metric"], metric["scope"]) for metric in cell["metrics"]}
    assert {("sustained_p95", "end_to_end"), ("deadline_miss_rate", "2 x 50 fps")} <= names
    shown = workplace.run("show", "latest").stdout
    assert "ms at the end of 3 s" in shown
    assert "missed their deadline" in shown
    page = (workplace.folder / cell["folder"] / "report.html").read_text()
    assert 'id="endurance"' in page
    before = (workplace.folder / cell["folder"] / "journal.jsonl").read_bytes()
    workplace.json("resume", "latest")
    assert (workplace.folder / cell["folder"] / "journal.jsonl").read_bytes() == before


def test_a_time_needs_a_unit_that_is_one(workplace: Workplace) -> None:
    furnished(workplace, "")
    assert "'5 days' is no time; write 90s, 30m or 1h." in workplace.run("run", "--sustain", "5 days", code=2).stderr
