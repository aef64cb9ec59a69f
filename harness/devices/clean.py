"""Taking away what edgerig keeps on a device, and nothing else."""

from __future__ import annotations

from edgerig.deadline import Deadline
from edgerig.errors import TargetRefused
from harness import places
from harness.devices.lease import Lease
from targets import connect, shell
from targets.profile import Target

# Folders of the device's; leases stay.
OURS = ("agents", "bundles", "engines", "incoming", "native", "spool", "store", "venvs", "wheels")
CLEAN_S = 300.0

# Arguments: the device's folder, then ours. A link in the place of a folder is taken away and not followed.
SCRIPT = r"""
cd "$1" || exit
shift
for name; do
    if [ -L "$name" ]; then rm -f "$name"; elif [ -d "$name" ]; then set -- "$@" "./$name"; fi
    shift
done
if [ $# -eq 0 ]; then echo 0; exit; fi
du -skc "$@" | tail -n 1
rm -rf "$@"
"""


def clean(target: Target) -> int:
    """Remove all that edgerig keeps on a target and return the kB that it took.

    Raises:
        TargetHeld: somebody is at work there.
        TargetError: it cannot be done.
    """
    with Lease(target, "clean"):
        transport = connect.connect(target, places.devices())
        try:
            done = shell.run(transport, ["sh", "-c", SCRIPT, "edgerig", "{root}", *OURS], Deadline(CLEAN_S))
        finally:
            transport.close()
    if done.status or not done.out.split():
        raise TargetRefused(f"{target.name} could not be cleaned: {done.err or done.out}".strip())
    return int(done.out.split()[0])
