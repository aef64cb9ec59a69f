"""ARM emulated by qemu-user: which processors there are, the words that start a program, and what it sees of a device.

qemu-user runs a program of another architecture on this machine's own kernel, so /proc and /sys would tell of this
machine. A folder of small files, given by -L, shadows them: each device has its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from edgerig.errors import TargetRefused

QEMU_USER = "qemu-user"
QEMU_SYSTEM = "qemu-system"  # a whole machine: see machine.py
# The static build first: a change of this machine's libraries is none of it.
PROGRAMS = ("qemu-aarch64-static", "qemu-aarch64")
INSTALL = "On Debian and its kin: apt install qemu-user-static"
CORES = 4
MEMORY_KB = 4 << 20

_V8 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
_V82 = f"{_V8} atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"


@dataclass(frozen=True)
class Cpu:
    """A processor that qemu knows.

    Attributes:
        implementer, part: as its identity register (MIDR_EL1) says them.
        features: as the kernel names them.
    """

    implementer: str
    part: str
    features: str

    @property
    def midr(self) -> int:
        """Its identity register, of revision 0: implementer, 0xf (see the ID registers), part."""
        return int(self.implementer, 16) << 24 | 0xF << 16 | int(self.part, 16) << 4


# By qemu's names. Source of the numbers: Arm's Technical Reference Manuals, MIDR_EL1; qemu's target/arm/cpu64.c.
CPUS = {
    "cortex-a35": Cpu("0x41", "0xd04", _V8),
    "cortex-a53": Cpu("0x41", "0xd03", _V8),
    "cortex-a57": Cpu("0x41", "0xd07", _V8),
    "cortex-a72": Cpu("0x41", "0xd08", _V8),
    "cortex-a76": Cpu("0x41", "0xd0b", _V82),
    "neoverse-n1": Cpu("0x41", "0xd0c", _V82),
    "a64fx": Cpu("0x46", "0x001", f"{_V8} atomics fphp asimdhp asimdrdm fcma dcpop sve"),
    "max": Cpu("0x00", "0x051", f"{_V82} fcma sve sve2 i8mm bf16"),
}


def words(cpu: str, fake_root: str) -> tuple[str, ...]:
    """Return what stands before a program for ARM on this machine.

    Args:
        cpu: one of CPUS.
        fake_root: folder that shadows this machine's files.

    Raises:
        TargetRefused: qemu-user is not here.
    """
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        raise TargetRefused(f"{PROGRAMS[0]} is not on this machine, and nothing here runs ARM's programs.", INSTALL)
    return (program, "-L", fake_root, "-cpu", cpu)


def files(cpu: str) -> Iterator[tuple[str, str]]:
    """Yield path and text of what an emulated device sees in the place of this machine's own files.

    Clocks and temperatures are 0, which readers take for a sensor that is not there: an emulator has neither. ONNX
    Runtime 1.31 needs a processor of ARM in /proc/cpuinfo, or it ends when it is imported.
    """
    yield "proc/cpuinfo", "".join(_core(number, CPUS[cpu]) for number in range(CORES))
    sizes = {"MemTotal": MEMORY_KB, "MemFree": MEMORY_KB, "MemAvailable": MEMORY_KB, "SwapTotal": 0, "SwapFree": 0}
    yield "proc/meminfo", "".join(f"{name + ':':<16}{kb:>8} kB\n" for name, kb in sizes.items())
    yield "proc/device-tree/model", f"qemu-user, {cpu}\0"
    yield "etc/os-release", 'PRETTY_NAME="edgerig bundle under qemu-user"\n'
    for name in ("online", "possible", "present"):
        yield f"sys/devices/system/cpu/{name}", f"0-{CORES - 1}\n"
    for number in range(CORES):
        for name in ("scaling_cur_freq", "cpuinfo_cur_freq", "cpuinfo_max_freq", "cpuinfo_min_freq"):
            yield f"sys/devices/system/cpu/cpu{number}/cpufreq/{name}", "0\n"
        yield f"sys/devices/system/cpu/cpu{number}/cpufreq/scaling_governor", "\n"
        yield f"sys/devices/system/cpu/cpu{number}/regs/identification/midr_el1", f"{CPUS[cpu].midr:#018x}\n"
    yield "sys/class/thermal/thermal_zone0/type", "none\n"
    yield "sys/class/thermal/thermal_zone0/temp", "0\n"


def _core(number: int, cpu: Cpu) -> str:
    lines = {
        "processor": number,
        "BogoMIPS": "100.00",
        "Features": cpu.features,
        "CPU implementer": cpu.implementer,
        "CPU architecture": 8,
        "CPU variant": "0x0",
        "CPU part": cpu.part,
        "CPU revision": 0,
    }
    return "".join(f"{name}\t: {value}\n" for name, value in lines.items()) + "\n"
