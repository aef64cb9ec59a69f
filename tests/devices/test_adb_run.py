"""The main job on a phone of ours, as people do it: a bundle in an Android-like root, unplugged twice, gone on with.

What it shows is that we use adb rightly and need nothing that Android has not; not that a phone behaves so.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgerig.errors import TargetRefused
from harness import cli, config, workflow
from harness.devices import lease
from reports.records import Run
from reports.text import as_text
from targets.adb import AdbTransport
from tests import needs
from tests.devices import android
from tests.devices.adbd import Phone
from tests.devices.test_adb_links import During
from tests.support import faces
from tests.support.quantized import SIZE, quantized_model

QEMU = "qemu-aarch64-static"
BIG = max(android.CORES)


@dataclass
class Told:
    """What came of it: both exit codes, the run when it was lost and at its end, and its folder."""

    codes: tuple[int, int]
    lost: Run
    run: Run
    folder: Path


def measuring(phone: Phone, kind: str) -> Callable[[], object]:
    """Return what says whether a process of a pass is at work on the phone."""
    return lambda: next((phone.device / "spool").glob(f"{kind}-*/progress"), None)


def configuration(phone: Phone, qemu: str) -> str:
    return f"""
[targets.phone]
extends = "android"
address = "{phone.address}"
launcher = ["{qemu}", "-cpu", "cortex-a76"]
emulated = true
cores = "big"
"""


@pytest.fixture(scope="module")
def told(only_phone: Phone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Measure on the phone and here: unplugged for good in a round, then gone on with, and dropped for a moment."""
    needs.bundle()
    needs.require(QEMU, "qemu-user-static is missing")
    phone, folder = only_phone, tmp_path_factory.mktemp("phone-run")
    shutil.copy(str(shutil.which(QEMU)), phone.android.root / "data/local" / QEMU)
    faces.make(folder / "faces", 8, suffix=".npy", size=SIZE)
    quantized_model(folder / "models", "int8")
    (folder / "edgerig.toml").write_text(configuration(phone, f"/data/local/{QEMU}"))
    words = ["run", "--target", "phone,x86", "--quick", "--variants", "models", "--faces", "faces", "--json"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(AdbTransport, "patience_s", 1.0)
        patch.setattr(lease, "EXPIRY_S", 1)  # nobody can free that of a phone that is gone
        with During(measuring(phone, "latency"), phone.unplug) as unplugged:
            first = cli.main(words)
        lost = run_in(folder)
        phone.in_order()
        patch.setattr(AdbTransport, "patience_s", 20.0)
        with During(measuring(phone, "accuracy"), phone.drop) as dropped:
            second = cli.main(["resume", "latest", "--json"])
        assert unplugged.done
        assert dropped.done
        yield Told((first, second), lost, run_in(folder), next((folder / "runs").iterdir()))
    phone.in_order()


def run_in(folder: Path) -> Run:
    return Run.model_validate_json(next((folder / "runs").glob("*/run.json")).read_bytes())


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    lines = (folder / "journal.jsonl").read_text().splitlines()
    return [event for line in lines if (event := json.loads(line))["event"] == kind]


def outcomes(run: Run) -> dict[str, str]:
    return {cell.key.target: str(cell.outcome) for cell in run.cells}


def test_a_phone_that_is_unplugged_is_lost_and_the_others_go_on(told: Told) -> None:
    assert outcomes(told.lost) == {"phone": "lost", "x86": "ok"}
    assert told.codes[0] == 3
    (cell,) = [cell for cell in told.lost.cells if cell.key.target == "phone"]
    assert "does not answer" in cell.reason
    assert cell.next_step.startswith("edgerig resume ")


def test_resume_finishes_also_when_the_link_drops_once_more(told: Told) -> None:
    assert outcomes(told.run) == {"phone": "ok", "x86": "ok"}
    assert told.codes[1] == 0
    assert [len(cell.rounds) for cell in told.run.cells if cell.key.target == "phone"] == [1]


def test_the_scores_are_those_of_this_machine(told: Told) -> None:
    phone, here = (sorted((told.folder / "scores").glob(f"int8-{name}-*.csv")) for name in ("phone", "x86"))
    assert phone[0].read_text() == here[0].read_text()


def test_the_report_says_what_it_was(told: Told) -> None:
    target = told.run.target("phone")
    assert (target.device, target.os, target.cpu) == ("Test Phone", "Android 13", "Cortex-A55 + Cortex-A76")
    assert target.settings["cores"] == f"big: {BIG}"
    assert (target.settings["screen"], target.settings["battery percent"]) == ("asleep", "87")
    (cell,) = [cell for cell in told.run.cells if cell.key.target == "phone"]
    assert cell.fingerprint
    assert (cell.fingerprint.affinity, cell.fingerprint.device) == (str(BIG), "Test Phone")
    seen = cell.rounds[0].vitals[0]
    assert (seen.temperature_c, seen.throttled, seen.battery_percent, seen.powered_by) == (43.25, False, 87, "USB")
    for text in (as_text(told.run, 200), (told.folder / "report.html").read_text()):
        assert "Measured in a shell process, not in an app; CPU only" in text


def test_what_is_there_is_not_pushed_again(told: Told, phone: Phone) -> None:
    first, second = (event["bytes"] for event in events(told.folder, "pushed") if event["target"] == "phone")
    assert first > 0
    assert second == 0
    assert list((phone.device / "incoming").iterdir()) == []
    # Of the round that was lost a trace is left, as nobody came back for it; later ones push it out.
    assert [path.name.partition("-")[0] for path in (phone.device / "spool").iterdir()] in ([], ["latency"])


def test_an_empty_battery_is_left_alone(phone: Phone, tmp_path: Path) -> None:
    path = tmp_path / "edgerig.toml"
    path.write_text(configuration(phone, "/no/qemu"))
    phone.android.state(level=12)
    try:
        with pytest.raises(TargetRefused, match="the battery of phone is at 12 %, below the 30 % that it must have"):
            workflow.open_session(config.load(path).target("phone"))
    finally:
        phone.android.state()
