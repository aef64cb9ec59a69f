"""Writing files so that they are there whole or not at all, and so that trouble is one sentence."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from edgerig.errors import DiskFull, OutputError


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError of the block, which writes `path`, into an OutputError or DiskFull."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"the disk is full: {path} could not be written.",
                "What was measured so far is kept: free some space, then `edgerig resume` the run.",
            ) from error
        raise OutputError(f"{path} cannot be written: {error.strerror or error}.", "Choose another folder.") from error


def write(path: Path, data: bytes) -> None:
    """Write a file durably under a temporary name, then give it its own; raises OutputError or DiskFull."""
    part = path.with_name(path.name + ".part")
    with writing(path):
        try:
            with part.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise


def copy(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all; raises OutputError or DiskFull."""
    part = target.with_name(target.name + ".part")
    try:
        with writing(target):
            shutil.copyfile(source, part)
            part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def make_folder(path: Path) -> Path:
    """Make a folder and those above it where they are missing; raises OutputError or DiskFull."""
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    return path
