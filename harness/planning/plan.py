"""The plan: everything that a run needs, resolved before anything is measured, and kept in its journal."""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgerig import digest, process, toml
from edgerig.errors import ConfigError, FaceSetError, ModelError, ProcessFailed
from edgerig.preprocess import InputSpec, OutputSpec
from harness.config import RunTable, Workspace
from harness.planning import method
from harness.runtimes import RUNTIMES, chosen, reads, runtime_of
from harness.stock import sources
from model_zoo import faceset, select
from model_zoo.faceset import Face, FaceSet, Pack
from model_zoo.manifest import Variant
from reports import records
from reports.collate import cell_id
from targets.profile import Profile, Target


class Planned(BaseModel):
    """Base of the plan's records."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelFile(Planned):
    """A file that a device needs, by content."""

    path: Path
    name: str  # as the job sees it
    sha256: str
    bytes: int


class PlannedVariant(Planned):
    """A variant with all that its jobs are sent."""

    info: records.Variant
    files: tuple[ModelFile, ...]
    input: InputSpec
    output: OutputSpec


class Reference(Planned):
    """A baseline: what it is, and its variants under the candidates' names."""

    info: records.Baseline
    variants: tuple[PlannedVariant, ...]


class PlannedFaces(Planned):
    """The pack, and which of its pictures are used."""

    info: records.Faces
    pack: Path
    bytes: int
    images: tuple[Face, ...]
    few: frozenset[str] = frozenset()  # paths of those that an emulated target is fed


class PlannedCell(Planned):
    """A cell; `unsupported` says why it cannot be measured, where that is known already."""

    id: str
    key: records.Key
    unsupported: str = ""
    role: Literal["candidate", "baseline"] = "candidate"
    against: str = ""  # id of the baseline's cell that this one is compared with
    same_files: bool = False  # as the baseline has: there is nothing to compare

    @property
    def scores_id(self) -> str:
        """The accuracy pass that this cell shares with those of other thread counts."""
        return cell_id(self.key.model_copy(update={"threads": 0}))


class Plan(Planned):
    """A run before it is measured."""

    id: str
    name: str
    night: bool = False  # of `name`: what it means is judged by more than itself
    tag: str
    command: str
    started: str
    seed: int
    commit: str
    edgerig: str
    method: records.Method
    operators: bool
    sustain_s: float = 0.0
    fps: float = 0.0
    streams: int = 1
    race: bool = False
    finish_by: str = ""  # UTC, ISO 8601
    order: tuple[str, ...] = ()  # cells, the one that waits for the longest time first; for finish_by
    faces: PlannedFaces
    validation: PlannedFaces | None = None  # that a threshold is fitted on, never those that are reported on
    variants: tuple[PlannedVariant, ...]
    targets: tuple[Target, ...]
    cells: tuple[PlannedCell, ...]
    baseline: records.Baseline | None = None
    gates: records.Gates = records.Gates()
    fresh: bool = False  # nothing is taken from earlier runs
    budgets: dict[str, dict[str, float]] = Field(default_factory=dict)  # by target
    warnings: tuple[str, ...] = ()

    def variant(self, name: str) -> PlannedVariant:
        """Return a variant by name."""
        return next(variant for variant in self.variants if variant.info.name == name)

    def method_on(self, target: str) -> records.Method:
        """Return how a target is measured: an emulator's times say nothing, so it runs few frames."""
        settings = self._settings(target)
        if settings.counts_instructions:
            return method.counting(self.method)
        return method.emulated(self.method) if settings.emulated else self.method

    def images_on(self, target: str) -> list[Face]:
        """Return the faces that a target scores."""
        return self.used_of(self.faces, target)

    def used_of(self, faces: PlannedFaces, target: str) -> list[Face]:
        """Return those of some faces that a target scores: an emulator few."""
        few = faces.few if self._emulated(target) else ()
        return [face for face in faces.images if not few or face.path in few]

    def scored_on(self, target: str) -> int:
        """Return how many faces a target scores, those for validation included."""
        packs = [faces for faces in (self.faces, self.validation) if faces]
        return sum(len(self.used_of(faces, target)) for faces in packs)

    def _emulated(self, target: str) -> bool:
        return self._settings(target).emulated

    def _settings(self, target: str) -> Profile:
        return next(entry for entry in self.targets if entry.name == target).settings

    def cells_on(self, target: str) -> list[PlannedCell]:
        """Return the cells of one target, in the plan's order."""
        return [cell for cell in self.cells if cell.key.target == target]

    def runtimes_on(self, target: str) -> list[str]:
        """Return the runtimes that a target's cells need, as the run names them."""
        return list(dict.fromkeys(cell.key.runtime for cell in self.cells_on(target) if not cell.unsupported))

    def push_bytes(self, target: str) -> int:
        """Return the bytes that a target needs where it has nothing yet."""
        names = {cell.key.variant for cell in self.cells_on(target)}
        files = {file.sha256: file.bytes for name in names for file in self.variant(name).files}
        packs = {faces.info.sha256: faces.bytes for faces in (self.faces, self.validation) if faces}
        return sum(files.values()) + sum(packs.values())

    def seconds(self, target: str) -> tuple[float, float]:
        """Return the least and the most seconds that a target's rounds and passes take, by the method's numbers."""
        cells = [cell for cell in self.cells_on(target) if not cell.unsupported]
        plan = self.method_on(target)
        slower = method.slower(plan)
        passes = len({cell.scores_id for cell in cells}) * slower * (1 + 0.01 * self.scored_on(target))
        other = len(cells) * (slower * (3.0 if self.operators else 2.0) + self.long_seconds(target)) + passes
        least = len(cells) * plan.rounds_min * self.round_seconds(target)
        most = max(least, len(cells) * plan.budget_s) if method.goes_on(plan) else least
        return least + other, most + other

    def long_seconds(self, target: str) -> float:
        """Return the seconds of a cell's long passes."""
        realtime = method.REALTIME_S if self.fps else 0.0
        return 0.0 if self._emulated(target) else self.sustain_s + realtime

    def round_seconds(self, target: str) -> float:
        """Return the least seconds of one round, its process's start included (.6 s with onnxruntime and OpenCV)."""
        plan = self.method_on(target)
        return method.slower(plan) * 0.6 + plan.warmup_s + plan.round_s


