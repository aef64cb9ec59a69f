"""Collecting: from a run's journal, raw times and scores to its `Run` record. Measures nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from harness import frames
from harness.agent.protocol import Identity
from harness.findings import scores, verdicts
from harness.findings.drops import drops
from harness.findings.scores import Rows
from harness.planning.plan import PlannedCell
from harness.state import State
from reports import budgets, choice, collate, headline, records
from reports.agreement import Scored, agreement
from reports.collate import Measured, Scores
from reports.records import Accuracy, Agreement, Cell, Fingerprint, Metric, Outcome, Place, Run
from targets.profile import Target

WORSE_THAN_CHANCE = 0.5


class Pass(NamedTuple):
    """An accuracy pass, its figures, and what they were computed from."""

    accuracy: Accuracy
    metrics: tuple[Metric, ...] = ()
    rows: Rows = []  # noqa: RUF012 - nobody writes to it

    @property
    def scores(self) -> Scores:
        """The rows as what figures are computed from."""
        return scores.of(self.rows, self.accuracy)


def collect(state: State, folder: Path) -> Run:
    """Return what was learned so far; cells that are not yet measured say so.

    Raises:
        RunError: a file that the journal names is missing or damaged.
    """
    passes = _passes(state, folder)
    cells = tuple(_cell(state, cell, passes.get(cell.scores_id), folder) for cell in state.plan.cells)
    rows = {key: found.rows for key, found in passes.items()}
    run = Run(
        id=state.plan.id,
        name=state.plan.name,
        tag=state.plan.tag,
        edgerig=state.plan.edgerig,
        command=state.plan.command,
        started=state.plan.started,
        finished=state.finished,
        seconds=_seconds(state),
        seed=state.plan.seed,
        commit=state.plan.commit,
        method=state.plan.method,
        faces=state.plan.faces.info,
        variants=tuple(variant.info for variant in state.plan.variants),
        targets=tuple(_target(state, target) for target in state.plan.targets),
        cells=cells,
        baseline=state.plan.baseline,
        gates=state.plan.gates,
        comparisons=verdicts.compared(state, folder, {cell.id: cell for cell in cells}, rows),
        agreement=_agreement(state, cells, passes),
        warnings=tuple(state.warnings),
        night=state.night,
    )
    warnings = (*run.warnings, *_wrong_way_round(run), *_not_refitted(state))
    run = run.model_copy(update={"warnings": warnings, "budgets": budgets.checks(run, state.plan.budgets)})
    run = run.model_copy(update={"choices": choice.choices(run)})
    return run.model_copy(update={"headline": headline.headline(run)})


def _wrong_way_round(run: Run) -> Iterator[str]:
    """Yield a warning for each variant that finds real faces where it should find fakes."""
    told = set()
    for cell in run.cells:
        auc = cell.metric("auc", "all")
        # All faces the wrong way round are no chance, however few they are; without an interval the value speaks.
        reach = (auc.ci_high or auc.value or 0.0) * bool(auc.value) if auc else 1.0
        if auc and reach < WORSE_THAN_CHANCE and cell.key.variant not in told:
            told.add(cell.key.variant)
            yield (
                f"{cell.key.variant} has an AUC of {auc.value:.3f}, below .5: either its output means 'real' (then set "
                "another output.index, or output.inverted, in its manifest), or it knows nothing of such faces."
            )


def _seconds(state: State) -> float:
    """Return the run's length: until it finished, or until its last round for one that did not."""
    started = datetime.fromisoformat(state.plan.started)
    ends = [
        datetime.fromisoformat(entry.started) for rounds in state.rounds.values() for entry in rounds if entry.started
    ]
    end = datetime.fromisoformat(state.finished) if state.finished else max(ends, default=started)
    return max(0.0, (end.replace(tzinfo=end.tzinfo or UTC) - started).total_seconds())


def _passes(state: State, folder: Path) -> dict[str, Pass]:
    """Return the accuracy passes with their figures, what was lost against a parent included."""
    found = {key: _pass(state, accuracy, folder) for key, accuracy in state.accuracy.items()}
    lost = drops(state.plan, {key: done.scores for key, done in found.items() if done.rows})
    more = {key: [lost[key]] if key in lost else [] for key in found}
    return {
        key: done._replace(metrics=(*done.metrics, *more[key], *_refitted(state, key, done, folder)))
        for key, done in found.items()
    }


def _refitted(state: State, key: str, done: Pass, folder: Path) -> tuple[Metric, ...]:
    """Return what a pass decides at a threshold that was fitted on validation faces, () where none could be."""
    validation = state.validation.get(key)
    if validation is None or not done.rows or validation.outcome is not Outcome.OK or validation.scores is None:
        return ()
    fitted_on = scores.of(scores.read(folder, validation), validation)
    return collate.refitted(done.scores, fitted_on)


