"""From raw times, memory and scores to the metrics of a cell, with their intervals: computed here, once.

    scored, scored_metrics = accuracy(Scores(...))            once per variant, runtime and provider
    cell = collate(key, measured, method, emulated=False)     once per cell

Every function is pure. Rounds that failed or are tainted do not count but are kept (`reports.trust.counted`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgerig import digest, metrics
from reports import decide, endurance, energy, instructions, starts, statistics
from reports.records import (
    STAGES,
    Accuracy,
    Cell,
    Counts,
    Fingerprint,
    Key,
    Memory,
    Method,
    Metric,
    OperatorTime,
    Outcome,
    Phase,
    RealTime,
    Round,
    Sustained,
)
from reports.statistics import Interval
from reports.trust import counted, verdict

Frames = Mapping[int, NDArray[np.int64]]  # round number -> ns [n, 5], columns STAGES, -1: the stage did not run

END_TO_END = STAGES[-1]

_NS_PER_MS = 1e6


@dataclass(frozen=True)
class Scores:
    """What the accuracy pass of a variant gave, one entry a face in every list.

    Attributes:
        labels: 1 is fake, 0 is real.
        categories: how a face was made, e.g. "real", "faceswap".
        groups: person or clip it is of, "" for a group of its own; None where the set has no groups.
        scores: probability of "fake", float64 [n].
        threshold: at or above it a face is called fake.
        file: name under scores/.
        pixels_sha256: digest of the decoded pictures.
    """

    labels: Sequence[int]
    categories: Sequence[str]
    scores: ArrayLike
    groups: Sequence[str] | None = None
    threshold: float = 0.5
    file: str | None = None
    pixels_sha256: str = ""


@dataclass(frozen=True)
class Measured:
    """All that was measured of one cell, as far as it got."""

    rounds: Sequence[Round] = ()
    frames: Frames = field(default_factory=dict)
    memory: Memory | None = None
    accuracy: Accuracy | None = None
    accuracy_metrics: Sequence[Metric] = ()
    fingerprint: Fingerprint | None = None
    operators: Sequence[OperatorTime] = ()
    sustained: Sustained | None = None
    realtime: RealTime | None = None
    engine_build_ms: float | None = None  # of a provider that compiled the model in this run
    counts_instructions: bool = False  # the clock of the frames goes on by 1 ns for each instruction


def collate(
    key: Key,
    measured: Measured,
    method: Method,
    *,
    emulated: bool,
    outcome: Outcome | None = None,
    reason: str = "",
    next_step: str = "",
) -> Cell:
    """Return the cell of what was measured.

    Args:
        key: its names.
        measured: rounds, frames and passes; empty for a cell that was never tried.
        method: how it was asked to be measured.
        emulated: whether its target is an emulator.
        outcome: what the controller knows better (unsupported, skipped, lost); None: derived from the passes.
        reason: of that outcome.
        next_step: what to do about it.
    """
    times = latency_metrics(measured.rounds, measured.frames)
    p50 = next((m for m in times if (m.metric, m.scope) == ("latency_p50", END_TO_END)), None)
    counts = instructions.metrics(counted(measured.rounds), measured.frames) if measured.counts_instructions else ()
    drawn = () if emulated else energy.metrics(counted(measured.rounds), measured.frames)
    found, why = (outcome, reason) if outcome else _outcome(measured)
    return Cell(
        id=cell_id(key),
        key=key,
        outcome=found,
        reason=why,
        next_step=next_step,
        verdict=verdict(measured.rounds, method, p50, emulated),
        metrics=(
            *times,
            *counts,
            *drawn,
            *_engine_metrics(measured.engine_build_ms),
            *memory_metrics(measured.memory),
            *measured.accuracy_metrics,
            *endurance.sustained_metrics(measured.sustained),
            *endurance.realtime_metrics(measured.realtime),
        ),
        fingerprint=measured.fingerprint,
        rounds=tuple(_with_median(entry, measured.frames) for entry in measured.rounds),
        memory=measured.memory,
        accuracy=measured.accuracy,
        operators=tuple(measured.operators),
        sustained=measured.sustained,
        realtime=measured.realtime,
    )


def cell_id(key: Key) -> str:
    """Return a name for the cell that is safe as a file name and the same every night."""
    names = (key.variant, key.target, key.runtime, key.provider, str(key.threads))
    plain = "-".join(re.sub(r"[^A-Za-z0-9.]+", "_", name).strip("._") or "x" for name in names)
    return f"{plain[:100]}-{digest.of_json(list(names))[:8]}"


def _outcome(measured: Measured) -> tuple[Outcome, str]:
    """Return the first pass that did not go well, in the order latency, memory, accuracy."""
    for found, why in (_latency_outcome(measured.rounds), *_pass_outcomes(measured)):
        if found is not Outcome.OK:
            return found, why
    if not measured.rounds and measured.memory is None and measured.accuracy is None:
        return Outcome.SKIPPED, "nothing was measured"
    return Outcome.OK, ""


def _pass_outcomes(measured: Measured) -> Iterator[tuple[Outcome, str]]:
    if measured.memory is not None:
        yield measured.memory.outcome, f"memory pass: {measured.memory.reason or measured.memory.outcome}"
    if measured.accuracy is not None:
        yield (
            measured.accuracy.outcome,
            f"accuracy pass: {measured.accuracy.reason or measured.accuracy.outcome}",
        )


def _latency_outcome(rounds: Sequence[Round]) -> tuple[Outcome, str]:
    """Return what became of the rounds; a lost one says something of the link only, unless all are."""
    good = [entry for entry in rounds if entry.outcome is Outcome.OK]
    bad = [entry for entry in rounds if entry.outcome not in {Outcome.OK, Outcome.LOST, Outcome.SKIPPED}]
    if not bad and not good:
        bad = [entry for entry in rounds if entry.outcome is not Outcome.OK]
    if not bad:
        return Outcome.OK, ""
    share = "" if len(rounds) == 1 else f"{len(bad)} of {len(rounds)} rounds: "
    return bad[-1].outcome, share + (bad[-1].reason or str(bad[-1].outcome))


# --- latency ---


def latency_metrics(rounds: Sequence[Round], frames: Frames) -> tuple[Metric, ...]:
    """Return times per stage in ms, frames per second, and what starting costs.

    p50 is the geometric mean of the medians of the rounds, with its Student-t interval; all else is of the
    pooled frames. `n` is the number of pooled frames, for what starting costs the number of rounds.
    """
    used = [entry for entry in counted(rounds) if entry.number in frames]
    counting = [_counting(frames[entry.number], entry.warmup) for entry in used]
    found: list[Metric] = []
    for column, stage in enumerate(STAGES):
        found += _stage_metrics(stage, [times[times[:, column] >= 0, column] for times in counting])
    found += _detectable([statistics.percentile(times[:, -1], 50) for times in counting if times.size])
    return (*found, *_fps(found), *_start_metrics(counted(rounds)))


def _counting(times: NDArray[np.int64], warmup: int) -> NDArray[np.int64]:
    """Return the rows after the warm-up; raises ValueError for an array that is no [n, 5]."""
    if times.ndim != 2 or times.shape[1] != len(STAGES):
        raise ValueError(f"frames must be [n, {len(STAGES)}], not {list(times.shape)}")
    return times[warmup:]


def _with_median(entry: Round, frames: Frames) -> Round:
    """Return a round with the end-to-end median of its frames that count."""
    if entry.number not in frames:
        return entry
    times = _counting(frames[entry.number], entry.warmup)[:, -1]
    known = times[times >= 0]
    return entry.model_copy(update={"p50_ms": float(np.median(known)) / _NS_PER_MS}) if known.size else entry


def _stage_metrics(stage: str, rounds_ns: Sequence[NDArray[np.int64]]) -> list[Metric]:
    rounds_ms = [times / _NS_PER_MS for times in rounds_ns if times.size]
    if not rounds_ms:
        return []
    pooled = np.concatenate(rounds_ms)
    medians = [statistics.percentile(times, 50) for times in rounds_ms]
    p50 = statistics.geometric_mean(medians)
    values = {f"latency_p{q}": statistics.percentile(pooled, q) for q in statistics.carried(pooled.size) if q != 50}
    values |= {"latency_mean": float(pooled.mean())}
    if pooled.size > 1:
        values |= {"latency_std": float(pooled.std(ddof=1))}
    values |= {"latency_min": float(pooled.min()), "latency_max": float(pooled.max())}
    size = int(pooled.size)
    ends = {f"latency_p{q}": statistics.percentile_interval(rounds_ms, q) for q in statistics.carried(size) if q != 50}
    first = _metric("latency_p50", stage, "ms", p50, size, True, statistics.t_interval(medians))
    return [first, *(_metric(name, stage, "ms", value, size, True, ends.get(name)) for name, value in values.items())]


def _detectable(medians: Sequence[float]) -> Iterator[Metric]:
    """Yield the smallest slow-down that a comparison with rounds like these would find, relative; `n` is of rounds."""
    change = decide.detectable_alone(medians)
    if change is not None:
        yield _metric("min_detectable_change", END_TO_END, "1", change, len(medians), True)


def _fps(times: Sequence[Metric]) -> Iterator[Metric]:
    """Yield frames per second: the reciprocal of the end-to-end p50, one frame after the other."""
    for p50 in times:
        if (p50.metric, p50.scope) == ("latency_p50", END_TO_END) and p50.value:
            ends = Interval(1000 / p50.ci_high, 1000 / p50.ci_low) if p50.ci_low and p50.ci_high else None
            yield _metric("fps", END_TO_END, "frames/s", 1000 / p50.value, p50.n, False, ends)


def _start_metrics(rounds: Sequence[Round]) -> Iterator[Metric]:
    """Yield import, load and first-frame time: the median, since the first round reads a cold disk."""
    for name in ("import_ms", "load_ms", "first_frame_ms"):
        known = [value for entry in rounds if (value := getattr(entry, name)) is not None]
        if not known:
            continue
        median, ends = statistics.percentile(known, 50), statistics.t_interval(known)
        if ends:  # some cold rounds can pull the mean of the logs so far that its interval leaves the median
            ends = Interval(min(ends.low, median), max(ends.high, median))
        yield _metric(name, "all", "ms", median, len(known), True, ends)
    yield from _cold_starts(rounds)


def _cold_starts(rounds: Sequence[Round]) -> Iterator[Metric]:
    """Yield how long a fresh process takes to its first answer, over processes; Python's own start is not in it."""
    found = starts.whole(rounds)
    if found:
        yield _metric("cold_start_p50", "all", "ms", statistics.percentile(found, 50), len(found), True)
        yield _metric("cold_start_min", "all", "ms", min(found), len(found), True)
        yield _metric("cold_start_max", "all", "ms", max(found), len(found), True)


