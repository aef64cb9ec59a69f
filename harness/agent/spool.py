"""One folder for each job: what was asked, what came of it, and the arrays until the controller has them.

spool/<token>/job.json      the request
spool/<token>/lock          held by the agent that is at work on it, and by nobody once that one is dead
spool/<token>/wanted        somebody waits for the result
spool/<token>/model/        the model's files under the names that the model knows them by
spool/<token>/progress      how far the child is
spool/<token>/found.json    what the child found out
spool/<token>/result.json   the answer, kept until it is forgotten
spool/<token>/*.npy         arrays
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any, Iterator

from harness.agent.protocol import Job

TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")
KEPT = 64  # jobs whose results nobody fetched; 64 full rounds of frames are 10 MB


class Spool:
    """The jobs of one agent's folder.

    Args:
        root: the agent's folder.
    """

    def __init__(self, root: Path) -> None:
        self._folder = root / "spool"
        self._folder.mkdir(parents=True, exist_ok=True)

    def begin(self, job: Job) -> Path:
        """Return a fresh folder for `job`; raises ValueError where it has a result already."""
        folder = self._of(job.token)
        if (folder / "result.json").exists() or self.busy(job.token):
            raise ValueError(f"job {job.token} has been done or is under way: collect or forget it")
        self._remove(folder)
        self._prune()
        folder.mkdir()
        write_json(folder / "job.json", asdict(job))
        return folder

    @contextlib.contextmanager
    def begun(self, job: Job) -> Iterator[Path]:
        """Yield a fresh folder for `job`, which is `busy` for the length of the block."""
        folder = self.begin(job)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
            (folder / "lock").unlink()

    def busy(self, token: str) -> bool:
        """Whether an agent, this one or another, is at work on a job."""
        try:
            with (self._of(token) / "lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def want(self, token: str) -> None:
        """Tell the agent at work on a job that somebody waits for it."""
        with contextlib.suppress(FileNotFoundError):
            (self._of(token) / "wanted").touch()

    def finish(self, token: str, result: dict[str, Any]) -> dict[str, Any]:
        """Keep the result, drop what only the measurement needed, and return the result."""
        folder = self._of(token)
        self._remove(folder / "model")
        for name in ("progress", "found.json", "wanted"):
            path = folder / name
            if path.exists():
                path.unlink()
        write_json(folder / "result.json", result)
        return result

    def collect(self, token: str) -> dict[str, Any] | None:
        """Return the result of a job that was finished, or None."""
        path = self._of(token) / "result.json"
        if not path.exists():
            return None
        content: dict[str, Any] = json.loads(path.read_text())
        return content

    def forget(self, token: str) -> None:
        """Remove all of a job; nothing happens where there is none."""
        self._remove(self._of(token))

    def _of(self, token: str) -> Path:
        if not isinstance(token, str) or not TOKEN.fullmatch(token):
            raise ValueError(f"{str(token)[:80]!r} is no token: letters, digits, '-' and '_', at most 128")
        return self._folder / token

    def _prune(self) -> None:
        folders = sorted(self._folder.iterdir(), key=lambda folder: folder.lstat().st_mtime)
        for folder in folders[: max(0, len(folders) - KEPT + 1)]:
            self._remove(folder)

    @staticmethod
    def _remove(folder: Path) -> None:
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(str(folder))


def write_json(path: Path, content: object) -> None:
    """Write `content` so that a reader sees all of it or none."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(content))
    fresh.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the object that a file holds, or None where it holds none."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
