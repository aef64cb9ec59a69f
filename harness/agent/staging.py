"""A job's files before the child starts: all there, intact, and under the names that the model knows them by."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from harness.agent.failures import FailedError, UnsupportedError
from harness.agent.protocol import JOBS, Job
from harness.agent.store import Store

LONGEST_NAME = 255  # bytes, of every file system that matters


def stage(job: Job, folder: Path, store: Store) -> None:
    """Put the model's files into `folder`/model; raises OutcomeError where anything is missing."""
    if job.kind not in JOBS:
        raise UnsupportedError(f"this agent knows no job {job.kind[:40]!r}; it knows: {', '.join(JOBS)}")
    if not job.model:
        raise FailedError("the job names no model")
    if job.faces is not None and not store.has(job.faces):
        raise FailedError(f"the face set {job.faces[:12]} is not on the device, or was damaged there")
    models = folder / "model"
    models.mkdir()
    for entry in job.model:
        if not _plain(entry.name):
            raise FailedError(f"{entry.name[:80]!r} is no plain file name")
        if not store.has(entry.sha256):
            raise FailedError(f"{entry.name} ({entry.sha256[:12]}) is not on the device, or was damaged there")
        _place(store.path(entry.sha256), models / entry.name)


def _plain(name: str) -> bool:
    """Return whether a file of this name lies in the folder that it is put into."""
    known = 0 < len(name.encode("utf-8", "replace")) <= LONGEST_NAME and name not in {".", ".."}
    return known and not {"/", "\0"} & set(name)


def _place(source: Path, target: Path) -> None:
    """Make a file appear at `target`.

    A hard link, because ONNX Runtime refuses external data that a symbolic link leads to; SD cards with FAT have
    neither, and Android's shell may not make the first.
    """
    for link in (os.link, os.symlink):
        try:
            link(str(source), str(target))
        except OSError:
            continue
        return
    shutil.copyfile(str(source), str(target))
