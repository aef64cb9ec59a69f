"""From one trained model to measured variants: the faces that may be used, the manifests, the rungs that are kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgerig import digest, files
from edgerig.errors import FaceSetError, ModelError, OutputError
from harness.models import onnx_facts
from model_zoo import faceset, family
from model_zoo.faceset import FaceSet
from model_zoo.ladder.build import NAMES, Ladder, Rung
from model_zoo.ladder.fidelity import Bound, Faces
from model_zoo.manifest import Variant

CALIBRATING = 100  # faces: calibrating on more changed the AUC of the shipped nets by less than .001
VALIDATING = 400  # faces, so that 3 % of flips are 12 of them


def faces_for(source: Path, variant: Variant, seed: int) -> tuple[Faces, Faces]:
    """Return faces to calibrate on and faces to see on what was lost; never of the test split.

    Calibration takes training faces where there are any; otherwise the validation faces are divided by group.

    Raises:
        FaceSetError: the set has no splits, or no validation faces of both labels.
    """
    everything = faceset.load(source)
    if not any(face.split for face in everything.faces):
        raise FaceSetError(
            f"{source} has no splits, so that calibrating would use the faces that are measured.",
            "Add a column 'split' to labels.csv: val for a tenth of the groups, test for the rest.",
        )
    validation = everything.split("val")
    faceset.require_both_labels(validation)
    if any(face.split == "train" for face in everything.faces):
        calibration = everything.split("train")
    else:
        calibration, validation = _divided(validation)
        _require_rest(validation, source)
    spec = variant.manifest.input.spec()
    return (
        Faces(calibration.sample(CALIBRATING, seed), spec),
        Faces(validation.sample(VALIDATING, seed), spec),
    )


def _require_rest(validation: FaceSet, source: Path) -> None:
    if not (validation.of("real") and validation.of("fake")):
        raise FaceSetError(
            f"the val split of {source} has too few groups: without the fifth of them that calibrates, faces of both "
            "labels must be left.",
            "Add a train split, or more groups (people, clips) to val.",
        )


def _divided(faces: FaceSet) -> tuple[FaceSet, FaceSet]:
    """Return a fifth of a set's groups, and the rest."""
    groups = sorted({face.group for face in faces.faces}, key=lambda group: digest.of_bytes(group.encode()))
    few = set(groups[: max(1, len(groups) // 5)])
    first = tuple(face for face in faces.faces if face.group in few)
    rest = tuple(face for face in faces.faces if face.group not in few)
    return replace(faces, faces=first), replace(faces, faces=rest)


def build(
    variant: Variant, source: Path, folder: Path, bound: Bound, seed: int, told: Callable[[str], object]
) -> list[Rung]:
    """Build the ladder of a variant into `folder`, and return its rungs, the thrown out ones too.

    Raises:
        ModelError: it is no ONNX file of float32 that can be quantized.
        FaceSetError: the faces cannot be used.
        OutputError: the folder is that of the model, whose manifest would be written over.
    """
    if folder.resolve() == variant.path.parent.resolve():
        raise OutputError(f"{folder} is the folder of {variant.path.name} itself.", "--out names another one.")
    if variant.format != "onnx":
        raise ModelError(f"{variant.path.name} is no ONNX file.", "The ladder is built from ONNX alone.")
    if onnx_facts.read(variant.path).techniques:
        raise ModelError(f"{variant.path.name} is quantized already.", "Give the float model that it was made from.")
    _require_whole(variant)
    calibration, validation = faces_for(source, variant, seed)
    ladder = Ladder(variant, calibration, validation, folder, bound, told)
    try:
        rungs = list(ladder.rungs())
    finally:
        ladder.close()
    kept = [rung for rung in rungs if rung.kept and rung.path]
    _clear(variant, folder, {rung.name for rung in kept})
    _write(variant, folder, kept)
    return rungs


def _require_whole(variant: Variant) -> None:
    """Raise ModelError where the manifest does not name all files of the model: its copy could not be loaded."""
    named = {path.name for path in variant.files}
    for name in onnx_facts.read(variant.path).beside:
        if name not in named:
            raise ModelError(
                f"weights of {variant.path.name} are in {name}, which its manifest does not name.",
                f'Add extra_files = ["{name}"] to it.',
            )


def _clear(variant: Variant, folder: Path, kept: Collection[str]) -> None:
    """Remove the rungs that are thrown out, and those of an earlier ladder that this one has not, with manifests."""
    for name in set(NAMES) - set(kept):
        for suffix in (".toml", ".onnx"):
            with files.writing(folder):
                (folder / f"{variant.name}-{name}{suffix}").unlink(missing_ok=True)


def _write(parent: Variant, folder: Path, rungs: Iterable[Rung]) -> None:
    """Write the parent and the rungs that are kept, each with its manifest."""
    copy = folder / parent.path.name
    for path in parent.files:
        with files.writing(folder):
            shutil.copyfile(path, folder / path.name)
    beside = [path.name for path in parent.files[1:]]
    own = _table(parent, copy, parent.name, parent.manifest.techniques, "")
    tables = [own | ({"extra_files": beside} if beside else {})]
    for rung in rungs:
        assert rung.path is not None
        techniques = (*parent.manifest.techniques, *rung.techniques)
        tables.append(_table(parent, rung.path, rung.path.stem, techniques, parent.name))
    family.write(folder, tables)


def _table(parent: Variant, path: Path, name: str, techniques: Sequence[str], ancestor: str) -> dict[str, Any]:
    own: dict[str, Any] = parent.manifest.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    keep: dict[str, Any] = {key: own[key] for key in ("classes", "positive", "threshold", "task") if key in own}
    facts = onnx_facts.read(path)
    table: dict[str, Any] = {
        **keep,
        "name": name,
        "file": path.name,
        "techniques": list(techniques),
        "sha256": digest.of_file(path),
        "bytes": path.stat().st_size,
        "input": parent.manifest.input.model_dump(mode="json", exclude_none=True, exclude_defaults=True),
        "output": parent.manifest.output.model_dump(mode="json", exclude_none=True, exclude_defaults=True),
    }
    known = {"parent": ancestor, "parameters": facts.parameters, "macs": facts.macs}
    return table | {key: value for key, value in known.items() if value}
