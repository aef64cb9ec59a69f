"""`edgerig pick`: which cell to ship on each target, and whether files are the chosen ones."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgerig import files
from harness import state, workflow
from harness.commands import common
from harness.commands.common import Words
from harness.findings import choosing, collect
from reports import choice, figures
from reports.deployment import Deployment, Pinned
from reports.records import Run


@click.command()
@click.argument("names", nargs=-1, metavar="[RUN]")
@common.several("--target", "targets", of=Words(), help="Targets to choose for.  [default: all of the run]")
@click.option(
    "--rank", default=choice.RANK, show_default=True, metavar="FIGURE", help="What to rank by, a budget's name."
)
@click.option(
    "--write", "destination", type=click.Path(path_type=Path), help="Write choice.json for a deployment to pin."
)
@click.option(
    "--verify",
    type=click.Path(path_type=Path),
    metavar="CHOICE.JSON",
    help="Check that the files given instead of RUN are the chosen ones.",
)
@common.out_option
@common.config_option
@common.json_option
def pick(
    names: tuple[str, ...],
    verify: Path | None,
    out: Path | None,
    config_path: Path | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Name the cell to ship on each target of RUN: variant, runtime, provider and threads.

    RUN is a folder, an id, the beginning of an id, or "latest", the default. Only cells that meet all budgets are
    chosen among, and only where the figures tell them apart. Ends with 1 where a target has nothing to ship.
    """
    if verify:
        return _verified(verify, choosing.verify(verify, [Path(name) for name in names]), as_json)
    if len(names) > 1:
        raise click.UsageError("give one RUN.")
    folder = workflow.find_run(common.runs_folder(common.workspace(config_path), out), names[0] if names else "latest")
    run = collect.collect(state.read(folder), folder)
    found = choosing.chosen(run, options["rank"], options["targets"])
    if destination := options["destination"]:
        files.write(destination, (found.model_dump_json(indent=1) + "\n").encode())
        common.stderr().print(f"Written: {destination}", markup=False, highlight=False, soft_wrap=True)
    if as_json:
        common.print_json(found.model_dump(mode="json"))
    else:
        _print(run, found)
    return 0 if found.decided else 1


def _verified(choice_file: Path, found: dict[Path, str], as_json: bool) -> int:
    if as_json:
        common.print_json([{"file": str(file), "is": name} for file, name in found.items()])
        return 0
    for file, name in found.items():
        click.echo(f"{file} is {name} of {choice_file}")
    return 0


def _print(run: Run, found: Deployment) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    for pinned in found.choices:
        console.print(Text(choice.sentence(run, choice.choose(run, pinned.target, pinned.rank)), style="bold"))
        if pinned.next_step:
            console.print(Text(f"  -> {pinned.next_step}"))
        for file in pinned.files:
            console.print(Text(f"  {file.name}, {file.bytes / 1e6:.2f} MB, sha256 {file.sha256}"))
        _print_front(console, run, pinned)
        for left in pinned.left_out:
            console.print(Text(f"  left out: {run.cell(left.cell).key}: {left.reason}", style="dim"))


def _print_front(console: Console, run: Run, pinned: Pinned) -> None:
    if not pinned.front:
        return
    table = Table("no other beats these in all", "p50 ms", "AUC", "MB", "MiB", box=None, padding=(0, 1, 0, 2))
    cells = {cell.key: cell for cell in run.cells}
    for key in pinned.front:
        cell = cells[key]
        texts = (
            str(key).replace(f" on {key.target}", ""),
            figures.latency(cell),
            figures.rate(cell.metric("auc", "all")),
            figures.megabytes(run, cell),
            figures.memory(cell),
        )
        table.add_row(*(Text(text) for text in texts))
    console.print(table)