def make(
    workspace: Workspace,
    table: RunTable,
    *,
    name: str | None = None,
    packs: Path,
    argv: Sequence[str] = (),
    progress: Any = None,
    baseline: Reference | None = None,
) -> Plan:
    """Return the plan of a run.

    Args:
        workspace: the configuration.
        table: what to measure.
        name: of the run.
        packs: folder for packed faces.
        argv: the command, for the record.
        progress: called with (done, total) while faces are packed.
        baseline: what to measure beside it, and to compare it with.

    Raises:
        UserError: something that was asked for is not there or makes no sense; nothing was measured.
    """
    variants = [planned_variant(variant) for variant in select.variants(table.variants)]
    targets = workspace.targets(table.targets)
    for names in (table.runtimes, *(target.settings.runtimes for target in targets)):
        _refuse_unknown_runtimes(names)
    _refuse_missing_files(targets)
    faces, warnings = planned_faces(table, packs, progress)
    started = datetime.now(UTC)
    cells = [cell for target in targets for cell in _cells([entry.info for entry in variants], target, table)]
    if baseline:
        renamed = _as_baseline(baseline, variants)
        cells = list(_beside(cells, variants, renamed, table.measure_unchanged))
        warnings += _unmatched(variants, renamed, baseline)
        warnings += _unlike(cells, renamed)
        variants += [entry for entry in renamed if entry.info.name in {cell.key.variant for cell in cells}]
    if not cells:
        raise ConfigError("there is nothing to measure.", "No runtime that was asked for reads any of the variants.")
    return Plan(
        id=f"{started:%Y%m%d-%H%M%S}-{slug(name or table.setting)}-{secrets.token_hex(2)}",
        name=name or "",
        tag=table.tag,
        command=shlex.join(argv),
        started=started.isoformat(timespec="seconds"),
        seed=table.seed,
        commit=git_commit(),
        edgerig=edgerig_version(),
        method=method.method(table.setting, table.budget_s, table.rounds, table.half_width),
        operators=table.operators,
        sustain_s=table.sustain_s,
        fps=table.fps,
        streams=table.streams,
        race=table.race,
        faces=faces,
        validation=validation_faces(table, packs) if table.refit_threshold else None,
        variants=tuple(variants),
        targets=tuple(targets),
        cells=tuple(cells),
        baseline=baseline.info if baseline else None,
        gates=workspace.config.gates,
        fresh=table.fresh,
        budgets=workspace.limits(table, (target.name for target in targets)),
        warnings=tuple(warnings),
    )


def planned_faces(table: RunTable, packs: Path, progress: Any) -> tuple[PlannedFaces, list[str]]:
    """Return the packed held-out faces of a run and what to warn of."""
    everything = faceset.load(_source(table))
    faces = everything.split("test")
    warnings = (
        []
        if any(face.split for face in everything.faces)
        else [f"{faces.name} has no splits: all of it counts as test, so it must not have been trained on."]
    )
    return _packed(faces, table, packs, progress), warnings


