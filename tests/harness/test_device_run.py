"""One run with all that a Jetson has and this machine pretends: settings, an engine, a power sensor, other scores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import edgerig
from harness.planning import method
from reports.records import Agreement, Cell, Run
from targets import settings
from tests.support import faces, models
from tests.support.sysfs import Device

BUILD_MS = 200

TARGETS = """
[targets.here]
architecture = ""

[targets.here.set]
governor = "performance"

[targets.here.vitals.governor]
file = "{home}/devices/system/cpu/cpufreq/policy*/scaling_governor"
parser = "governor"

[targets.here.vitals.power]
command = ["sh", "-c", "echo hwmon0/in1_label:VDD_IN; echo hwmon0/in1_input:5000; echo hwmon0/curr1_input:400"]
parser = "hwmon_rails"
"""
# Of a round: 2 frames of warm-up, then 20, of which one is long enough for the power to be sampled while it lasts;
# no other pass comes as far as that frame.
QUICK = {"rounds_min": 1, "round_frames": 20, "round_s": 0.0, "warmup_frames": 2, "warmup_s": 0.0}
LATENCY_MS = [*([1] * 20), 1100, 1]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Run, Device]]:
    """Return a run of one variant by three providers, of which one compiles, and scores otherwise."""
    folder = tmp_path_factory.mktemp("device-run")
    device, plain = Device(folder / "sys"), method.method
    script: dict[str, Any] = {
        "latency_ms": LATENCY_MS,
        "wait": "sleep",
        "build_ms": BUILD_MS,
        "drift": {"compiled": 0.3},
    }
    models.null_model(folder / "models", "net", **script)
    faces.make(folder / "faces", 12)
    (folder / "edgerig.toml").write_text(TARGETS.format(home=device.home))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("EDGERIG_CACHE", str(folder / "cache"))
        patch.setattr(settings, "SYS", str(device.home))
        patch.setattr(method, "method", lambda *words: plain(*words).model_copy(update=QUICK))
        providers = ("cpu", "npu", "compiled")
        run = edgerig.benchmark("models", faces="faces", targets=["here"], providers=providers, setting="quick")
        yield run.record, device


def cell(run: Run, provider: str) -> Cell:
    return next(cell for cell in run.cells if cell.key.provider == provider)


def test_every_cell_is_measured(measured: tuple[Run, Device]) -> None:
    run, _ = measured
    assert [(cell.outcome, cell.reason) for cell in run.cells] == [("ok", "")] * 3


def test_the_governor_was_set_while_it_was_measured_and_put_back(measured: tuple[Run, Device]) -> None:
    run, device = measured
    assert run.targets[0].settings["governor"] == "performance (was schedutil+ondemand, put back)"
    seen = {vitals.governor for cell in run.cells for entry in cell.rounds for vitals in entry.vitals}
    assert seen == {"performance"}
    assert device.governors == ["schedutil", "ondemand"]


def test_a_frame_has_its_joules(measured: tuple[Run, Device]) -> None:
    run, _ = measured
    found = cell(run, "cpu")
    frame = found.metric("energy_j", "all")
    assert frame
    assert frame.value
    assert frame.n == 1
    assert found.value("power_w", "all") == pytest.approx(2.0)
    mean = found.value("latency_mean", "end_to_end")
    assert mean
    assert frame.value == pytest.approx(2.0 * mean / 1000, rel=0.05)


def test_an_engine_is_built_before_anything_is_timed(measured: tuple[Run, Device]) -> None:
    run, _ = measured
    built = cell(run, "compiled").value("engine_build_ms", "all")
    assert built
    assert built >= BUILD_MS
    assert (cell(run, "compiled").value("load_ms", "all") or 0) < BUILD_MS  # of what was built
    assert (cell(run, "cpu").value("load_ms", "all") or 0) >= BUILD_MS  # each time anew
    assert cell(run, "cpu").metric("engine_build_ms", "all") is None


def test_scores_are_held_against_a_reference(measured: tuple[Run, Device]) -> None:
    run, _ = measured
    found: dict[str, Agreement] = {entry.here.provider: entry for entry in run.agreement}
    assert {entry.reference.provider for entry in found.values()} == {"cpu"}
    assert (found["npu"].identical, found["npu"].faces, found["npu"].flips) == (True, 12, 0)
    drifted = found["compiled"]
    assert not drifted.identical
    assert drifted.largest_difference == pytest.approx(0.3)
    assert [confounder.name for confounder in drifted.confounders] == ["provider"]
    assert 0 < drifted.flips == len(drifted.flipped)
    assert all(flip.reference < 0.5 <= flip.here for flip in drifted.flipped)
