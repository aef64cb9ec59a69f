"""What a run is compared with: the files of an earlier run, or a folder of variants, to be measured again beside it.

An earlier run's model files are kept by content, so that they can be measured when the build that made them is gone.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from edgerig import digest, files
from edgerig.errors import ModelError
from harness import folders, journal, places, state
from harness.planning.plan import ModelFile, Plan, PlannedVariant, Reference, planned_variant
from model_zoo import select
from reports.records import Baseline

PROMOTED = "promoted"  # the word for the run that `edgerig baseline promote` named
KEEP_BYTES = 8 * 10**9  # of model files; those that were not used for the longest time go first


def find(asked: str, folder: Path) -> Reference:
    """Return the baseline that a word names.

    Args:
        asked: a run (folder, id, beginning of an id, "latest"), or a folder of variants.
        folder: of runs.

    Raises:
        RunError, ConfigError: there is none.
        ModelError: one of its files is gone or has changed.
    """
    path = Path(asked)
    if path.is_dir() and not (path / journal.NAME).is_file():
        variants = tuple(planned_variant(variant) for variant in select.variants([asked]))
        return Reference(info=Baseline(asked=asked), variants=variants)
    return of_run(folders.find(folder, asked), asked)


def of_run(folder: Path, asked: str) -> Reference:
    """Return an earlier run as a baseline; its own baseline's variants are left out."""
    plan = state.read(folder).plan
    info = Baseline(asked=asked, run=plan.id, commit=plan.commit, started=plan.started)
    kept = [variant for variant in plan.variants if not variant.info.baseline_of]
    return Reference(info=info, variants=tuple(_still_there(variant, plan.id) for variant in kept))


def _still_there(variant: PlannedVariant, run: str) -> PlannedVariant:
    return variant.model_copy(update={"files": tuple(_found(file, variant, run) for file in variant.files)})


def _found(file: ModelFile, variant: PlannedVariant, run: str) -> ModelFile:
    for path in (stored(file.sha256), file.path):
        if path.is_file() and digest.of_file(path) == file.sha256:
            path.touch() if path != file.path else None
            return file.model_copy(update={"path": path})
    raise ModelError(
        f"{file.path} of variant '{variant.info.name}' is gone or has changed since run {run}, and no copy is kept.",
        "Restore it, or name another baseline.",
    )


def stored(sha256: str) -> Path:
    """Return where a model file is kept by its content."""
    return places.models() / sha256


def keep(plan: Plan) -> None:
    """Keep a copy of every file of a plan, for later runs to be compared with; raises OutputError or DiskFull."""
    folder = files.make_folder(places.models())
    for file in (file for variant in plan.variants for file in variant.files):
        copy = stored(file.sha256)
        with files.writing(copy):
            if not copy.is_file():
                part = copy.with_suffix(f".{plan.id}.part")
                shutil.copyfile(file.path, part)
                part.replace(copy)
            copy.touch()
    _make_room(folder.iterdir(), {file.sha256 for variant in plan.variants for file in variant.files})


def _make_room(paths: Iterable[Path], needed: set[str]) -> None:
    sizes = {path: path.stat() for path in paths if path.is_file()}
    total = sum(entry.st_size for entry in sizes.values())
    for path, entry in sorted(sizes.items(), key=lambda item: item[1].st_mtime):
        if total <= KEEP_BYTES:
            return
        if path.name not in needed:
            path.unlink(missing_ok=True)
            total -= entry.st_size
