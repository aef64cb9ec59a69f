"""The agent as one file that Python runs: the same bytes from the same sources, and its digest in its name."""

from __future__ import annotations

import functools
import io
import os
import tempfile
import zipfile
from pathlib import Path

from edgerig import digest, preprocess

AGENT = Path(__file__).parents[1] / "agent"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold


def contents() -> dict[str, bytes]:
    """Return the members of the packed agent by name.

    The two packages are empty at their tops: on a device there is nothing of them but the agent and what it feeds.
    """
    files = {f"harness/agent/{path.relative_to(AGENT).as_posix()}": path for path in AGENT.rglob("*.py")}
    files["edgerig/preprocess.py"] = Path(preprocess.__file__)
    members = {name: path.read_bytes() for name, path in files.items()}
    members["__main__.py"] = members.pop("harness/agent/__main__.py")
    return {**members, "harness/__init__.py": b"", "edgerig/__init__.py": b""}


@functools.cache
def archive() -> bytes:
    """Return the packed agent. Stored, not deflated: other builds of zlib compress to other bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as pack:
        for name, data in sorted(contents().items()):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = 3  # Unix, wherever it is built
            entry.external_attr = 0o644 << 16
            pack.writestr(entry, data)
    return stream.getvalue()


def sha256() -> str:
    """Return the digest of the packed agent, which it tells as its identity."""
    return digest.of_bytes(archive())


def file_name() -> str:
    """Return the name of the packed agent."""
    return f"edgerig-agent-{sha256()[:12]}.pyz"


def build(folder: Path) -> Path:
    """Write the packed agent into `folder` unless it is there, and return its path; raises OSError."""
    path = folder / file_name()
    if not (path.exists() and digest.of_file(path) == sha256()):
        folder.mkdir(parents=True, exist_ok=True)
        handle, fresh = tempfile.mkstemp(prefix=path.name, dir=folder)
        with os.fdopen(handle, "wb") as stream:
            stream.write(archive())
        Path(fresh).chmod(0o644)
        Path(fresh).replace(path)
    return path