def validation_faces(table: RunTable, packs: Path) -> PlannedFaces:
    """Return the packed faces that a threshold may be fitted on; raises FaceSetError where there are none."""
    everything = faceset.load(_source(table))
    if not any(face.split for face in everything.faces):
        raise FaceSetError(
            f"{everything.source} has no splits: a threshold that is fitted on faces says nothing of them.",
            "Give it a labels.csv with a column split, val and test; or leave out refit_threshold.",
        )
    return _packed(everything.split("val"), table, packs, None)


def _source(table: RunTable) -> Path:
    return Path(table.faces) if table.faces else faceset.SHIPPED


def _packed(faces: FaceSet, table: RunTable, packs: Path, progress: Any) -> PlannedFaces:
    faceset.require_both_labels(faces)
    pack = faceset.pack(faces, packs, progress)
    count = table.sample or (method.QUICK_FACES if table.setting == "quick" else len(faces.faces))
    chosen = faces.sample(count, table.seed)
    return PlannedFaces(
        info=_faces_info(chosen, pack),
        pack=pack.path.resolve(),
        bytes=pack.bytes,
        images=chosen.faces,
        few=frozenset(face.path for face in _few(chosen, table).faces),
    )


def _few(chosen: FaceSet, table: RunTable) -> FaceSet:
    """Return the faces of emulated targets: a stratified handful, unless the user said how many."""
    return chosen if table.sample else chosen.sample(method.EMULATED_FACES, table.seed)


def _faces_info(faces: FaceSet, pack: Pack) -> records.Faces:
    split = "test" if any(face.split for face in faces.faces) else "all"
    return records.Faces(
        name=faces.name,
        sha256=pack.sha256,
        split=split,
        images=len(faces.faces),
        real=faces.of("real"),
        fake=faces.of("fake"),
        categories=dict(faces.counts()),
        synthetic=faces.synthetic,
        note=faces.note,
    )


def planned_variant(variant: Variant) -> PlannedVariant:
    """Return a variant with all that its jobs are sent."""
    manifest = variant.manifest
    info = records.Variant(
        name=variant.name,
        file=variant.path.name,
        format=variant.format,
        sha256=variant.identity,
        bytes=variant.bytes,
        parent=manifest.parent,
        techniques=manifest.techniques,
        packed_bytes=manifest.packed_bytes,
        parameters=manifest.parameters,
        macs=manifest.macs,
        threshold=manifest.threshold,
        input=str(manifest.input),
        training=manifest.training.data if manifest.training else "",
        authors=tuple(records.AuthorFigure(**figure.model_dump()) for figure in manifest.authors),
    )
    files = tuple(
        _model_file(path, f"model{path.suffix}" if n == 0 else path.name) for n, path in enumerate(variant.files)
    )
    named = tuple(records.VariantFile(name=file.path.name, sha256=file.sha256, bytes=file.bytes) for file in files)
    info = info.model_copy(update={"files": named})
    return PlannedVariant(info=info, files=files, input=manifest.input.spec(), output=variant.output_spec())


def _model_file(path: Path, name: str) -> ModelFile:
    return ModelFile(path=path.resolve(), name=name, sha256=digest.of_file(path), bytes=path.stat().st_size)


def _cells(variants: Iterable[records.Variant], target: Target, table: RunTable) -> Iterable[PlannedCell]:
    """Yield the cells of a target; a variant that none of its runtimes reads makes no cell there."""
    for variant in variants:
        for runtime in chosen(variant.format, table.runtimes, target.settings.runtimes):
            for provider in dict.fromkeys(table.providers or RUNTIMES[runtime_of(runtime).name].providers):
                for threads in dict.fromkeys(table.threads):
                    key = _key(variant, target, runtime, provider, threads)
                    yield PlannedCell(id=cell_id(key), key=key)


def _as_baseline(baseline: Reference, candidates: Sequence[PlannedVariant]) -> list[PlannedVariant]:
    """Return the baseline's variants that have a candidate, under names of their own; raises ConfigError."""
    names = {entry.info.name for entry in candidates}
    renamed = [_renamed(entry) for entry in baseline.variants if entry.info.name in names]
    if not renamed:
        known = ", ".join(entry.info.name for entry in baseline.variants)
        raise ConfigError(
            f"no variant of the baseline '{baseline.info.asked}' has the name of a candidate.",
            f"It has {known}; variants are matched by the name in their manifest.",
        )
    for entry in renamed:
        if entry.info.name in names:
            raise ConfigError(
                f"a variant is called '{entry.info.name}', as the baseline's is.", "Give it another name."
            )
    return renamed


def _renamed(entry: PlannedVariant) -> PlannedVariant:
    info = entry.info.model_copy(update={"name": f"{entry.info.name}@baseline", "baseline_of": entry.info.name})
    return entry.model_copy(update={"info": info})


