"""Where the outcomes of steps are kept: by the content of all that they depend upon, so that nothing is built twice."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgerig import digest, files
from model_zoo.building.trained import Trained
from model_zoo.manifest import Input

VERSION = 1  # of what steps do: raised when the same recipe would give another model


def key(*parts: Any) -> str:
    """Return the name of an outcome: a digest of all that it depends upon."""
    return digest.of_bytes(json.dumps([VERSION, *parts], sort_keys=True, default=str).encode())[:32]


class Store:
    """A folder of outcomes, each a model with its facts.

    Args:
        folder: of the cache.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __contains__(self, name: str) -> bool:
        return (self._folder / name / "facts.json").is_file()

    def work(self, name: str) -> Path:
        """Return the folder in which a step works until its outcome is put; a killed build finds its checkpoint."""
        return files.make_folder(self._folder / f"{name}.work")

    def put(self, name: str, trained: Trained) -> None:
        """Keep an outcome, whole or not at all; what the step worked with is removed, but for its extras."""
        import torch  # noqa: PLC0415 - the module is importable without the extra

        part = files.make_folder(self._folder / f"{name}.{os.getpid()}.part")
        torch.save(trained.model, part / "model.pt")
        for title, path in trained.extras.items():
            shutil.copyfile(path, part / title)
        files.write(part / "facts.json", json.dumps(_facts(trained), indent=1).encode())
        shutil.rmtree(self._folder / name, ignore_errors=True)
        part.replace(self._folder / name)
        shutil.rmtree(self._folder / f"{name}.work", ignore_errors=True)

    def get(self, name: str) -> Trained:
        """Return an outcome. Its model is a pickle, written by `put` into the user's own cache."""
        import torch  # noqa: PLC0415

        folder = self._folder / name
        facts = json.loads((folder / "facts.json").read_text())
        return Trained(
            model=torch.load(folder / "model.pt", weights_only=False, map_location="cpu"),
            backbone=facts["backbone"],
            input=Input.model_validate(facts["input"]),
            techniques=tuple(facts["techniques"]),
            notes=tuple(facts["notes"]),
            figures=facts["figures"],
            extras={title: folder / title for title in facts["extras"]},
        )


def _facts(trained: Trained) -> Mapping[str, Any]:
    kept: dict[str, Any] = {
        entry.name: getattr(trained, entry.name)
        for entry in dataclasses.fields(trained)
        if entry.name not in ("model", "input", "extras")
    }
    extras: Sequence[str] = list(trained.extras)
    return kept | {"input": trained.input.model_dump(mode="json"), "extras": extras}