def _engine_metrics(ms: float | None) -> Iterator[Metric]:
    """Yield the time that a provider took to compile the model; nothing where it found what it had made before."""
    if ms:
        yield _metric("engine_build_ms", "all", "ms", ms, 1, True)


# --- memory ---


def memory_metrics(memory: Memory | None) -> tuple[Metric, ...]:
    """Return peak resident (VmHWM) and proportional (PSS) memory by phase; scope "all" is the largest."""
    if memory is None or memory.outcome is not Outcome.OK:
        return ()
    found: list[Metric] = []
    for name in ("vm_hwm_mb", "pss_mb"):
        known = [(phase.phase, value) for phase in memory.phases if (value := _reading(phase, name)) is not None]
        found += [_metric(name, phase, "MiB", value, 1, True) for phase, value in known]
        if known:
            found.append(_metric(name, "all", "MiB", max(value for _, value in known), 1, True))
    return tuple(found)


def _reading(phase: Phase, name: str) -> float | None:
    return phase.vm_hwm_mb if name == "vm_hwm_mb" else phase.pss_mb


# --- accuracy ---


def accuracy(scores: Scores, seed: int = 0) -> tuple[Accuracy, tuple[Metric, ...]]:
    """Return the accuracy pass and its metrics, all of the same scores; failed, with none, where one is NaN.

    Rates have Wilson's interval, its trials divided by the design effect of the groups; the AUC has one from
    a bootstrap over groups, or DeLong's without groups. Raises ValueError where the lists differ in length.
    """
    values = np.asarray(scores.scores, np.float64)
    if not len(values) == len(scores.labels) == len(scores.categories) == len(scores.groups or scores.labels):
        raise ValueError("labels, categories, groups and scores must be of the same length")
    reason = _unusable(values)
    if reason:
        return _accuracy(scores, Outcome.FAILED, reason), ()
    table = metrics.confusion(scores.labels, values, scores.threshold)
    counts = Counts(tn=table.tn, fp=table.fp, fn=table.fn, tp=table.tp)
    faces = _Faces(np.asarray(scores.labels).astype(bool), values, values >= scores.threshold, scores.groups)
    found = [
        *_rates(faces),
        *_ranking(faces, table, seed),
        *_counts(counts),
        *_by_category(scores, faces, seed),
    ]
    return _accuracy(scores, Outcome.OK, "", counts), tuple(found)


