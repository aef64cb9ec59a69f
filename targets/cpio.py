"""Archives that the Linux kernel unpacks into its first root: cpio in the format "newc" (initramfs/buffer-format)."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

_END = "TRAILER!!!"


class Entry(NamedTuple):
    """A plain file of an archive; the folders above it are made."""

    path: str  # relative, e.g. "bin/busybox"
    content: bytes
    mode: int = 0o600


def archive(entries: Iterable[Entry]) -> bytes:
    """Return files as one archive, padded so that another one may follow; the same bytes for the same files.

    All belong to root and have no time.
    """
    made: set[str] = set()
    out = bytearray()
    for entry in entries:
        for folder in _new_folders(entry.path, made):
            out += _member(folder, b"", stat.S_IFDIR | 0o755, len(made))
        out += _member(entry.path, entry.content, stat.S_IFREG | entry.mode, len(out))
    return bytes(out + _member(_END, b"", 0, 0))


def _new_folders(path: str, made: set[str]) -> Iterator[str]:
    for folder in reversed([str(parent) for parent in PurePosixPath(path).parents]):
        if folder not in (".", "/", *made):
            made.add(folder)
            yield folder


def _member(path: str, content: bytes, mode: int, inode: int) -> bytes:
    """Return one member: 13 numbers of 8 hexadecimal digits, the name, the content; each padded to 4 bytes."""
    name = path.encode() + b"\0"
    numbers = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % number for number in numbers) + name
    return _padded(head) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