def _not_refitted(state: State) -> Iterator[str]:
    """Yield a sentence for each variant whose validation faces could not be scored."""
    names = {cell.scores_id: f"{cell.key.variant} on {cell.key.target}" for cell in state.plan.cells}
    for key, found in state.validation.items():
        if found.outcome is not Outcome.OK:
            yield f"The threshold of {names[key]} could not be refitted: {found.reason or found.outcome}."


def _pass(state: State, accuracy: Accuracy, folder: Path) -> Pass:
    if accuracy.outcome is not Outcome.OK or accuracy.scores is None:
        return Pass(accuracy)
    rows = scores.read(folder, accuracy)
    return Pass(*collate.accuracy(scores.of(rows, accuracy), state.plan.seed), rows)


def _agreement(state: State, cells: Sequence[Cell], passes: Mapping[str, Pass]) -> tuple[Agreement, ...]:
    """Return how the passes agree, each taken once, with the fingerprint of the first cell that shares it."""
    first: dict[str, Cell] = {}
    for planned, cell in zip(state.plan.cells, cells, strict=True):
        if planned.scores_id in passes and planned.role == "candidate":
            first.setdefault(planned.scores_id, cell)
    parents = {variant.info.name: variant.info.parent for variant in state.plan.variants}
    return agreement([_scored(state, cell, passes[key]) for key, cell in first.items()], parents, state.plan.seed)


def _scored(state: State, cell: Cell, done: Pass) -> Scored:
    key, identity = cell.key, state.identities.get(cell.key.target)
    usable = done.accuracy.outcome is Outcome.OK
    return Scored(
        place=Place(variant=key.variant, target=key.target, runtime=key.runtime, provider=key.provider),
        scores={row["path"]: float(row["score"]) for row in done.rows if usable},
        labels={row["path"]: row["label"] for row in done.rows},
        groups={row["path"]: row["group"] for row in done.rows},
        threshold=done.accuracy.threshold,
        fingerprint=cell.fingerprint,
        machine=identity.machine if identity else "",
        emulated=next(one for one in state.plan.targets if one.name == key.target).settings.emulated,
        reason="" if usable else done.accuracy.reason or str(done.accuracy.outcome),
    )


def _cell(state: State, cell: PlannedCell, done: Pass | None, folder: Path) -> Cell:
    accuracy, metrics = (done.accuracy, done.metrics) if done else (None, ())
    rounds = state.judged(cell)
    target = next(target for target in state.plan.targets if target.name == cell.key.target)
    measured = Measured(
        rounds=rounds,
        frames={entry.number: frames.read(folder, entry.frames) for entry in rounds if entry.frames},
        memory=state.memory.get(cell.id),
        accuracy=accuracy,
        accuracy_metrics=metrics,
        fingerprint=_fingerprint(state, cell, accuracy),
        operators=state.operators.get(cell.id, ()),
        sustained=state.sustained.get(cell.id),
        realtime=state.realtime.get(cell.id),
        engine_build_ms=(build.ms or None) if (build := state.builds.get(cell.scores_id)) else None,
        counts_instructions=target.settings.counts_instructions,
    )
    outcome, reason, step = _known_outcome(state, cell)
    method = state.plan.method_on(cell.key.target)
    finish = partial(collate.collate, cell.key, measured, method, emulated=target.settings.emulated)
    peer = state.peers[cell.key.target].get((cell.key.variant, cell.key.threads))
    collated = finish(outcome=outcome, reason=reason, next_step=step)
    collated = collated.model_copy(
        update={"role": cell.role, "cached_from": state.cached.get(cell.id, ""), "peers": (peer,) if peer else ()}
    )
    dropped = state.dropped.get(cell.id)
    return _out_of_the_race(collated, dropped) if dropped else collated


def _out_of_the_race(cell: Cell, reason: str) -> Cell:
    """Return a cell whose few rounds are meant."""
    step = "run again without --race for its own figures"
    verdict = cell.verdict.model_copy(update={"reason": reason, "next_step": step}) if cell.verdict else None
    return cell.model_copy(update={"verdict": verdict})


