"""The same scores everywhere? Score by score against a reference, with the faces that are decided otherwise.

The reference of a variant is its scores on the plainest place that was measured: a real device before an emulated
one, x86-64 before others, ONNX Runtime before others, the processor before accelerators, then the order of the run.
A variant is also held against its parent, on the same place where there is one.

Each face is compared with itself, which needs no statistics; only the AUC that a variant has lost or gained against
its parent has an interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from edgerig import metrics
from reports import statistics
from reports.figures import number
from reports.records import Agreement, Confounder, Fingerprint, Flip, Place, Run

MOST_FLIPPED = 50  # faces that are listed of one comparison; all are counted

# Keys of the fingerprint that can change a score. Threads may: the order of a sum does.
KEYS = ("runtime_version", "provider", "precision", "threads", "decoder", "resizer", "cpu", "pixels_sha256")


@dataclass(frozen=True)
class Scored:
    """One accuracy pass.

    Attributes:
        place: where it ran, and which variant.
        scores: path of a face -> its score, in the order in which they were fed.
        labels: path of a face -> "real" or "fake".
        threshold: of the variant.
        fingerprint: of a cell that shares the pass; None where nothing is known of it.
        machine: what `uname -m` says there.
        emulated: whether its target is an emulator.
        reason: why there are no usable scores, "" where there are.
        groups: path of a face -> what it must not be divided from, "" for a group of its own.
    """

    place: Place
    scores: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    threshold: float = 0.5
    fingerprint: Fingerprint | None = None
    machine: str = ""
    emulated: bool = False
    reason: str = ""
    groups: Mapping[str, str] = field(default_factory=dict)


def agreement(passes: Sequence[Scored], parents: Mapping[str, str], seed: int = 0) -> tuple[Agreement, ...]:
    """Return how the passes of a run agree.

    Args:
        passes: all of them, in the order of the run.
        parents: variant -> the variant that it was made of, where that has a name.
        seed: of the bootstrap.
    """
    grouped: dict[str, list[Scored]] = {}
    for entry in passes:
        grouped.setdefault(entry.place.variant, []).append(entry)
    references = {name: min(entries, key=_plainness) for name, entries in grouped.items()}
    found: list[Agreement] = []
    for name, entries in grouped.items():
        reference = references[name]
        found += [_compared("place", reference, entry) for entry in entries if entry is not reference]
        found += _with_parent(reference, grouped.get(parents.get(name, ""), []), seed)
    return tuple(found)


def _plainness(entry: Scored) -> tuple[bool, ...]:
    """Return what sorts the plainest place first; `min` keeps the order of the run among equals."""
    place = entry.place
    return (
        bool(entry.reason),
        entry.emulated,
        entry.machine != "x86_64",
        place.runtime.partition("==")[0] != "onnxruntime",
        place.provider != "cpu",
    )


def _with_parent(entry: Scored, parent: Sequence[Scored], seed: int) -> Iterator[Agreement]:
    if parent:
        same = [other for other in parent if str(other.place) == str(entry.place) and not other.reason]
        reference = same[0] if same else min(parent, key=_plainness)
        compared = _compared("parent", reference, entry)
        yield compared if compared.reason else compared.model_copy(update=_areas(reference, entry, seed))


def _areas(parent: Scored, here: Scored, seed: int) -> dict[str, float]:
    """Return the difference of the AUCs, with its interval where there are groups enough; nothing with one class."""
    shared = [path for path in parent.scores if path in here.scores]
    labels = [here.labels.get(path) == "fake" for path in shared]
    mine, theirs = ([entry.scores[path] for path in shared] for entry in (here, parent))
    if not np.all(np.isfinite([mine, theirs])):
        return {}
    area, before = metrics.roc_auc(labels, mine), metrics.roc_auc(labels, theirs)
    if area is None or before is None:
        return {}
    groups = [here.groups.get(path, "") for path in shared]
    ends = statistics.auc_difference(labels, mine, theirs, groups, seed)
    known = {"auc_difference": area - before}
    return known | ({"auc_difference_low": ends.low, "auc_difference_high": ends.high} if ends else {})


def _compared(kind: str, reference: Scored, here: Scored) -> Agreement:
    shared = [path for path in reference.scores if path in here.scores]
    same_faces = list(reference.scores) == list(here.scores)
    known = {"kind": kind, "reference": reference.place, "here": here.place, "faces": len(shared)}
    known["confounders"] = tuple(_confounders(reference, here, same_faces))
    if reason := _incomparable(reference, here, shared):
        return Agreement.model_validate({**known, "reason": reason})
    differences = {path: abs(reference.scores[path] - here.scores[path]) for path in shared}
    widest = max(differences, key=differences.__getitem__)
    flipped = [path for path in shared if _called(reference, path) != _called(here, path)]
    return Agreement.model_validate(
        {
            **known,
            "identical": not any(differences.values()),
            "largest_difference": differences[widest],
            "largest_face": widest if differences[widest] else "",
            "flips": len(flipped),
            "flipped": tuple(_flip(reference, here, path) for path in flipped[:MOST_FLIPPED]),
        }
    )


def _incomparable(reference: Scored, here: Scored, shared: Sequence[str]) -> str:
    for entry in (here, reference):
        if entry.reason:
            return f"{entry.place} has no scores: {entry.reason}"
    return "" if shared else "no face was scored by both"


def _called(entry: Scored, path: str) -> bool:
    return entry.scores[path] >= entry.threshold


def _flip(reference: Scored, here: Scored, path: str) -> Flip:
    return Flip(path=path, label=here.labels.get(path, ""), reference=reference.scores[path], here=here.scores[path])


def _confounders(reference: Scored, here: Scored, same_faces: bool) -> Iterator[Confounder]:
    if reference.place.runtime != here.place.runtime:
        yield Confounder(name="runtime", reference=reference.place.runtime, here=here.place.runtime)
    if reference.fingerprint is None or here.fingerprint is None:
        return
    there, ours = reference.fingerprint, here.fingerprint
    # Equal digests of the pixels rule the decoder out; digests over other faces say nothing.
    same_pixels = same_faces and bool(there.pixels_sha256) and there.pixels_sha256 == ours.pixels_sha256
    skipped = {"decoder"} if same_pixels else set() if same_faces else {"pixels_sha256"}
    for name in KEYS:
        was, now = str(getattr(there, name) or ""), str(getattr(ours, name) or "")
        if was != now and name not in skipped:
            yield Confounder(name=name, reference=was, here=now)


def by_kind(run: Run) -> dict[str, list[Agreement]]:
    """Return the comparisons between places, and those with parents."""
    return {kind: [entry for entry in run.agreement if entry.kind == kind] for kind in ("place", "parent")}


def difference(entry: Agreement) -> str:
    """Return the largest difference in words: "bit-identical", or as a number."""
    if entry.reason:
        return "not compared"
    return "bit-identical" if entry.identical else f"{entry.largest_difference:.1e}"


def areas(entry: Agreement) -> str:
    """Return the difference of the AUCs in words, with its 95 % interval where there is one; "" where there is none."""
    if entry.auc_difference is None:
        return ""
    ends = (entry.auc_difference_low, entry.auc_difference_high)
    interval = f" ({ends[0]:+.4f} to {ends[1]:+.4f})" if ends[0] is not None and ends[1] is not None else ""
    return f"{entry.auc_difference:+.4f}{interval}"


def suspects(entry: Agreement) -> list[str]:
    """Return the names of what else differs, for people."""
    return [confounder.name.replace("_sha256", "").replace("_", " ") for confounder in entry.confounders]


def sentences(run: Run) -> list[str]:
    """Return a line for each place whose scores were held against its variant's reference."""
    return [f"{entry.here.variant}: {_sentence(entry)}" for entry in run.agreement if entry.kind == "place"]


def _sentence(entry: Agreement) -> str:
    if entry.reason:
        return f"{entry.here} is not compared with {entry.reference}: {entry.reason}"
    faces = f"{entry.faces} face" + ("s" if entry.faces != 1 else "")
    if entry.identical:
        return f"scores of {faces} on {entry.here} are bit-identical with those on {entry.reference}"
    flips = f"{entry.flips} decision{'s' if entry.flips != 1 else ''} flip{'' if entry.flips != 1 else 's'}"
    which = _which(entry)
    differs = f"; different there: {', '.join(suspects(entry))}" if entry.confounders else ""
    return (
        f"scores on {entry.here} differ by at most {entry.largest_difference:.2g} from those on "
        f"{entry.reference} ({faces}), {flips}{which}{differs}"
    )


def _which(entry: Agreement) -> str:
    named = [f"{flip.path} ({number(flip.reference)} to {number(flip.here)})" for flip in entry.flipped[:3]]
    more = f" and {entry.flips - len(named)} more" if entry.flips > len(named) else ""
    return f": {', '.join(named)}{more}" if named else ""
