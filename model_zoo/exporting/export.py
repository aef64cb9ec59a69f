"""The files of a variant: made aside, held against the net, and moved into place when they agree."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from edgerig import digest, files
from model_zoo.building.counts import counted
from model_zoo.building.faces import TrainingFaces
from model_zoo.building.recipe import Format, Quantize
from model_zoo.building.trained import SILENT, Teller, Trained
from model_zoo.exporting.workshop import Made, Workshop


@dataclass(frozen=True)
class Order:
    """How a net is exported, whatever the format.

    Attributes:
        folder: where the files go.
        faces: of which validation faces check the files, and training faces calibrate quantization.
        seed: draws them.
        quantization: the `quantize` step of the recipe, None for float files.
        about: further keys of the manifests: parent, note, training, authors.
        teller: is told how far it is.
    """

    folder: Path
    faces: TrainingFaces
    seed: int = 0
    quantization: Quantize | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    teller: Teller = SILENT


class Exporter:
    """Exports one net to some formats; what they share is made once. A context manager.

    Args:
        trained: the net.
        order: where to, and how.
    """

    def __init__(self, trained: Trained, order: Order) -> None:
        self._trained, self._order = trained, order
        self._work = Path(tempfile.mkdtemp(prefix="edgerig-export-"))
        self._workshop = Workshop(trained, order.faces, order.seed, self._work)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        shutil.rmtree(self._work, ignore_errors=True)

    def write(self, name: str, kind: Format) -> dict[str, Any]:
        """Write the files of a variant, and return its manifest's table for `model_zoo.family.write`.

        Raises:
            ModelError: it cannot be exported, or what was exported does not agree with the net; nothing is left of it.
            OutputError, DiskFull: the folder cannot be written.
        """
        order = self._order
        order.teller.step(f"exporting {name}", 1)
        made = self._workshop.quantized(kind, order.quantization) if order.quantization else self._workshop.float(kind)
        table = self._table(name, made, self._placed(made.path, name))
        order.teller.advance(1)
        return table

    def _placed(self, source: Path, name: str) -> Path:
        """Copy the files of a model into the folder under their name, each whole or not at all; the .xml comes last."""
        folder = files.make_folder(self._order.folder)
        parts = [source.with_suffix(".bin")] if source.suffix == ".xml" else []
        for part in (*parts, source):
            target = folder / f"{name}{part.suffix}"
            files.copy(part, target)
        return folder / f"{name}{source.suffix}"

    def _table(self, name: str, made: Made, path: Path) -> dict[str, Any]:
        notes = [*self._trained.notes, *([_lost(made)] if made.loss else []), str(self._order.about.get("note", ""))]
        return {
            "name": name,
            "file": path.name,
            **({"extra_files": [f"{name}.bin"]} if path.suffix == ".xml" else {}),
            "techniques": [*self._trained.techniques, *made.techniques],
            **self._counts,
            "bytes": path.stat().st_size,
            "sha256": digest.of_file(path),
            "input": made.input.model_dump(mode="json", exclude_none=True, exclude_defaults=True),
            "output": dict(made.output),
            **self._order.about,
            "note": " ".join(filter(None, notes)),
        }

    @cached_property
    def _counts(self) -> dict[str, int]:
        """What can be counted of a net; of a classifier nothing that would compare."""
        if not isinstance(self._trained.model, torch.nn.Module):
            return {}
        return asdict(counted(self._trained.model, self._trained.input))


def _lost(made: Made) -> str:
    """Return a sentence on what quantization lost."""
    assert made.loss is not None
    found = made.loss
    after = 0.5 if found.auc is None else found.auc
    auc = f"AUC {after + found.auc_drop:.4f} became {after:.4f}"
    turned = f"{found.flips} decision{'s' if found.flips != 1 else ''} turned"
    return f"By quantization, on {found.faces} validation faces, {auc} and {turned}."