def _known_outcome(state: State, cell: PlannedCell) -> tuple[Outcome | None, str, str]:
    """Return an outcome that the passes themselves do not tell, its reason and a next step."""
    if cell.unsupported:
        return Outcome.UNSUPPORTED, cell.unsupported, ""
    if bad := _early(state, cell) or _again(state, cell):
        return (*bad, "")
    if state.dead(cell) or _complete(state, cell):
        return None, "", ""
    if cell.id in state.skipped:
        return Outcome.SKIPPED, state.skipped[cell.id], f"edgerig resume {state.plan.id}"
    if cell.key.target in state.lost:
        return Outcome.LOST, state.lost[cell.key.target], f"edgerig resume {state.plan.id}"
    return (
        Outcome.SKIPPED,
        "the run was interrupted before this cell was done.",
        f"edgerig resume {state.plan.id}",
    )


def _early(state: State, cell: PlannedCell) -> tuple[Outcome, str] | None:
    """Return what became of a cell that did not come to its rounds."""
    build, check = state.builds.get(cell.scores_id), state.checks.get(cell.id)
    if build and build.outcome is not Outcome.OK:
        return build.outcome, f"building its engine: {build.reason}"
    return (check.outcome, check.reason) if check and check.outcome is not Outcome.OK else None


def _again(state: State, cell: PlannedCell) -> tuple[Outcome, str] | None:
    """Return what became of a cell that did not go well in the second session."""
    bad = next((entry for entry in state.again.get(cell.id, ()) if entry.outcome is not Outcome.OK), None)
    return (bad.outcome, f"second session: {bad.reason}") if bad else None


def _complete(state: State, cell: PlannedCell) -> bool:
    enough = len(state.rounds.get(cell.id, [])) >= state.plan.method_on(cell.key.target).rounds_min
    enough = enough or cell.id in state.dropped
    return enough and cell.id in state.memory and cell.scores_id in state.accuracy


def _fingerprint(state: State, cell: PlannedCell, accuracy: Accuracy | None) -> Fingerprint | None:
    identity, check = state.identities.get(cell.key.target), state.checks.get(cell.id)
    if identity is None or check is None or not check.facts:
        return None
    facts, method = check.facts, state.plan.method_on(cell.key.target)
    return Fingerprint(
        device=_device(identity, state.found.get(cell.key.target, {})),
        cpu=identity.cpu,
        cores=identity.cores,
        os=_system(identity, state.found.get(cell.key.target, {})),
        kernel=identity.kernel,
        libc=identity.libc,
        python=identity.python,
        runtime_version=facts.get("runtime_version", ""),
        runtime_build=facts.get("runtime_build", ""),
        provider=facts.get("provider", ""),
        precision=facts.get("precision", ""),
        threads=facts.get("threads", ""),
        affinity=facts.get("affinity", ""),
        decoder=facts.get("decoder", ""),
        resizer=facts.get("resizer", ""),
        numpy=facts.get("numpy", ""),
        agent=identity.agent_sha256[:12],
        model_sha256=state.plan.variant(cell.key.variant).info.sha256,
        faces_sha256=state.plan.faces.info.sha256,
        pixels_sha256=accuracy.pixels_sha256 if accuracy else "",
        method=f"{method.version}/{method.setting}",
        commit=state.plan.commit,
    )


def _target(state: State, target: Target) -> records.Target:
    profile, identity = target.settings, state.identities.get(target.name)
    lost, found = state.lost.get(target.name), state.found.get(target.name, {})
    told = _told(identity, found) if identity else {}
    return records.Target(
        name=target.name,
        profile=target.profile,
        transport=profile.transport,
        emulated=profile.emulated,
        counts_instructions=profile.counts_instructions,
        settings={**_processors(target, found), **found, **state.settings.get(target.name, {})},
        notes=profile.notes,
        outcome=Outcome.LOST if lost else Outcome.OK,
        reason=lost or "",
        **told,
    )


def _processors(target: Target, found: Mapping[str, str]) -> dict[str, str]:
    """Return where the measuring processes stayed, unless `cores` tells it already."""
    affinity = target.settings.affinity
    return {} if "cores" in found else {"affinity": ",".join(map(str, affinity)) if affinity else "as found"}


def _device(identity: Identity, found: Mapping[str, str]) -> str:
    """Return what a device calls itself; phones have no board of the device tree, and all are called localhost."""
    return found.get("model") or identity.board or identity.hostname


def _system(identity: Identity, found: Mapping[str, str]) -> str:
    return f"Android {found['android']}" if "android" in found else identity.os


def _told(identity: Identity, found: Mapping[str, str]) -> dict[str, Any]:
    return {
        "device": _device(identity, found),
        "cpu": identity.cpu,
        "cores": identity.cores,
        "memory_mb": identity.memory_mb,
        "os": _system(identity, found),
        "kernel": identity.kernel,
        "python": identity.python,
        "packages": identity.packages,
    }
