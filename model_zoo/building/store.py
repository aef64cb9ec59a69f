"""Where the outcomes of steps are kept: by the content of all that they depend upon, so that nothing is built twice."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgerig import digest, files
from edgerig.errors import ModelError
from model_zoo.building import locks
from model_zoo.building.claims import Claims
from model_zoo.building.trained import Trained
from model_zoo.manifest import Input

VERSION = 1  # of what steps do: raised when the same recipe would give another model, e.g. by another default
FACTS = "facts.json"


def key(*parts: Any) -> str:
    """Return the name of an outcome: a digest of all that it depends upon."""
    return digest.of_bytes(json.dumps([VERSION, *parts], sort_keys=True, default=str).encode())[:32]


@dataclass(frozen=True)
class Entry:
    """An outcome that is kept, or what a build that was cut short has left.

    Attributes:
        name: of the outcome.
        path: its folder.
        bytes: of its files.
        used: when it was last put or got, seconds since 1970.
        whole: False for checkpoints and halves.
        what: the recipe and step that it is of, "" where nobody knows.
    """

    name: str
    path: Path
    bytes: int
    used: float
    whole: bool
    what: str


class Store:
    """A folder of outcomes, each a model with its facts, or files with theirs.

    Args:
        folder: of the cache.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._claims = Claims(folder)

    def __contains__(self, name: str) -> bool:
        return (self._folder / name / FACTS).is_file()

    def work(self, name: str) -> Path:
        """Return the folder in which a step works until its outcome is kept; a killed build finds its checkpoint."""
        return files.make_folder(self._folder / f"{name}.work")

    @contextlib.contextmanager
    def lock(self, name: str, waiting: Callable[[], object] = lambda: None) -> Iterator[None]:
        """Keep other builds from making the same outcome; the kernel lets go of it with the process that held it.

        Args:
            name: of the outcome.
            waiting: called once where another one makes it.
        """
        path = files.make_folder(self._folder) / f"{name}.lock"
        with locks.locked(path, waiting):
            yield

    def keep(self, name: str, fill: Callable[[Path], Mapping[str, Any]], what: str = "") -> None:
        """Keep an outcome, whole or not at all.

        Args:
            name: of the outcome.
            fill: writes its files into a folder and returns its facts.
            what: the recipe and step that it is of, for people.
        """
        part = files.make_folder(self._folder / f"{name}.{os.getpid()}.part")
        try:
            facts = fill(part)
            files.write(part / FACTS, json.dumps({**facts, "what": what}, indent=1).encode())
            with files.writing(self._folder / name):
                shutil.rmtree(self._folder / name, ignore_errors=True)
                part.replace(self._folder / name)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(self._folder / f"{name}.work", ignore_errors=True)

    def facts(self, name: str) -> dict[str, Any]:
        """Return the facts of an outcome, which is now in use."""
        path = self._folder / name / FACTS
        with contextlib.suppress(OSError):
            os.utime(path)
        found = _facts(path)
        if found is None:
            raise damaged(name, path.parent)
        return found

    def folder(self, name: str) -> Path:
        """Return the folder of an outcome."""
        return self._folder / name

    def put(self, name: str, trained: Trained, what: str = "") -> None:
        """Keep a model; what its step worked with is removed, but for its extras."""
        self.keep(name, lambda part: _written(trained, part), what)

    def get(self, name: str) -> Trained:
        """Return a model that was put. It is a pickle, written into the user's own cache."""
        from model_zoo.backbones import timm_nets  # noqa: PLC0415

        timm_nets.timm()  # what a pickle names is imported by it, and timm not without help
        facts, folder = self.facts(name), self._folder / name
        return Trained(
            model=_model(folder / "model.pt", facts.get("what") or name),
            backbone=facts["backbone"],
            input=Input.model_validate(facts["input"]),
            techniques=tuple(facts["techniques"]),
            notes=tuple(facts["notes"]),
            figures=facts["figures"],
            extras={title: folder / title for title in facts["extras"]},
        )

    def entries(self) -> list[Entry]:
        """Return what is kept, the one that was used last first."""
        found = [_entry(path) for path in self._folder.glob("*") if path.is_dir()] if self._folder.is_dir() else []
        return sorted(filter(None, found), key=lambda entry: entry.used, reverse=True)

    def remove(self, entry: Entry) -> bool:
        """Remove an entry; False where a build is at work on it or counts on it."""
        with self.claimed() as names, contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locks.locked(self._folder / f"{entry.name}.lock", None))
            except BlockingIOError:
                return False
            if entry.name in names:
                return False
            shutil.rmtree(entry.path, ignore_errors=True)
            return True

    def claim(self, names: Iterable[str]) -> None:
        """Keep others from removing some outcomes, whether they are there yet or not, until `close`.

        Whatever else a build needs to the end, e.g. a file of faces, can be claimed by any name that `claimed` gives.
        """
        self._claims.add(names)

    @contextlib.contextmanager
    def claimed(self) -> Iterator[set[str]]:
        """Give the names that builds at work have claimed; no other is claimed in this block."""
        with self._claims.all() as names:
            yield names

    def close(self) -> None:
        """Let go of what was claimed; the end of the process does, too."""
        self._claims.close()


def _written(trained: Trained, part: Path) -> Mapping[str, Any]:
    import torch  # noqa: PLC0415

    stream = io.BytesIO()  # torch's own writer makes a RuntimeError of a full disk
    torch.save(trained.model, stream)
    files.write(part / "model.pt", stream.getvalue())
    for title, path in trained.extras.items():
        with files.writing(part / title):
            shutil.copyfile(path, part / title)
    kept: dict[str, Any] = {
        entry.name: getattr(trained, entry.name)
        for entry in dataclasses.fields(trained)
        if entry.name not in ("model", "input", "extras")
    }
    return kept | {"input": trained.input.model_dump(mode="json"), "extras": list(trained.extras)}


def _entry(path: Path) -> Entry | None:
    """Return what a folder holds; None where a build that goes on has just given it another name."""
    with contextlib.suppress(FileNotFoundError):
        known = _facts(path / FACTS) if path.suffix == "" and (path / FACTS).is_file() else None
        return Entry(
            name=path.name.split(".")[0],
            path=path,
            bytes=sum(map(_bytes, path.rglob("*"))),
            used=(path if known is None else path / FACTS).stat().st_mtime,
            whole=known is not None,
            what=str((known or {}).get("what", "")),
        )
    return None


def _facts(path: Path) -> dict[str, Any] | None:
    """Return what a file of facts says, None where it is damaged."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except ValueError:
        return None
    return found


def _model(path: Path, what: str) -> Any:
    import torch  # noqa: PLC0415 - the module is importable without the extra

    try:
        return torch.load(path, weights_only=False, map_location="cpu")
    except Exception as error:  # a pickle raises anything, also where a newer library has another class
        raise damaged(what, path.parent) from error


def damaged(what: str, folder: Path) -> ModelError:
    """Return the error that an outcome, of which `what` tells, cannot be used."""
    return ModelError(
        f"what is kept of '{what}' cannot be read: it is damaged, or from other versions of torch and timm.",
        f"Remove {folder}: the same command builds it again.",
    )


def _bytes(path: Path) -> int:
    """Return what a file takes; nothing where it is gone by now, as those that a build writes."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0
