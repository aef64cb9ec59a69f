"""What this device says of itself: read from the kernel and from the packages' own metadata, importing nothing."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import socket
import sys
from importlib import metadata, util
from pathlib import Path

from harness.agent.protocol import Identity

# Import name -> names that the package may have been installed under.
PACKAGES = {
    "numpy": ("numpy",),
    "cv2": ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python"),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-rocm"),
    "ai_edge_litert": ("ai-edge-litert", "ai-edge-litert-nightly"),
    "tflite_runtime": ("tflite-runtime",),
    "openvino": ("openvino",),
}

# The kernel tells a number where x86 tells a name. Source: Arm's Technical Reference Manuals, MIDR_EL1.PartNum.
ARM = "0x41"
ARM_PARTS = {
    "0xc07": "Cortex-A7",
    "0xd03": "Cortex-A53",
    "0xd04": "Cortex-A35",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd09": "Cortex-A73",
    "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd0d": "Cortex-A77",
    "0xd40": "Neoverse-V1",
    "0xd41": "Cortex-A78",
    "0xd42": "Cortex-A78AE",
    "0xd44": "Cortex-X1",
    "0xd46": "Cortex-A510",
    "0xd47": "Cortex-A710",
    "0xd48": "Cortex-X2",
    "0xd49": "Neoverse-N2",
    "0xd4d": "Cortex-A715",
    "0xd4e": "Cortex-X3",
    "0xd80": "Cortex-A520",
    "0xd81": "Cortex-A720",
}
# Of others than Arm, by implementer and part. Source: the kernel's arch/arm64/include/asm/cputype.h, qemu's cpu64.c.
OTHER_PARTS = {
    ("0x46", "0x001"): "A64FX",
    ("0x00", "0x051"): "QEMU max",
}


def identity(agent_sha256: str) -> Identity:
    """Return what this device is."""
    return Identity(
        agent_sha256=agent_sha256,
        python=platform.python_version(),
        python_executable=sys.executable,
        machine=platform.machine(),
        system=platform.system(),
        kernel=platform.release(),
        os=_os_name(_text("/etc/os-release")),
        libc=" ".join(platform.libc_ver()).strip(),
        hostname=socket.gethostname(),
        cpu=cpu_name(_text("/proc/cpuinfo")),
        cores=len(os.sched_getaffinity(0)),
        memory_mb=_memory_mb(_text("/proc/meminfo")),
        packages={name: version for name in PACKAGES for version in [package_version(name)] if version},
        board=_text("/proc/device-tree/model").strip("\0 \n") or None,
    )


def package_version(name: str) -> str | None:
    """Return the version of an importable package, "unknown" where only its files tell, None where it is absent."""
    if not util.find_spec(name):
        return None
    for distribution in PACKAGES[name]:
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(distribution)
    return "unknown"


def cpu_name(cpuinfo: str) -> str | None:
    """Return the processor's name from /proc/cpuinfo; cores of several kinds are joined by " + "."""
    named = re.findall(r"^(?:model name|cpu model|Hardware)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    makers = re.findall(r"^CPU implementer\s*:\s*(\w+)$", cpuinfo, re.MULTILINE)
    parts = re.findall(r"^CPU part\s*:\s*(\w+)$", cpuinfo, re.MULTILINE)
    found = [_arm(maker, part) for maker, part in zip(makers or [ARM] * len(parts), parts)] or named
    return " + ".join(dict.fromkeys(found)) or None


def _arm(maker: str, part: str) -> str:
    name = ARM_PARTS.get(part) if maker == ARM else OTHER_PARTS.get((maker, part))
    return name or (f"ARM part {part}" if maker == ARM else f"ARM part {part} of {maker}")


def _os_name(release: str) -> str:
    match = re.search(r'^PRETTY_NAME="?([^"\n]*)"?$', release, re.MULTILINE)
    return match.group(1) if match else ""


def _memory_mb(meminfo: str) -> float | None:
    match = re.search(r"^MemTotal:\s*(\d+) kB$", meminfo, re.MULTILINE)
    return int(match.group(1)) / 1024 if match else None


def _text(path: str) -> str:
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as stream:
            return stream.read(1 << 16)
    except OSError:
        return ""
