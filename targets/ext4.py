"""File systems in a file, made without root: `mke2fs -d` fills one from a folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from edgerig import files, process
from edgerig.deadline import Deadline
from edgerig.errors import HostError

MAKE_S = 300.0
_SBIN = "/usr/sbin:/sbin"  # where Debian puts it, and where only root's PATH leads


def program() -> str:
    """Return mke2fs; raises HostError where it is not here."""
    found = shutil.which("mke2fs") or shutil.which("mke2fs", path=_SBIN)
    if found is None:
        raise HostError("mke2fs is not on this machine.", "On Debian and its kin: apt install e2fsprogs")
    return found


def make(path: Path, mebibytes: int, content: Path | None = None) -> None:
    """Make a file system in a new file, which takes only as much room as is used.

    Without a journal: what was not left in order is made anew.

    Args:
        path: of the file.
        mebibytes: the most that it can hold.
        content: a folder whose files it gets.

    Raises:
        OutputError, DiskFull: it cannot be written.
        HostError: mke2fs is not here, or fails.
    """
    options = ["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-E", "root_owner=0:0,lazy_itable_init=1"]
    filling = ["-d", str(content)] if content else []
    with files.writing(path):
        path.unlink(missing_ok=True)
        path.touch(0o600)
        os.truncate(path, mebibytes << 20)
    process.run([program(), *options, *filling, str(path)], deadline=Deadline(MAKE_S))