def _beside(
    cells: Iterable[PlannedCell],
    candidates: Sequence[PlannedVariant],
    baselines: Sequence[PlannedVariant],
    measure_unchanged: bool,
) -> Iterable[PlannedCell]:
    """Yield the cells, each followed by that of its baseline where there is one and its files differ."""
    mine = {entry.info.name: entry for entry in candidates}
    theirs = {entry.info.baseline_of: entry for entry in baselines}
    for cell in cells:
        base = theirs.get(cell.key.variant)
        able = base is not None and reads(runtime_of(cell.key.runtime).name, base.info.format)
        if base is None or not able or cell.unsupported:
            yield cell
        elif not measure_unchanged and _same(mine[cell.key.variant], base):
            yield cell.model_copy(update={"same_files": True})
        else:
            key = cell.key.model_copy(update={"variant": base.info.name})
            beside = PlannedCell(id=cell_id(key), key=key, role="baseline")
            yield cell.model_copy(update={"against": beside.id})
            yield beside


def _same(one: PlannedVariant, other: PlannedVariant) -> bool:
    """Whether two variants would give the same numbers: the same bytes, fed and read alike."""

    def content(entry: PlannedVariant) -> object:
        return [file.sha256 for file in entry.files], entry.input, entry.output, entry.info.threshold

    return content(one) == content(other)


def _unmatched(
    candidates: Sequence[PlannedVariant], baselines: Sequence[PlannedVariant], baseline: Reference
) -> list[str]:
    mine, theirs = {entry.info.name for entry in candidates}, {entry.info.baseline_of for entry in baselines}
    asked = baseline.info.asked
    new = [f"{name} is not compared: the baseline '{asked}' has no variant of this name." for name in mine - theirs]
    gone = [f"{name} of the baseline '{asked}' is not compared: no variant has this name." for name in theirs - mine]
    return [*sorted(new), *sorted(gone)]


def _unlike(cells: Sequence[PlannedCell], baselines: Sequence[PlannedVariant]) -> list[str]:
    """Return a sentence for each cell whose baseline is of a format that its runtime does not read."""
    formats = {entry.info.baseline_of: entry.info.format for entry in baselines}
    return [
        f"{cell.key} is not compared: the baseline's file is {formats[cell.key.variant]}, which it does not read."
        for cell in cells
        if cell.key.variant in formats and not (cell.against or cell.same_files or cell.unsupported)
    ]


def _key(variant: records.Variant, target: Target, runtime: str, provider: str, threads: int) -> records.Key:
    return records.Key(variant=variant.name, target=target.name, runtime=runtime, provider=provider, threads=threads)


def slug(text: str) -> str:
    """Return `text` with everything but letters, digits, dots and dashes made a dash, at most 40 characters."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")[:40] or "x"


def _refuse_unknown_runtimes(names: Sequence[str]) -> None:
    for name in names:
        if (plain := runtime_of(name).name) not in RUNTIMES:
            raise ConfigError(
                f"there is no runtime '{plain}'.",
                toml.nearest(plain, RUNTIMES) or f"Known: {', '.join(RUNTIMES)}.",
            )


def _refuse_missing_files(targets: Iterable[Target]) -> None:
    for target in targets:
        sources.of(target)  # names the wheel that is missing
        native = target.settings.native
        if native and not native.is_file():
            raise ConfigError(f"targets.{target.name}: there is no {native}.", "`native` names your benchmark_model.")


def recheck(plan: Plan) -> None:
    """Raise ModelError or FaceSetError where a file that the plan names is gone or has changed since."""
    for variant in plan.variants:
        for file in variant.files:
            if not file.path.is_file() or digest.of_file(file.path) != file.sha256:
                raise ModelError(
                    f"{file.path} of variant '{variant.info.name}' is gone or has changed since the run began.",
                    "Restore it, or start a new run.",
                )
    pack = plan.faces.pack
    if not pack.is_file() or digest.of_file(pack) != plan.faces.info.sha256:
        raise FaceSetError(f"the packed faces {pack} are gone or have changed since the run began.", "Start a new run.")


def git_commit() -> str:
    """Return the commit of the folder that we stand in, with "+" where files differ from it; "" outside of git."""
    try:
        commit = process.run(["git", "rev-parse", "--short=12", "HEAD"]).strip()
        return commit + ("+" if process.run(["git", "status", "--porcelain", "--untracked-files=no"]).strip() else "")
    except ProcessFailed:
        return ""


def edgerig_version() -> str:
    """Return edgerig's own version."""
    try:
        return version("edgerig")
    except PackageNotFoundError:
        return "unknown"