def _unusable(values: NDArray[np.float64]) -> str:
    """Return why scores cannot be used, e.g. "NaN for 12 of 400 faces", "" where they can."""
    if not values.size:
        return "no face was scored"
    nan, infinite = int(np.isnan(values).sum()), int(np.isinf(values).sum())
    parts = [f"{name} for {count}" for name, count in (("NaN", nan), ("infinite", infinite)) if count]
    return f"{' and '.join(parts)} of {values.size} faces" if parts else ""


def _accuracy(scores: Scores, outcome: Outcome, reason: str, counts: Counts | None = None) -> Accuracy:
    return Accuracy(
        outcome=outcome,
        reason=reason,
        scores=scores.file,
        threshold=scores.threshold,
        counts=counts,
        pixels_sha256=scores.pixels_sha256,
    )


@dataclass(frozen=True)
class _Faces:
    """Faces with truth and decision; `of` picks some of them."""

    fake: NDArray[np.bool_]
    scores: NDArray[np.float64]
    called: NDArray[np.bool_]
    groups: Sequence[str] | None

    def of(self, mask: NDArray[np.bool_]) -> _Faces:
        groups = None if self.groups is None else [self.groups[int(at)] for at in np.flatnonzero(mask)]
        return _Faces(self.fake[mask], self.scores[mask], self.called[mask], groups)


