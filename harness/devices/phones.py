"""Probing the phones that adb sees, by their own shell alone: a target can be written before anything is put there."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from edgerig.deadline import Deadline
from edgerig.errors import TargetError
from targets import adb, connect, cores, shell, vitals
from targets.adb import AdbTransport, Server

PROFILE = "android"
PROBE_S = 30.0

# One line a question; a phone that cannot answer one prints an empty line.
_PROBE = r"""
for name in ro.product.manufacturer ro.product.model ro.build.version.release; do getprop "$name" || echo; done
uname -m || echo
"""


@dataclass(frozen=True)
class Phone:
    """A phone, and the target that it is to be.

    Attributes:
        serial: as adb calls it.
        name: of the target.
        table: [targets.NAME].
        threads: to begin with.
        unusable: why it cannot be used, and then all else is empty.
        todo: what to do about that.
    """

    serial: str
    name: str = ""
    table: dict[str, Any] = field(default_factory=dict)
    threads: tuple[int, ...] = ()
    unusable: str = ""
    todo: str = ""


def found(via: str, taken: Collection[str], known: Collection[str]) -> Iterator[Phone]:
    """Yield the phones that an adb server sees, those that cannot be used as well.

    Args:
        via: the host of the server, "" for this one.
        taken: names of targets.
        known: serials that are a target already, and left out.

    Raises:
        TargetError: there is no server to ask, or it sees no phone.
    """
    server = connect.adb_server(via)
    server.open()
    try:
        names, serials = set(taken), server.devices()
        if not serials:
            raise adb.nobody(server)
        for serial in serials:
            if serial not in known:
                phone = _phone(server, via, serial, names)
                names.add(phone.name)
                yield phone
    finally:
        server.close()


def _phone(server: Server, via: str, serial: str, taken: Collection[str]) -> Phone:
    try:
        adb.chosen(server, serial)
        transport = AdbTransport(server, serial)
        said = shell.run(transport, ["sh", "-c", _PROBE], Deadline(PROBE_S)).out.splitlines()
        strengths = cores.strengths_of(transport)
    except TargetError as error:
        return Phone(serial, unusable=error.message, todo=error.hint)
    maker, model, release, machine = (_plain(line) for line in [*said, "", "", "", ""][:4])
    several = len(set(strengths.values())) > 1
    described = [f"{maker} {model}".strip() or "a phone", f"Android {release}" if release else ""]
    table = {
        "extends": PROFILE,
        "description": ", ".join([text for text in described if text] + [cores.described(strengths)]),
        "address": serial,
        **({"via": via} if via else {}),
        **({"cores": "big"} if several else {}),
        **({"architecture": machine} if machine not in ("", "aarch64") else {}),
    }
    chosen = cores.resolved("big", strengths, serial) if strengths else (0,)
    return Phone(serial, _name(model, taken), table, tuple(sorted({1, min(len(chosen), 4)})))


def _plain(line: str) -> str:
    """Return what a phone says of itself where it is a plain word or a few, else ""."""
    return str(vitals.android_model([line]).get("model", ""))


def _name(model: str, taken: Collection[str]) -> str:
    """Return a name for a target that is not taken."""
    base = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")[:50] or "phone"
    names = [base, *(f"{base}-{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)
