"""Files by their sha256: what the controller pushed, verified before it is used.

incoming/<sha256>   put there by the controller's transport
store/<sha256>      verified
store/index.json    size, time and inode of each file when it was verified
store/uses.json     digests, the one that was asked for last at the end: boards without a clock wake up in 1970
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
from pathlib import Path
from typing import Sequence

HEX = re.compile(r"[0-9a-f]{64}")
CHUNK = 1 << 20


class Store:
    """The files of one agent's folder.

    A file is hashed when it arrives, and again only when its size, time or inode is no longer what it was then:
    a set of 4,000 faces is 100 MB, and hashing it takes a Raspberry Pi's card about 3 s.

    Args:
        root: the agent's folder.
    """

    def __init__(self, root: Path) -> None:
        self._incoming = root / "incoming"
        self._folder = root / "store"
        self._index = self._folder / "index.json"
        for folder in (self._incoming, self._folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._verified = self._load()
        self._asked: set[str] = set()

    def path(self, digest: str) -> Path:
        """Return where the file with this digest lies, or would; raises ValueError where it is no digest."""
        if not isinstance(digest, str) or not HEX.fullmatch(digest):
            raise ValueError(f"{str(digest)[:80]!r} is no sha256 in 64 hexadecimal digits")
        return self._folder / digest

    def has(self, digest: str) -> bool:
        """Return whether the file is there and is what its name says; a damaged one is removed."""
        path = self.path(digest)
        mark = _mark(path)
        if mark is None:
            return False
        if self._verified.get(digest) == mark:
            return True
        if _sha256(path) != digest:
            path.unlink()
            return False
        self._remember(digest)
        return True

    def missing(self, digests: Sequence[str]) -> list[str]:
        """Return those of `digests` that are not there; from now on none of them is evicted."""
        absent = [digest for digest in digests if not self.has(digest)]
        self._asked.update(digests)
        uses = [digest for digest in self._uses() if digest not in digests] + list(digests)
        _write_json(self._folder / "uses.json", uses)
        return absent

    def make_room(self, coming: int, limit: int) -> int:
        """Remove what was not used for the longest time until there is room; returns the bytes that were removed.

        What this agent was asked for stays, also where it alone is more than the limit.

        Args:
            coming: bytes that are about to arrive.
            limit: most bytes of all files.
        """
        sizes = {path.name: path.stat().st_size for path in self._folder.iterdir() if HEX.fullmatch(path.name)}
        too_many = sum(sizes.values()) + coming - limit
        rank = {digest: number for number, digest in enumerate(self._uses(), 1)}
        freed = 0
        for name in sorted(sizes, key=lambda name: rank.get(name, 0)):
            if freed >= too_many:
                break
            if name not in self._asked:
                (self._folder / name).unlink()
                freed += sizes[name]
        return freed

    def _uses(self) -> list[str]:
        try:
            content = json.loads((self._folder / "uses.json").read_text())
        except (OSError, ValueError):
            return []
        return [entry for entry in content if isinstance(entry, str)] if isinstance(content, list) else []

    def accept(self, digest: str) -> None:
        """Verify incoming/<digest> and move it into the store.

        Raises:
            ValueError: it did not arrive, is no plain file, or is damaged, and then removed.
        """
        target = self.path(digest)
        source = self._incoming / digest
        if _mark(source) is None:
            if self.has(digest):  # accepted before, and the answer was lost
                return
            raise ValueError(f"incoming/{digest} is not there as a plain file")
        found = _sha256(source)
        if found != digest:
            source.unlink()
            raise ValueError(f"incoming/{digest} arrived damaged: its sha256 is {found}")
        with contextlib.suppress(OSError):  # FAT
            source.chmod(0o444)
        source.replace(target)
        self._remember(digest)

    def _remember(self, digest: str) -> None:
        self._verified[digest] = _mark(self.path(digest))
        _write_json(self._index, self._verified)

    def _load(self) -> dict[str, list[int] | None]:
        try:
            content = json.loads(self._index.read_text())
        except (OSError, ValueError):
            return {}  # costs one hashing of each file, no more
        return content if isinstance(content, dict) else {}


def _write_json(path: Path, content: object) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(content))
    fresh.replace(path)


def _mark(path: Path) -> list[int] | None:
    """Return size, time and inode of a plain file, or None where it is none."""
    try:
        status = path.lstat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _sha256(path: Path) -> str:
    """Return the digest of what is on the disk, having asked for it to be there: power may be cut at any time."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        with contextlib.suppress(OSError):  # a file system of Android's that knows no fsync of what is only read
            os.fsync(stream.fileno())
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()