REFITTED = "refitted"  # scope of what is decided at a threshold that was fitted on validation faces


def refitted(scores: Scores, validation: Scores) -> tuple[Metric, ...]:
    """Return the rates at the threshold with the best balanced accuracy on other faces; () where those give none.

    Args:
        scores: of the faces that are reported on; the threshold knows nothing of them.
        validation: of those that it is fitted on.
    """
    values, others = np.asarray(scores.scores, np.float64), np.asarray(validation.scores, np.float64)
    usable = not _unusable(values) and not _unusable(others)
    threshold = metrics.balanced_threshold(validation.labels, others) if usable else None
    if threshold is None:
        return ()
    faces = _Faces(np.asarray(scores.labels).astype(bool), values, values >= threshold, scores.groups)
    f1 = metrics.confusion(scores.labels, values, threshold).f1
    found = [_metric("f1", REFITTED, "1", f1, values.size, False)] if f1 is not None else []
    fitted = Metric(metric="threshold", scope=REFITTED, unit="1", value=threshold, n=others.size)
    return (fitted, *_rates(faces, REFITTED), *found)


def _rates(faces: _Faces, scope: str = "all") -> Iterator[Metric]:
    yield from _rate("accuracy", scope, faces, faces.called == faces.fake)
    yield from _rate("precision", scope, faces.of(faces.called), faces.fake[faces.called])
    yield from _rate("recall", scope, faces.of(faces.fake), faces.called[faces.fake])
    yield from _rate("specificity", scope, faces.of(~faces.fake), ~faces.called[~faces.fake])


