"""What a plan's budgets can hope for: which of them its faces and frames cannot decide, told before measuring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.planning.plan import Plan
from reports import power
from reports.budgets import ASKED_FOR, BUDGETS, PERCENTILES
from reports.statistics import CARRIES

Told = Iterator[str]


def undecidable(plan: Plan) -> list[str]:
    """Return a sentence for each budget that the plan cannot decide, or only where a figure is far from its limit."""
    found = [
        f"{target}: {text}" if len(plan.targets) > 1 else text
        for target, limits in plan.budgets.items()
        for name, limit in limits.items()
        for text in _told(plan, target, name, limit)
    ]
    return list(dict.fromkeys(found))


def _told(plan: Plan, target: str, name: str, limit: float) -> Told:
    if name == "auc":
        yield from _auc(plan, target, limit)
    elif name == "auc_drop":
        yield from _drop(plan, target, limit)
        yield from _orphans(plan, target)
    elif BUDGETS[name].of_device and plan.method_on(target).setting == "emulated":
        yield f"{name} is not held against an emulator's times."
    elif name == "sustained_p95_ms" and not plan.sustain_s:
        yield f"{name} is not measured: {ASKED_FOR[name]}."
    elif BUDGETS[name].unit == "ms" and plan.method.setting == "quick":
        yield f"{name}: a quick run has two rounds, whose interval is too wide for most limits."
    elif name in PERCENTILES:
        yield from _percentile(plan, target, name, limit)


def _faces(plan: Plan, target: str) -> tuple[int, int]:
    """Return how many fake and real faces a target scores."""
    labels = [face.label for face in plan.images_on(target)]
    return labels.count("fake"), labels.count("real")


def _auc(plan: Plan, target: str, limit: float) -> Told:
    fakes, reals = _faces(plan, target)
    if 0 < limit < 1:
        half = power.auc_half_width(limit, fakes, reals)
        yield f"auc: {fakes + reals} faces leave an AUC within about {half:.3f} of {limit:g} undecided."


def _drop(plan: Plan, target: str, limit: float) -> Told:
    fakes, reals = _faces(plan, target)
    half = power.drop_half_width(fakes, reals)
    known = f"{fakes + reals} faces tell a drop to about ±{half:.3f}"
    assumed = f"(AUCs of {power.TYPICAL_AUC:g}, correlated by {power.CORRELATION:g})"
    if limit <= 0:
        yield f"auc_drop: {known} {assumed}, so that a limit of {limit:g} can be broken but hardly met."
    elif half > limit:
        needed = power.faces_for(limit, fakes, reals, half)
        yield f"auc_drop cannot be decided near {limit:g}: {known} {assumed}; about {needed:,} faces would do."


def _orphans(plan: Plan, target: str) -> Told:
    """Yield the variants of which no ancestor is measured beside them."""
    parents = {variant.info.name: variant.info.parent for variant in plan.variants}
    there = {cell.key.variant for cell in plan.cells_on(target) if not cell.unsupported}
    for name in sorted(there):
        parent = parents[name]
        if parent and not there & _ancestors(name, parents):
            away = "is not measured here" if parent in parents else "is not in this run"
            yield f"auc_drop of {name} is not measured: its parent {parent} {away}."


def _ancestors(name: str, parents: Mapping[str, str]) -> set[str]:
    """Return what a variant was made of, as far as the run's variants tell; none is made of itself."""
    found = [name]
    while (name := parents.get(name, "")) and name not in found:
        found.append(name)
    return set(found[1:])


def _percentile(plan: Plan, target: str, name: str, limit: float) -> Told:
    """Yield whether a cell as slow as the limit gives too few frames; faster ones give more."""
    method, needed = plan.method_on(target), CARRIES[PERCENTILES[name]]
    each = max(method.round_frames, int(1000 * method.round_s / limit)) if limit > 0 else method.round_frames
    frames = method.rounds_min * each
    if frames < needed:
        rounds = -(-needed // each)
        yield f"{name} needs {needed} frames, a cell near {limit:g} ms gives {frames}: --rounds {rounds}, or --full."
