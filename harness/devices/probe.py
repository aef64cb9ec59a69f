"""Probing a board behind SSH: what it is, which profile fits, and which of its sensors can be read."""

from __future__ import annotations

import json
import re
import secrets
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from edgerig import digest
from harness import workflow
from harness.agent.protocol import Identity, Job, StoredFile
from harness.devices.session import Session
from harness.measuring import watch
from targets import profile, vitals
from targets.profile import Target

# A word of the device-tree's model -> the profile that fits; the first that is found counts.
BOARDS = {"Raspberry Pi": "raspberry-pi", "Jetson": "jetson", "NVIDIA": "jetson"}
ANY = "linux"


class Board(NamedTuple):
    """A board and the target that it is to be.

    Attributes:
        name: of the target.
        identity: what its agent says.
        table: [targets.NAME].
        readings: what its sensors say.
        blind: vitals of the profile that could not be read.
    """

    name: str
    identity: Identity
    table: dict[str, Any]
    readings: vitals.Reading
    blind: list[str]


def name_of(address: str) -> str:
    """Return a name for a target: the host's first label, "board" for a bare address."""
    host = address.rpartition("@")[2].partition(":")[0]
    label = re.sub(r"[^A-Za-z0-9_-]+", "-", host.partition(".")[0]).strip("-_")
    return label[:64] if label and not label.isdigit() else "board"


def board(address: str, name: str, python: str | None = None) -> Board:
    """Return what answers at an address; raises TargetError."""
    way = {"transport": "ssh", "address": address, **({"python": python} if python else {})}
    unknown = profile.resolve(name, {name: {"extends": ANY, **way}})
    session = workflow.open_session(unknown)
    try:
        table = _table(session.identity, way)
        return _sensed(session, profile.resolve(name, {name: table}), table)
    finally:
        session.close()


def _table(identity: Identity, way: dict[str, Any]) -> dict[str, Any]:
    known = identity.board or ""
    base = next((base for word, base in BOARDS.items() if word in known), ANY)
    table = {"extends": base, "description": described(identity), **way}
    fits = profile.resolve("x", {"x": table}).settings.architecture in ("", identity.machine)
    return table if fits else {**table, "architecture": identity.machine}


def _sensed(session: Session, target: Target, table: dict[str, Any]) -> Board:
    """Read all sensors once, by a job that measures nothing."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "nothing.null"
        script.write_text(json.dumps({}))
        sha256 = digest.of_file(script)
        session.push({sha256: script})
    watched = target.settings.vitals
    job = Job(
        token=f"probe-{secrets.token_hex(8)}",
        kind="inspect",
        model=[StoredFile("nothing.null", sha256)],
        runtime="null",
        command=session.command("null"),
        vitals=watch.asked(target),
    )
    result = session.run(job)
    session.forget(job)
    texts = result.vitals[0].texts if result.vitals else {}
    parsers = {name: vital.parser for name, vital in watched.items()}
    each = {name: vitals.parsed(texts, {name: parser}) for name, parser in parsers.items()}
    blind = [name for name, reading in each.items() if not reading]
    return Board(target.name, session.identity, table, vitals.parsed(texts, parsers), blind)


def described(identity: Identity) -> str:
    """Return a machine in a few words."""
    return f"{identity.board or identity.cpu or identity.machine}, {identity.cores} cores, {identity.os}"