def _rate(name: str, scope: str, faces: _Faces, hits: NDArray[np.bool_]) -> Iterator[Metric]:
    if hits.size:
        effect = statistics.design_effect(hits, faces.groups)
        ends = statistics.wilson(int(hits.sum()), hits.size, design_effect=effect)
        yield _metric(name, scope, "1", float(hits.mean()), hits.size, False, ends)


def _ranking(faces: _Faces, table: metrics.Confusion, seed: int) -> Iterator[Metric]:
    """Yield the AUC with its interval, and the figures that are given without one."""
    yield from _auc("all", faces, seed)
    without = (
        ("f1", "1", table.f1, False),
        ("eer", "1", metrics.equal_error_rate(faces.fake, faces.scores), True),
        ("average_precision", "1", metrics.average_precision(faces.fake, faces.scores), False),
        ("log_loss", "nats", metrics.log_loss(faces.fake, faces.scores), True),
    )
    for name, unit, value, lower in without:
        if value is not None:
            yield _metric(name, "all", unit, value, len(faces.scores), lower)


def _auc(scope: str, faces: _Faces, seed: int) -> Iterator[Metric]:
    area = metrics.roc_auc(faces.fake, faces.scores)
    if area is not None:
        ends = statistics.auc_interval(faces.fake, faces.scores, faces.groups, seed)
        yield _metric("auc", scope, "1", area, len(faces.scores), False, ends)


def auc_drop(scores: Scores, parent: Scores, seed: int = 0) -> Metric | None:
    """Return by how much the AUC is below the parent's on the same faces, paired; None with one class only.

    A negative drop is a gain. The interval is a bootstrap over groups; both must score the same faces in one order.
    """
    mine, theirs = metrics.roc_auc(scores.labels, scores.scores), metrics.roc_auc(parent.labels, parent.scores)
    if mine is None or theirs is None:
        return None
    groups = scores.groups or [""] * len(scores.labels)
    ends = statistics.auc_difference(scores.labels, parent.scores, scores.scores, groups, seed)
    return _metric("auc_drop", "all", "1", theirs - mine, len(scores.labels), True, ends)


def _counts(counts: Counts) -> Iterator[Metric]:
    total = counts.tn + counts.fp + counts.fn + counts.tp
    for name, lower in (("tn", False), ("fp", True), ("fn", True), ("tp", False)):
        yield _metric(name, "all", "faces", float(getattr(counts, name)), total, lower)


def _by_category(scores: Scores, faces: _Faces, seed: int) -> Iterator[Metric]:
    """Yield the share of each category that was found out, and its fakes' AUC against all real faces."""
    categories = np.asarray(scores.categories, dtype=object)
    for name in sorted(set(scores.categories)):
        scope = f"category {name}" if name in ("all", REFITTED) else name  # these are taken
        fakes, reals = (categories == name) & faces.fake, (categories == name) & ~faces.fake
        yield from _rate("specificity", scope, faces.of(reals), ~faces.called[reals])
        yield from _rate("detection_rate", scope, faces.of(fakes), faces.called[fakes])
        if fakes.any():
            yield from _auc(scope, faces.of(fakes | ~faces.fake), seed)


def _metric(
    metric: str, scope: str, unit: str, value: float, n: int, lower: bool, interval: Interval | None = None
) -> Metric:
    low, high = (interval.low, interval.high) if interval else (None, None)
    return Metric(
        metric=metric,
        scope=scope,
        unit=unit,
        value=value,
        ci_low=low,
        ci_high=high,
        n=n,
        lower_is_better=lower,
    )
