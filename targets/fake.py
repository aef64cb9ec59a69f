"""Transport `fake`: wraps another one and breaks it on command, for what real devices do at the wrong moment.

    [targets.flaky]
    extends = "x86"
    transport = "fake"
    faults = [{ on = "put", kind = "full" }, { on = "receive", after = 5, kind = "drop" }]

A fault strikes the call number `after` (counted from 0) of its operation, and `times` calls from there on.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgerig.deadline import Deadline
from edgerig.errors import LinkLost, TargetFull, TargetUnreachable
from targets.transport import Channel, Transport

Operation = Literal["start", "put", "get", "send", "receive"]


class Fault(BaseModel):
    """One thing that goes wrong.

    kind: "drop" ends the link; "stall" says nothing until the deadline; "truncate" lets half of the bytes through;
    "full" is a disk without space; "offline" is a device that does not answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    on: Operation
    kind: Literal["drop", "stall", "truncate", "full", "offline"]
    after: Annotated[int, Field(ge=0)] = 0
    times: Annotated[int, Field(ge=1)] = 1


class Script:
    """Counts the calls of each operation and says which fault strikes."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._faults = faults
        self._calls: Counter[str] = Counter()

    def strikes(self, operation: Operation) -> str:
        """Return the kind of the fault that strikes this call, or "" for none; an ended link stays so."""
        number = self._calls[operation]
        self._calls[operation] += 1
        for fault in self._faults:
            if fault.on == operation and fault.after <= number < fault.after + fault.times:
                _raise(fault.kind)
                return fault.kind
        return ""


def _raise(kind: str) -> None:
    if kind == "drop":
        raise LinkLost("the fake link dropped.")
    if kind == "full":
        raise TargetFull("no space is left on the fake device.")
    if kind == "offline":
        raise TargetUnreachable("the fake device does not answer.")


class FakeChannel:
    """A channel that breaks when its script says so."""

    def __init__(self, inner: Channel, script: Script) -> None:
        self._inner = inner
        self._script = script

    def send(self, data: bytes) -> None:
        """Send, or lose it."""
        kind = self._script.strikes("send")
        self._inner.send(data[: len(data) // 2] if kind == "truncate" else data)

    def receive(self, deadline: Deadline) -> bytes:
        """Receive, or nothing, or half of it."""
        kind = self._script.strikes("receive")
        if kind == "stall":
            # The real wait would only slow the tests down: what the caller sees is the deadline's end.
            raise LinkLost("the fake device went silent.")
        data = self._inner.receive(deadline)
        return data[: len(data) // 2] if kind == "truncate" else data

    def errors(self) -> str:
        """Return the inner process's stderr."""
        return self._inner.errors()

    def close(self) -> None:
        """Close the inner channel."""
        self._inner.close()


class FakeTransport:
    """A transport that breaks when its script says so.

    Args:
        inner: what really moves the bytes.
        faults: what goes wrong, and when.
    """

    def __init__(self, inner: Transport, faults: Sequence[Fault]) -> None:
        self.root = inner.root
        self.patience_s = inner.patience_s
        self._inner = inner
        self._script = Script(faults)

    def put(self, source: Path, name: str, deadline: Deadline) -> None:
        """Put, or half of the file."""
        if self._script.strikes("put") == "truncate":
            data = source.read_bytes()
            with tempfile.NamedTemporaryFile() as half:
                half.write(data[: len(data) // 2])
                half.flush()
                self._inner.put(Path(half.name), name, deadline)
        else:
            self._inner.put(source, name, deadline)

    def get(self, name: str, destination: Path, deadline: Deadline) -> None:
        """Get, or half of the file."""
        kind = self._script.strikes("get")
        self._inner.get(name, destination, deadline)
        if kind == "truncate":
            destination.write_bytes(destination.read_bytes()[: destination.stat().st_size // 2])

    def start(self, argv: Sequence[str]) -> FakeChannel:
        """Start the program behind a channel that may break."""
        self._script.strikes("start")
        return FakeChannel(self._inner.start(argv), self._script)

    def close(self) -> None:
        """Close the inner transport."""
        self._inner.close()
