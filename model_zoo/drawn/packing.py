"""Writing a pack: one ZIP file with a table of labels and the pictures, stored and byte for byte repeatable."""

from __future__ import annotations

import csv
import io
import multiprocessing
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from model_zoo.drawn.samples import CATEGORIES, REAL, draw, single_threaded

SPLITS = ("train", "val", "test")
COLUMNS = ("path", "label", "category", "group", "split")
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time a ZIP file can hold."""


@dataclass(frozen=True)
class Pair:
    """One real face and its forgery; `number` counts through the pack, `index` through the split."""

    number: int
    split: str
    seed: int
    index: int
    category: str

    def rows(self) -> Iterator[tuple[str, str, str, str, str]]:
        """Two rows of labels.csv."""
        group = f"{self.number:06d}"
        for label, category in (("real", REAL), ("fake", self.category)):
            yield f"{label}/{group}.jpg", label, category, group, self.split


def split_seed(seed: int, split: str) -> int:
    """The seed of one split: those of two splits never meet, whatever the pack's seed."""
    return seed * len(SPLITS) + SPLITS.index(split)


def plan(seed: int, counts: Mapping[str, int]) -> list[Pair]:
    """The pairs of a pack, categories in turn."""
    unknown = sorted(set(counts) - set(SPLITS))
    if unknown:
        raise ValueError(f"no split {unknown[0]!r}: use {', '.join(SPLITS)}")
    wanted = [(split, index) for split in SPLITS for index in range(counts.get(split, 0))]
    return [
        Pair(number, split, split_seed(seed, split), index, CATEGORIES[index % len(CATEGORIES)])
        for number, (split, index) in enumerate(wanted)
    ]


def draw_pair(pair: Pair) -> tuple[bytes, bytes]:
    """JPEG bytes of the real face and of the fake one."""
    return draw(pair.seed, pair.index, REAL), draw(pair.seed, pair.index, pair.category)


def write_set(
    path: Path | str,
    *,
    seed: int,
    counts: Mapping[str, int],
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a pack with `counts` pairs per split; `progress` is told (pairs done, pairs in all).

    Members are stored, dated 1980, and sorted below `labels.csv`, so a second run on the same machine
    gives the same bytes.
    """
    pairs = plan(seed, counts)
    pictures: dict[str, bytes] = {}
    for done, (pair, (real, fake)) in enumerate(zip(pairs, _drawn(pairs, workers), strict=True), start=1):
        pictures[f"real/{pair.number:06d}.jpg"] = real
        pictures[f"fake/{pair.number:06d}.jpg"] = fake
        if progress:
            progress(done, len(pairs))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as pack:
        pack.writestr(zipfile.ZipInfo("labels.csv", EPOCH), _table(pairs))
        for name in sorted(pictures):
            pack.writestr(zipfile.ZipInfo(name, EPOCH), pictures[name])


def _drawn(pairs: list[Pair], workers: int) -> Iterator[tuple[bytes, bytes]]:
    if workers <= 1:
        single_threaded()
        yield from map(draw_pair, pairs)
        return
    # A forked child of a process with threads may hang; spawned ones start clean.
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, initializer=single_threaded) as pool:
        yield from pool.imap(draw_pair, pairs, chunksize=8)


def _table(pairs: Iterable[Pair]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(sorted(row for pair in pairs for row in pair.rows()))
    return text.getvalue()
