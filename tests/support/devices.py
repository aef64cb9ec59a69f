"""A session with the real, packed agent on this machine, behind a link that can be told to break."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.devices.session import Session
from targets.fake import FakeTransport, Fault
from targets.local import LocalTransport
from targets.transport import Transport


def transport(folder: Path, faults: Sequence[dict[str, Any]] = ()) -> Transport:
    """Return a transport to a device in `folder`/device; faults as in edgerig.toml break it."""
    local = LocalTransport(folder / "device")
    return FakeTransport(local, [Fault.model_validate(fault) for fault in faults]) if faults else local


@contextmanager
def session(folder: Path, faults: Sequence[dict[str, Any]] = ()) -> Iterator[Session]:
    """Open a session with a device in `folder`/device, the agent packed into `folder`/agents."""
    opened = Session(transport(folder, faults), [sys.executable], folder / "agents")
    try:
        yield opened
    finally:
        opened.close()
