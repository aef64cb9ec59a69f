"""Folders as one file: the same bytes from the same files, and nothing in it that could land anywhere else."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from pathlib import Path
from typing import cast

from edgerig import files
from edgerig.errors import HostError

LEVEL = 6  # of gzip: 9 takes three times as long for 1 % less


class _Digesting(io.RawIOBase):
    """A stream that hands on what is written to it and keeps its sha256."""

    def __init__(self, inner: gzip.GzipFile) -> None:
        self._inner = inner
        self.digest = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        content = bytes(cast("bytes", data))
        self.digest.update(content)
        return self._inner.write(content)


def pack(folder: Path, destination: Path) -> str:
    """Write a folder's files into a .tar.gz and return the sha256 of the tar, which no compressor decides.

    Names are sorted, owners and times are none, modes say whether it is a program; there are no links. The names'
    format is ustar, which every tar reads, Android's and busybox's as well.

    Raises:
        OutputError, DiskFull: `destination` cannot be written.
    """
    with files.writing(destination), destination.open("wb") as stream:
        # Neither a name nor a time goes into gzip's header.
        with gzip.GzipFile("", "wb", LEVEL, stream, mtime=0) as packed:
            content = _Digesting(packed)
            with tarfile.open(fileobj=content, mode="w|", format=tarfile.USTAR_FORMAT) as tar:
                for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).parts):
                    _add(tar, path, str(path.relative_to(folder)))
        return content.digest.hexdigest()


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    entry = tarfile.TarInfo(name)
    program = path.is_dir() or path.stat().st_mode & 0o100
    entry.mode = 0o755 if program else 0o644
    if path.is_dir():
        entry.type = tarfile.DIRTYPE
        tar.addfile(entry)
        return
    entry.size = path.stat().st_size
    with path.open("rb") as stream:
        tar.addfile(entry, stream)


def check(archive: Path) -> None:
    """Raise HostError where an archive holds anything but plain files and folders inside of its own folder."""
    try:
        with tarfile.open(archive) as tar:
            for entry in tar:
                _check_member(archive, entry)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise HostError(f"{archive} is damaged: {error}.", "Remove it and build it again.") from error


def _check_member(archive: Path, entry: tarfile.TarInfo) -> None:
    path = Path(entry.name)
    if path.is_absolute() or ".." in path.parts or not (entry.isfile() or entry.isdir()):
        raise HostError(
            f"{archive.name} would put something outside of its folder: {entry.name[:200]!r}.",
            "It is none that edgerig built: remove it.",
        )
