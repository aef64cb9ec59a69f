"""Content addresses: sha256 in lower-case hexadecimal, of bytes and of files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path


def of_bytes(data: bytes) -> str:
    """Return the sha256 of `data` as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def of_file(path: Path) -> str:
    """Return the sha256 of a file's content as 64 hexadecimal digits; raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def of_json(value: object) -> str:
    """Return the sha256 of a JSON-like value, the same for any order of keys."""
    return of_bytes(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())
