"""An archive of ours on a device: sent where it is not there, verified, unpacked whole or not at all."""

from __future__ import annotations

import re
from pathlib import Path

from edgerig import digest
from edgerig.deadline import Deadline
from edgerig.errors import HostError, TargetFull, TargetRefused
from harness.stock import archive as archives
from targets import shell, unpacking
from targets.profile import Target
from targets.transport import Transport
from targets.unpacking import Unpacked

ASK_S = 60.0
UNPACK_S = 900.0  # 200 MB on a slow card
SLOWEST_LINK = 100_000  # bytes a second


def placed(target: Target, transport: Transport, archive: Path, name: str, sha256: str) -> tuple[str, int]:
    """Have an archive of ours unpacked on a device, sent first where it is not there.

    Args:
        target: which.
        transport: the way there.
        archive: a .tar.gz of plain files and folders.
        name: of the folder that it becomes, which changes with its content.
        sha256: of the archive.

    Returns:
        The folder on the device, and the bytes that were sent.

    Raises:
        HostError: the archive is damaged.
        TargetFull: there is no room for it.
        TargetRefused: the device cannot unpack it.
    """
    sent, size = 0, archive.stat().st_size
    said, complaint = _unpack(transport, name, sha256)
    if said.word == "missing":
        _verify(archive, sha256)
        transport.put(archive, f"{unpacking.FOLDER}/{name}.tar.gz", Deadline(ASK_S + size / SLOWEST_LINK))
        sent = size
        said, complaint = _unpack(transport, name, sha256)
    if said.done:
        return f"{{root}}/{unpacking.FOLDER}/{name}", sent
    if re.search("no space|disk quota|wrote only", complaint, re.IGNORECASE):  # the last is GNU tar's way
        raise TargetFull(
            f"no space is left on {target.name} to unpack {size / 1e6:.0f} MB.",
            f"Free some space there; `edgerig clean {target.name}` removes what edgerig keeps.",
        )
    why = "it did not arrive as it was sent" if said.word == "missing" else complaint or "it said nothing"
    raise TargetRefused(f"{name} could not be unpacked on {target.name}: {why}.")


def _verify(archive: Path, sha256: str) -> None:
    archives.check(archive)
    if digest.of_file(archive) != sha256:
        raise HostError(f"{archive} has changed since it was built.", "Remove it and build it again.")


def _unpack(transport: Transport, name: str, sha256: str) -> tuple[Unpacked, str]:
    done = shell.run(transport, unpacking.argv(name, sha256), Deadline(UNPACK_S))
    return unpacking.parsed(done.out), done.err[-300:]
