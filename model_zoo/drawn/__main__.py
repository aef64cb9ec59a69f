"""Command line: `python -m model_zoo.drawn OUT.zip --seed S --train N --val N --test N --workers W`.

Beside the pack it writes OUT.toml, by which whoever loads the pack learns that nobody was photographed.
"""

from __future__ import annotations

from pathlib import Path

import click
import tomli_w
from rich.console import Console
from rich.progress import Progress

from edgerig import files
from model_zoo.drawn.packing import write_set


@click.command()
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--seed", default=1, show_default=True, help="Seed of the whole pack.")
@click.option("--train", default=0, show_default=True, help="Pairs to train on.")
@click.option("--val", default=100, show_default=True, help="Pairs to choose and calibrate with.")
@click.option("--test", default=300, show_default=True, help="Pairs to report on.")
@click.option("--workers", default=1, show_default=True, help="Processes that draw.")
def main(out: Path, seed: int, train: int, val: int, test: int, workers: int) -> None:
    """Draw a set of real and forged faces into the pack OUT."""
    counts = {"train": train, "val": val, "test": test}
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("drawing pairs", total=sum(counts.values()))
        write_set(
            out,
            seed=seed,
            counts=counts,
            workers=workers,
            progress=lambda done, _total: bar.update(task, completed=done),
        )
    files.write(out.with_suffix(".toml"), tomli_w.dumps(about(seed)).encode())
    click.echo(f"{out}: {sum(counts.values())} pairs, {out.stat().st_size} bytes")


def about(seed: int) -> dict[str, object]:
    """What the rig must know of a drawn pack, for the TOML file beside it."""
    note = f"Drawn by a program (model_zoo.drawn, seed {seed}, no photograph): says nothing of accuracy on people."
    return {"name": "drawn", "synthetic": True, "note": note}


if __name__ == "__main__":
    main()
