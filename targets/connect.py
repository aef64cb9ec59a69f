"""From a target to its transport: one row for each way to reach a device."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from targets.fake import FakeTransport
from targets.local import LocalTransport
from targets.profile import Target
from targets.transport import Transport

if TYPE_CHECKING:
    from targets.adb import Server


def _local(target: Target, devices: Path) -> Transport:
    return LocalTransport(devices / target.name)


def _fake(target: Target, devices: Path) -> Transport:
    return FakeTransport(_local(target, devices), target.settings.faults)


def _ssh(target: Target, devices: Path) -> Transport:
    from targets.ssh import SshTransport  # noqa: PLC0415 - paramiko takes .2 s to import

    return SshTransport(target.settings.address)


def _machine(target: Target, devices: Path) -> Transport:
    from targets import image  # noqa: PLC0415 - see above
    from targets.machine import Kind, MachineTransport  # noqa: PLC0415

    settings = target.settings
    made = image.newest(image.folder(devices), settings.architecture)
    kind = Kind(target.name, settings.cpu, settings.counts_instructions)
    return MachineTransport(made, kind, devices / target.name)


def _adb(target: Target, devices: Path) -> Transport:
    from targets.adb import AdbTransport  # noqa: PLC0415 - asked for by few

    return AdbTransport(adb_server(target.settings.via), target.settings.address)


def adb_server(via: str) -> Server:
    """Return the adb server that sees a phone: this machine's, or that of the host `via`."""
    if via:
        from targets.rack import RackServer  # noqa: PLC0415 - see _ssh

        return RackServer(via)
    from targets.adb import Server  # noqa: PLC0415

    return Server()


TRANSPORTS: dict[str, Callable[[Target, Path], Transport]] = {
    "local": _local,
    "ssh": _ssh,
    "adb": _adb,
    "machine": _machine,
    "fake": _fake,
}
THERE = ("ssh", "adb")  # ways to devices that are not this machine


def connect(target: Target, devices: Path) -> Transport:
    """Return an open transport to a target.

    Args:
        target: which device.
        devices: folder of the controller where devices that are this machine have theirs.

    Raises:
        TargetUnreachable: it does not answer.
        TargetRefused: it answers and says no.
    """
    return TRANSPORTS[target.settings.transport](target, devices)


def keeping(target: Target, devices: Path) -> Transport:
    """Return an open transport to where a target's leases are kept; a machine of ours need not be booted for that."""
    return _local(target, devices) if target.settings.transport == "machine" else connect(target, devices)


def device(target: Target) -> str:
    """Return what tells the physical device of a target from others; targets with the same one share its processors."""
    settings = target.settings
    if settings.transport not in THERE:
        return "this machine"
    if settings.transport == "adb":
        return f"adb{settings.via and ' at '}{settings.via}: {settings.address or 'the only one'}"
    from targets.ssh import resolve  # noqa: PLC0415 - see above

    where = resolve(settings.address)
    return f"{where.host}:{where.port}"


def hangs_on(target: Target) -> str:
    """Return what a target shares with others that goes down as one: its hub, the host before it, or its host.

    "" where it hangs on this machine alone.
    """
    if target.settings.hub:
        return f"hub '{target.settings.hub}'"
    if target.settings.transport == "adb":
        return f"host {target.settings.via}" if target.settings.via else ""
    if target.settings.transport != "ssh":
        return ""
    from targets.ssh import resolve  # noqa: PLC0415 - see above

    where = resolve(target.settings.address)
    return f"host {where.jump or where.host}"


def leases(target: Target) -> str:
    """Return the folder of a target's leases on its device: beside all targets that are this machine, as they share it.

    No target's name begins with a dot.
    """
    return "{root}/lease" if target.settings.transport in THERE else "{root}/../.lease"


def python_of(target: Target) -> str:
    """Return the Python that runs the agent there."""
    return target.settings.python or (sys.executable if target.settings.transport in ("local", "fake") else "python3")
