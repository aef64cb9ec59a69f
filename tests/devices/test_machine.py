"""A whole emulated machine: the real image, booted on demand, from push to report, by the command line."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from harness import state, workflow
from harness.agent import protocol
from harness.devices.session import Session
from harness.measuring import measure
from targets import profile
from tests import needs
from tests.harness.command import Workplace
from tests.support import faces
from tests.support.quantized import quantized_model

TARGET = "emulated-arm64-machine"
SAME = 1e-3
# The kernel's clock interrupts every 4 million instructions and takes some 7,500 of them, so that frames differ by one
# interrupt: .0019 of a frame at 96 px (4.03 million), and less than SAME at this size.
SIZE = 160


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    needs.machine()
    needs.bundle()
    folder = tmp_path_factory.mktemp("machine")
    quantized_model(folder / "models", "int8", SIZE)
    faces.make(folder / "faces", 12, suffix=".npy", size=SIZE)
    place = Workplace(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGERIG_CACHE", place.environment["EDGERIG_CACHE"])
        yield place


def machines(workplace: Workplace) -> list[psutil.Process]:
    """Return the emulators that boot something of this workplace's."""
    found = []
    for process in psutil.process_iter(["name", "cmdline"]):
        words = " ".join(process.info["cmdline"] or ())
        if process.info["name"].startswith("qemu-system") and str(workplace.folder) in words:
            found.append(process)
    return found


@pytest.fixture(scope="module")
def run(workplace: Workplace) -> dict[str, Any]:
    found: dict[str, Any] = workplace.json(
        *("run", "--target", TARGET, "--variants", "models", "--faces", "faces", "--sample", 8),
        *("--out", workplace.folder / "runs"),
    )
    assert machines(workplace) == []
    return found


@pytest.fixture(scope="module")
def cell(run: dict[str, Any]) -> dict[str, Any]:
    (only,) = run["cells"]
    return dict(only)


def figure(cell: dict[str, Any], metric: str, scope: str) -> float:
    (found,) = [entry["value"] for entry in cell["metrics"] if (entry["metric"], entry["scope"]) == (metric, scope)]
    return float(found)


def test_a_model_is_measured_on_a_machine_with_a_kernel_of_its_own(run: dict[str, Any], cell: dict[str, Any]) -> None:
    assert (cell["outcome"], cell["fingerprint"]["cpu"]) == ("ok", "Cortex-A72")
    (target,) = run["targets"]
    assert target["device"].startswith("QEMU ")
    assert "cloud-arm64" in target["kernel"]
    assert figure(cell, "vm_hwm_mb", "all") > 20  # of the process, as this kernel counts it
    assert target["memory_mb"] < psutil.virtual_memory().total / (1 << 20)


def test_everything_says_that_it_is_emulated(run: dict[str, Any], cell: dict[str, Any], workplace: Workplace) -> None:
    assert cell["verdict"]["trust"] == "emulated"
    assert run["targets"][0]["emulated"]
    assert f"{TARGET} (emulated)" in Path(run["folder"], "report.html").read_text()
    assert "emulated: times are not those of a device" in workplace.run("show", run["folder"]).stdout


def test_instructions_of_a_frame_are_told_everywhere(
    run: dict[str, Any], cell: dict[str, Any], workplace: Workplace
) -> None:
    counted = figure(cell, "instructions", "inference")
    assert counted < figure(cell, "instructions", "end_to_end")
    assert figure(cell, "instructions_iqr", "inference") < SAME * counted
    assert counted / 1e6 == pytest.approx(figure(cell, "latency_p50", "inference"))  # 1 ns is one instruction
    folder = Path(run["folder"])
    assert f",{counted:.0f}" in (folder / "cells.csv").read_text()
    assert ",instructions,inference,instructions," in (folder / "results.csv").read_text()
    assert "million<br>instructions" in (folder / "report.html").read_text()
    assert "million instructions a frame" in workplace.run("show", folder).stdout


def test_the_next_boot_has_what_was_pushed_and_counts_the_same(
    run: dict[str, Any], cell: dict[str, Any], workplace: Workplace, tmp_path: Path
) -> None:
    session = workflow.open_session(profile.resolve(TARGET, {}))
    try:
        assert len(machines(workplace)) == 1
        times = again(session, Path(run["folder"]), tmp_path)
        assert session.pushed_bytes == 0  # models, faces, agent
    finally:
        session.close()
    assert machines(workplace) == []
    first = figure(cell, "instructions", "inference")
    assert abs(float(np.median(times)) - first) < SAME * first


def again(session: Session, folder: Path, place: Path) -> np.ndarray[Any, Any]:
    """Measure the cell of a run once more, in a process of its own, and return inference's nanoseconds."""
    plan = state.read(folder).plan
    variant, cell, (target,) = plan.variants[0], plan.cells[0], plan.targets
    session.push({file.sha256: file.path for file in variant.files} | {plan.faces.info.sha256: plan.faces.pack})
    method = plan.method_on(target.name)
    job = measure.job_for(
        *(target, variant, cell.key, "latency"),
        command=session.command(cell.key.runtime),
        faces=plan.faces.info.sha256,
        images=[face.path for face in plan.images_on(target.name)],
        warmup_frames=method.warmup_frames,
        warmup_s=0.0,
        min_frames=method.round_frames,
        min_s=0.0,
    )
    result = session.run(job)
    assert result.outcome == "ok", result.reason
    (frames,) = [array for array in result.arrays if array.name == "frames.npy"]
    session.fetch(job, frames, place / "frames.npy")
    times = np.load(place / "frames.npy")[result.warmup :]
    return np.asarray(times[:, protocol.STAGES.index("inference")])


def test_who_asks_for_leases_boots_nothing(workplace: Workplace) -> None:
    console = Path(workplace.environment["EDGERIG_CACHE"], "devices", TARGET, "console.log")
    before = console.exists() and console.stat().st_mtime_ns
    (row,) = workplace.json("leases", TARGET)
    assert row["state"] == "free"
    assert (console.exists() and console.stat().st_mtime_ns) == before


def test_the_machine_ends_with_a_controller_that_is_killed(workplace: Workplace) -> None:
    controller = workplace.start("doctor", TARGET)
    emulator = waited(lambda: machines(workplace))[0]
    controller.send_signal(signal.SIGKILL)
    controller.communicate()
    emulator.wait(20)
    assert machines(workplace) == []


def waited(look: Any) -> Any:
    end = time.monotonic() + 60
    while not (found := look()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return found


def test_machines_are_listed_with_what_they_are_made_of(workplace: Workplace) -> None:
    image = needs.machine()
    listed = {row["name"]: row for row in workplace.json("machine", "list")}
    packages = {package["name"] for package in listed[image.name]["contents"]["packages"]}
    assert {"busybox-static", "dropbear-bin", "libc6", "zlib1g"} <= packages
    assert any(name.startswith("linux-image-") for name in packages)
