"""`edgerig faces check`: whether a face set gives its labels away."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from harness.commands import common
from harness.models import leaks
from harness.models.leaks import Checked
from model_zoo import faceset
from model_zoo.faceset import FaceSet


@click.group()
def faces() -> None:
    """Look at face sets before anything is measured on them."""


@faces.command()
@click.argument("source", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--sample", type=click.IntRange(20), metavar="N", help="Look at about N faces.  [default: all]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the sample.")
@click.option("--strict", is_flag=True, help="End with 1 where there is anything to warn of.")
@common.json_option
def check(source: Path, sample: int | None, seed: int, strict: bool, as_json: bool) -> int:
    """Warn where DIR, a folder or pack, gives its labels away.

    Cheap traits (file type and size, JPEG tables, brightness, sharpness, noise) that tell fakes from real faces by
    themselves, groups that cross splits, and duplicates make every accuracy on a set look better than it is.
    """
    everything = faceset.load(source)
    faceset.require_both_labels(everything)
    chosen = everything.sample(sample, seed) if sample else everything
    found = _checked(chosen)
    if as_json:
        common.print_json(_json(chosen, found))
    else:
        _print(chosen, found)
    return int(strict and bool(found.warnings))


def _checked(chosen: FaceSet) -> Checked:
    with Progress(console=common.stderr(), transient=True) as bars:
        task = bars.add_task("looking at faces", total=len(chosen.faces))
        return leaks.check(chosen, lambda done, _: bars.update(task, completed=done))


def _json(chosen: FaceSet, found: Checked) -> dict[str, Any]:
    return {
        "name": chosen.name,
        "faces": len(chosen.faces),
        "splits": dict(Counter(face.split or "none" for face in chosen.faces)),
        "labels": dict(Counter(face.label for face in chosen.faces)),
        "traits": [asdict(trait) for trait in found.traits],
        "warnings": [asdict(warning) for warning in found.warnings],
    }


def _print(chosen: FaceSet, found: Checked) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    counts = Counter((face.split or "no split", face.label) for face in chosen.faces)
    for split in dict.fromkeys(face.split or "no split" for face in chosen.faces):
        console.print(f"{split}: {counts[split, 'real']} real, {counts[split, 'fake']} fake", highlight=False)
    table = Table("cheap trait", "AUC", "at least", "")
    for trait in found.traits:
        low = "–" if trait.low is None else f"{trait.low:.3f}"
        table.add_row(trait.name, f"{trait.auc:.3f}", low, "tells" if trait.tells else "")
    console.print(table)
    for warning in found.warnings:
        console.print(f"Warning: {warning.sentence}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    if not found.warnings:
        console.print("Nothing gives the labels away that this looks at.", highlight=False)
