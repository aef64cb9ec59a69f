"""Whether a face set gives its labels away: to cheap features, through groups in two splits, or through duplicates.

What is found here makes every accuracy on the set look better than it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from edgerig import metrics
from model_zoo import faceset, traits
from model_zoo.faceset import Face, FaceSet
from model_zoo.pictures import Pictures
from model_zoo.traits import NAMES, Traits
from reports import statistics

TELLS = 0.60  # an AUC whose interval lies above it is a leak: on 300 faces chance alone reaches .56
ALIKE_BITS = 2  # of 64, by which two looks of one picture differ: saving at JPEG quality 60 changes at most 2
FOLDS = 5
MOST_NAMED = 5  # faces in a sentence; --json has all of them


@dataclass(frozen=True)
class Trait:
    """How well one cheap trait tells fakes from real faces, whichever way round.

    Attributes:
        name: of the trait, or "all of them" for a linear classifier on all, held out by group.
        auc: at least .5.
        low: lower end of its 95 % interval; None where it has none.
        tells: whether it is a leak.
    """

    name: str
    auc: float
    low: float | None
    tells: bool


@dataclass(frozen=True)
class Warned:
    """One thing that is wrong with a set.

    Attributes:
        kind: "trait", "group", "duplicate" or "contradiction".
        sentence: what it is, and what to do.
        faces: their paths.
    """

    kind: str
    sentence: str
    faces: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checked:
    """What was found in a set."""

    traits: tuple[Trait, ...]
    warnings: tuple[Warned, ...]


def check(faces: FaceSet, progress: Callable[[int, int], None] | None = None) -> Checked:
    """Return what gives the labels of a face set away; raises FaceSetError where pictures are missing or are none.

    Args:
        faces: all splits of it.
        progress: called with (done, total).
    """
    known: list[Traits] = []
    pictures = Pictures(faces)
    pictures.each(
        lambda face: known.append(traits.of_picture(pictures.encoded(face), face.path)),
        lambda done: progress(done, len(faces.faces)) if progress else None,
    )
    found = tuple(told(faces.faces, known))
    warnings = (*_traits(found), *_groups(faces.faces), *_duplicates(faces.faces, known))
    return Checked(found, warnings)


def told(faces: Sequence[Face], known: Sequence[Traits]) -> Iterator[Trait]:
    """Yield how well each trait, and all of them together, tell the classes apart, the best first."""
    labels = np.array([face.label == "fake" for face in faces])
    groups = [face.group for face in faces]
    table = np.stack([entry.values for entry in known])
    single = [_trait(name, labels, table[:, column], groups) for column, name in enumerate(NAMES)]
    together = held_out(labels, table, groups)
    all_of_them = [] if together is None else [_trait("all of them", labels, together, groups)]
    yield from sorted([*single, *all_of_them], key=lambda trait: -trait.auc)


def _trait(name: str, labels: NDArray[np.bool_], values: NDArray[np.float64], groups: Sequence[str]) -> Trait:
    area = metrics.roc_auc(labels, values)
    area = 0.5 if area is None else area
    if area < 0.5:
        area, values = 1 - area, -values
    interval = statistics.auc_interval(labels, values, groups)
    low = interval.low if interval else None
    return Trait(name, area, low, (low if low is not None else area) > TELLS)


def held_out(
    labels: NDArray[np.bool_], table: NDArray[np.float64], groups: Sequence[str]
) -> NDArray[np.float64] | None:
    """Return a score for each face from a linear classifier on all traits that has not seen its group, [faces].

    Fisher's discriminant on the traits' ranks, which no outlier moves; None with too few groups to hold any out, or too
    few faces of a label to know how these spread.
    """
    index = statistics.group_index(groups)
    if index.max() + 1 < 2 * FOLDS:
        return None
    ranks = np.apply_along_axis(rankdata, 0, table) / len(labels) - 0.5
    scores = np.zeros(len(labels))
    for fold in range(FOLDS):
        held = np.random.default_rng(0).permutation(index.max() + 1)[index] % FOLDS == fold
        if np.bincount(labels[~held], minlength=2).min() < 2:
            return None
        scores[held] = ranks[held] @ _fisher(ranks[~held], labels[~held])
    return scores


def _fisher(ranks: NDArray[np.float64], fake: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the direction that tells two classes apart best (Fisher 1936), with a little ridge for equal columns."""
    within = np.cov(ranks[fake], rowvar=False) + np.cov(ranks[~fake], rowvar=False)
    return np.linalg.solve(within + 1e-3 * np.eye(len(within)), ranks[fake].mean(axis=0) - ranks[~fake].mean(axis=0))


def _traits(found: Iterable[Trait]) -> Iterator[Warned]:
    for trait in found:
        if trait.tells:
            surely = "" if trait.low is None else f", surely above {trait.low:.3f}"
            yield Warned(
                "trait",
                f"{trait.name} alone tells the classes apart with an AUC of {trait.auc:.3f}{surely}: a detector can be "
                "right without looking at a face. Make both classes by the same encoder, crop and size."
                if trait.name != "all of them"
                else f"cheap traits together tell the classes apart with an AUC of {trait.auc:.3f}{surely}: a detector "
                "that is no better has learned nothing.",
            )


def _groups(faces: Sequence[Face]) -> Iterator[Warned]:
    crossing = faceset.crossing(faces)
    if crossing:
        named = tuple(face.path for face in faces if face.group in set(crossing))
        sentence = (
            f"{_count(crossing, 'group')} {'is' if len(crossing) == 1 else 'are'} in more than one split, e.g. "
            f"'{crossing[0]}': what was trained on one of its faces knows the others."
        )
        yield Warned("group", sentence, named)


def _duplicates(faces: Sequence[Face], known: Sequence[Traits]) -> Iterator[Warned]:
    same = list(_equal(known))
    pairs = {tuple(sorted(pair)) for pair in same}
    near = [pair for pair in traits.alike((entry.look for entry in known), ALIKE_BITS) if pair not in pairs]
    contradicting = [pair for pair in same if _differ(faces, pair, "label")]
    crossing = [pair for pair in (*same, *near) if _differ(faces, pair, "split") and not _same_group(faces, pair)]
    plain = [pair for pair in same if pair not in crossing and pair not in contradicting]
    told_of = (
        ("contradiction", contradicting, "the same picture is called both real and fake"),
        ("duplicate", crossing, "the same or nearly the same picture is in two splits"),
        ("duplicate", plain, "the same picture is there more than once, and counts as often"),
    )
    for kind, found, what in told_of:
        if found:
            named = [faces[place].path for pair in found for place in pair]
            examples = " and ".join(named[:2])
            yield Warned(kind, f"{what}: {_count(found, 'pair')}, e.g. {examples}.", tuple(dict.fromkeys(named)))


def _equal(known: Sequence[Traits]) -> Iterator[tuple[int, int]]:
    first: dict[str, int] = {}
    for place, entry in enumerate(known):
        if entry.pixels in first:
            yield first[entry.pixels], place
        else:
            first[entry.pixels] = place


def _differ(faces: Sequence[Face], pair: tuple[int, int], name: str) -> bool:
    one, other = (getattr(faces[place], name) for place in pair)
    return bool(one != other)


def _same_group(faces: Sequence[Face], pair: tuple[int, int]) -> bool:
    return faces[pair[0]].group == faces[pair[1]].group


def _count(entries: Sequence[object], noun: str) -> str:
    return f"{len(entries)} {noun}" + ("s" if len(entries) != 1 else "")
