"""Batches of an epoch: which faces go together, and how they reach the net before it asks for them.

A batch depends on the seed, the epoch and its number alone, so a resumed training sees what an uninterrupted one would.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgerig.preprocess import InputSpec, Preprocessor
from model_zoo.building.recipe import Augment
from model_zoo.faceset import FaceSet
from model_zoo.manifest import Input
from model_zoo.pictures import Pictures, resized
from model_zoo.training import edits
from model_zoo.training.augment import Change, Picture

MEMORY = 2 << 30  # bytes of decoded pictures that are kept; the others are decoded whenever they are used
Unit = tuple[int, ...]  # places of an original and its fake, or of one face
T = TypeVar("T")


@dataclass(frozen=True)
class Batch:
    """Faces as nets are fed them.

    Attributes:
        tensors: of each input that was asked for, float32 [faces, 3, height, width].
        labels: 1 for fakes, int64 [faces].
        pairs: the first 2 x pairs faces are pairs, the original before its fake.
        edits: where the fake of each pair was edited, float32 [pairs, 1, 28, 28]; None where nobody asked.
        weights: of the faces in the loss, float32 [faces].
    """

    tensors: tuple[NDArray[np.float32], ...]
    labels: NDArray[np.int64]
    pairs: int
    edits: NDArray[np.float32] | None
    weights: NDArray[np.float32]


class Album:
    """The pictures of a face set, each decoded once as long as memory lasts.

    Args:
        faces: the set.
        memory: bytes that decoded pictures may take.
    """

    def __init__(self, faces: FaceSet, memory: int = MEMORY) -> None:
        self.faces = faces.faces
        self._pictures, self._left = Pictures(faces), memory
        self._kept: dict[int, Picture] = {}

    def __getitem__(self, place: int) -> Picture:
        """Return a picture's pixels, uint8 [rows, columns, 3] BGR, not to be written to."""
        kept = self._kept.get(place)
        if kept is not None:
            return kept
        picture = self._pictures.decoded(self.faces[place])
        if picture.nbytes <= self._left:
            self._left -= picture.nbytes
            self._kept[place] = picture
        return picture

    @property
    def labels(self) -> NDArray[np.int64]:
        """1 for fakes, [faces]."""
        return np.array([face.label == "fake" for face in self.faces], np.int64)


def units(album: Album) -> list[Unit]:
    """Return the faces that stay together: in each group originals with fakes, the rarer ones again and again."""
    groups: dict[str, tuple[list[int], list[int]]] = {}
    for place, face in enumerate(album.faces):
        groups.setdefault(face.group, ([], []))[face.label == "fake"].append(place)
    found: list[Unit] = []
    for real, fake in groups.values():
        if real and fake:
            found += [(real[n % len(real)], fake[n % len(fake)]) for n in range(max(len(real), len(fake)))]
        else:
            found += [(place,) for place in (*real, *fake)]
    return found


def as_trained(spec: Input) -> InputSpec:
    """Return how a torch net is fed for an input: the same numbers, always float32 [n, 3, height, width]."""
    return replace(spec.spec(), layout="NCHW", dtype="float32", scale=None, zero_point=0)


class Loader:
    """Makes the batches of training.

    Args:
        album: training faces.
        inputs: one for each net that sees the same pictures.
        augment: what is done to them.
        size: faces of a batch, at least; what is left over is spread among the batches.
        seed: of order and augmentation.
        where: whether batches say where fakes were edited.
    """

    def __init__(
        self, album: Album, inputs: Sequence[Input], augment: Augment, size: int, seed: int, *, where: bool = False
    ) -> None:
        self._album, self._augment, self._seed, self._where = album, augment, seed, where
        self._edits: dict[Unit, edits.Map] = {}
        self._specs = [as_trained(entry) for entry in inputs]
        self._units = units(album)
        self._labels = album.labels
        self.batches = max(1, sum(map(len, self._units)) // size)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of an epoch, made ahead by threads."""
        order = np.random.default_rng([self._seed, number]).permutation(len(self._units))
        jobs = (
            partial(self._batch, [self._units[place] for place in part], [self._seed, number, at])
            for at, part in enumerate(np.array_split(order, self.batches))
        )
        return ahead(jobs)

    def _batch(self, chosen: list[Unit], seed: list[int]) -> Batch:
        rng = np.random.default_rng(seed)
        drawn = [(unit, Change.drawn(self._augment, rng)) for unit in sorted(chosen, key=len, reverse=True)]
        places = [place for unit, _ in drawn for place in unit]
        pictures = [change(self._album[place]) for unit, change in drawn for place in unit]
        tensors = tuple(fed(pictures, spec) for spec in self._specs)
        pairs = [(unit, change) for unit, change in drawn if len(unit) == 2]
        weights = np.ones(len(places), np.float32)
        if not (self._where and pairs):
            return Batch(tensors, self._labels[places], len(pairs), None, weights)
        maps = np.stack([self._seen(unit, change) for unit, change in pairs])[:, None]
        weights[: 2 * len(pairs)] = np.repeat([edits.weight(self._edit(unit)) for unit, _ in pairs], 2)
        return Batch(tensors, self._labels[places], len(pairs), maps, weights)

    def _seen(self, unit: Unit, change: Change) -> edits.Map:
        return edits.seen(self._edit(unit), self._album[unit[0]].shape[:2], change, self._specs[0])

    def _edit(self, unit: Unit) -> edits.Map:
        if unit not in self._edits:
            self._edits[unit] = edits.changed(self._album[unit[0]], self._album[unit[1]])
        return self._edits[unit]


def plain(album: Album, spec: Input, size: int = 64) -> Iterator[NDArray[np.float32]]:
    """Yield all faces in their order as a net is fed them, float32 [faces, 3, height, width], made ahead."""
    places = range(len(album.faces))
    parts = [places[start : start + size] for start in range(0, len(places), size)]
    return ahead(partial(_plain, album, part, as_trained(spec)) for part in parts)


def _plain(album: Album, places: Iterable[int], spec: InputSpec) -> NDArray[np.float32]:
    return fed([album[place] for place in places], spec)


def fed(pictures: Sequence[Picture], spec: InputSpec) -> NDArray[np.float32]:
    """Return pictures as one tensor, by the code that devices run."""
    prepare = Preprocessor(spec, resized)
    tensor = np.empty((len(pictures), *spec.shape[1:]), np.float32)
    for row, picture in zip(tensor, pictures, strict=True):
        row[:] = prepare(picture)[0]
    return tensor


def ahead(jobs: Iterable[Callable[[], T]], threads: int | None = None) -> Iterator[T]:
    """Yield what jobs return, in their order, while threads are at the next ones.

    OpenCV lets go of Python's lock: with a fast device one thread would leave the net waiting.
    """
    threads = threads or max(1, min(8, (os.cpu_count() or 1) - 1))
    waiting: deque[Future[Any]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for job in jobs:
                waiting.append(pool.submit(job))
                if len(waiting) > threads + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
