"""What an emulated device is shown of itself, and what is said where nothing can emulate it."""

from __future__ import annotations

import shutil

import pytest

from edgerig.errors import TargetRefused
from harness.agent.identity import cpu_name
from targets import emulator, vitals


@pytest.mark.parametrize("cpu", emulator.CPUS)
def test_each_processor_is_known_by_its_name(cpu: str) -> None:
    found = cpu_name(dict(emulator.files(cpu))["proc/cpuinfo"])
    assert found is not None
    assert found.lower().replace("qemu ", "") == cpu


def test_the_identity_register_is_that_of_the_processor() -> None:
    name = "sys/devices/system/cpu/cpu3/regs/identification/midr_el1"
    assert dict(emulator.files("cortex-a72"))[name] == "0x00000000410fd080\n"  # what a Raspberry Pi 4 says is ...d083


def test_sensors_that_an_emulator_has_not_read_as_absent() -> None:
    shown = dict(emulator.files("cortex-a53"))
    clocks = [text for name, text in shown.items() if name.endswith("scaling_cur_freq")]
    assert len(clocks) == emulator.CORES
    assert vitals.clock_khz(clocks) == {}
    assert vitals.governor([text for name, text in shown.items() if name.endswith("governor")]) == {}
    assert vitals.millicelsius([shown["sys/class/thermal/thermal_zone0/temp"]]) == {}
    assert vitals.meminfo([shown["proc/meminfo"]])["memory_available_mb"] == 4096


def test_a_machine_without_qemu_names_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(TargetRefused) as refused:
        emulator.words("cortex-a72", "root")
    assert "apt install qemu-user-static" in refused.value.hint
