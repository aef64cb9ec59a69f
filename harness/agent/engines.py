"""Engines: what some providers compile a model into, for minutes; kept on the device by all that they depend on.

engines/<key>/      what the runtime puts there
engines/<key>/whole the build ended well
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from harness.agent.protocol import Job

KEPT = 16  # those used last; an engine is about as big as its model


def folder(job: Job, root: Path, runtime: str) -> Path:
    """Return where the engine of a job's model is, or would be.

    Args:
        job: its model, provider and options decide, and its threads do not.
        root: the device's folder.
        runtime: name and version.
    """
    model = sorted((entry.name, entry.sha256) for entry in job.model)
    shape = list(job.input.shape) if job.input else []
    key = json.dumps([model, shape, runtime, job.provider, sorted(job.options.items())])
    return root / "engines" / hashlib.sha256(key.encode()).hexdigest()[:32]


def whole(path: Path) -> bool:
    """Return whether an engine is there, and note that it is used."""
    mark = path / "whole"
    if mark.exists():
        mark.touch()
        return True
    return False


def begin(path: Path) -> None:
    """Make an empty folder for an engine, and remove those that were not used for the longest time."""
    shutil.rmtree(str(path), ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    others = sorted(path.parent.iterdir(), key=_used)
    for other in others[: max(0, len(others) - KEPT + 1)]:
        shutil.rmtree(str(other), ignore_errors=True)
    path.mkdir()


def _used(path: Path) -> float:
    mark = path / "whole"
    return mark.stat().st_mtime if mark.exists() else 0.0


def end(path: Path) -> None:
    """Say that an engine was built well."""
    (path / "whole").touch()
