"""Short programs on a device, run to their end: for what has to happen there before, or without, our agent."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from edgerig.deadline import Deadline
from edgerig.errors import ProtocolError
from targets.transport import Transport

LONGEST = 1 << 20  # bytes of output that are taken in

# Not every way to a device tells a program's status, so that the shell says it after all that was printed.
_WRAP = '"$@" < /dev/null; printf "\\nstatus %d\\n" "$?"'
_STATUS = re.compile(rb"\nstatus ([0-9]{1,3})\n")


@dataclass(frozen=True)
class Done:
    """A program that ended: its status, and what it printed on stdout and (the end of it) on stderr."""

    status: int
    out: str
    err: str


def run(transport: Transport, argv: Sequence[str], deadline: Deadline) -> Done:
    """Run a program on a device to its end.

    Args:
        transport: the way there.
        argv: the program; `{root}` in a word is the device's folder.
        deadline: for all of it.

    Raises:
        LinkLost: the deadline passed, or the link was lost.
        ProtocolError: it printed more than a mebibyte, or the shell did not say how it ended.
    """
    channel = transport.start(["sh", "-c", _WRAP, "edgerig", *argv])
    try:
        data = b""
        while more := channel.receive(deadline):
            data += more
            if len(data) > LONGEST:
                raise ProtocolError(f"{argv[0]} on the device does not stop printing.")
        found = _STATUS.search(data[-20:])
        if not found:
            raise ProtocolError(f"{argv[0]} on the device ended without a status.", channel.errors()[-300:])
        out = data[: len(data) - len(found[0])].decode(errors="replace")
        return Done(int(found[1]), out, channel.errors())
    finally:
        with contextlib.suppress(OSError):
            channel.close()
