"""A run's variants beside their parents, and beside what the authors of each system printed: the tables of docs/zoo.md.

    edgerig zoo build S2 S3 --faces DIR
    edgerig run --variants zoo/ --faces DIR
    python -m benchmarks.literature runs/<id> [NAME …]    Markdown; of those variants, else of all, in their order

Inference is its p50, without decoding and preparing the picture. "size" and "inference" are quotients of the parent's,
within one run; "AUC against parent" is the difference on the same faces with its paired 95 % interval (groups of faces
drawn again). The parent is the one that a variant's manifest names. A column that nobody has a figure for is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from edgerig.errors import EdgerigError
from reports import agreement, files
from reports.figures import NONE, interval, number
from reports.records import Agreement, Cell, Run, Variant

HEAD = (
    "variant",
    "MB",
    "packed MB",
    "parameters",
    "MMACs",
    "inference, ms",
    "size of parent's",
    "inference of parent's",
    "AUC (95 %)",
    "AUC against parent",
    "accuracy",
    "authors",
)
PRINTED = ("accuracy", "AUC", "size")  # of the authors' figures; cards and reports have all of them


def rows(run: Run, names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each cell of some variants, all of them for no names; raises KeyError for an unknown one."""
    chosen = [run.variant(name).name for name in names] or [variant.name for variant in run.variants]
    cells = sorted(
        (cell for cell in run.candidates if cell.key.variant in chosen), key=lambda cell: chosen.index(cell.key.variant)
    )
    for cell in cells:
        yield _row(run, cell, run.variant(cell.key.variant))


def _row(run: Run, cell: Cell, variant: Variant) -> tuple[str, ...]:
    parent = next((entry for entry in run.variants if entry.name == variant.parent), None)
    return (
        f"`{variant.name}`",
        number(variant.bytes / 1e6),
        number(variant.packed_bytes / 1e6) if variant.packed_bytes else NONE,
        f"{variant.parameters:,}" if variant.parameters else NONE,
        number(variant.macs / 1e6) if variant.macs else NONE,
        number(_inference(cell)),
        _share(variant.bytes, parent.bytes if parent else None),
        _share(_inference(cell), _inference(_parents(run, cell, variant.parent))),
        _with_interval(cell, "auc"),
        _against_parent(run, cell),
        number(_accuracy(cell)),
        "; ".join(f"{figure.figure} {figure.value}" for figure in variant.authors if figure.figure in PRINTED) or NONE,
    )


def _inference(cell: Cell | None) -> float | None:
    return cell.value("latency_p50", "inference") if cell else None


def _parents(run: Run, cell: Cell, parent: str) -> Cell | None:
    """Return the parent's cell on the same target with as many threads; in the same runtime where it is there."""
    key = cell.key
    found = [
        entry
        for entry in run.candidates
        if (entry.key.variant, entry.key.target, entry.key.threads) == (parent, key.target, key.threads)
    ]
    return min(found, key=lambda entry: entry.key.runtime != key.runtime, default=None)


def _accuracy(cell: Cell) -> float | None:
    return cell.value("accuracy", "all")


def _share(value: float | None, of: float | None) -> str:
    return f"x{number(value / of)}" if value and of else NONE


def _with_interval(cell: Cell, name: str) -> str:
    metric = cell.metric(name, "all")
    if metric is None:
        return NONE
    ends = interval(metric)
    return number(metric.value) + (f" ({ends})" if ends else "")


def _against_parent(run: Run, cell: Cell) -> str:
    return next((agreement.areas(entry) or NONE for entry in run.agreement if _is_of(entry, cell)), NONE)


def _is_of(entry: Agreement, cell: Cell) -> bool:
    here, key = entry.here, cell.key
    return entry.kind == "parent" and (here.variant, here.target, here.runtime, here.provider) == (
        key.variant,
        key.target,
        key.runtime,
        key.provider,
    )


def _told(table: list[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Return the rows without the columns that say nothing."""
    return zip(*(column for column in zip(*table, strict=True) if set(column[2:]) != {NONE}), strict=True)


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("names", nargs=-1)
def main(folder: Path, names: tuple[str, ...]) -> None:
    """Print the table of a run."""
    try:
        run = files.read(folder)
        found = list(rows(run, names))
    except KeyError as error:
        raise click.ClickException(f"the run has no variant {error}.") from error
    except EdgerigError as error:
        raise click.ClickException(f"{error.message} {error.hint}".strip()) from error
    for row in _told([HEAD, ("---",) * len(HEAD), *found]):
        click.echo(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
