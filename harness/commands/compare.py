"""`edgerig compare`: two runs that are there already, side by side."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console

from edgerig import files
from harness import workflow
from harness.commands import common
from harness.commands.common import Words
from harness.findings import sidebyside
from reports import across_view


@click.command()
@click.argument("candidate", metavar="A")
@click.argument("baseline", metavar="B")
@common.several("--allow", of=Words(), help="Keys of the fingerprint that may differ, e.g. kernel; the result says so.")
@click.option("--html", "page", type=click.Path(path_type=Path), metavar="OUT", help="Write a page as well.")
@common.out_option
@common.config_option
@common.json_option
def compare(
    candidate: str,
    baseline: str,
    allow: tuple[str, ...],
    page: Path | None,
    out: Path | None,
    config_path: Path | None,
    as_json: bool,
) -> int:
    """Hold run A beside an earlier run B: folders, ids, beginnings of ids, or "latest".

    They were measured in two sessions, whose difference is in every ratio: this says what is seen and decides nothing.
    `edgerig run --baseline B` measures both in one session and does. Runs that differ in more than their models
    are refused. The exit code is 0 whatever is seen.
    """
    runs = common.runs_folder(common.workspace(config_path), out)
    found = sidebyside.compared(workflow.find_run(runs, candidate), workflow.find_run(runs, baseline), allow)
    if page:
        files.write(page, across_view.page(found).encode())
    if as_json:
        common.print_json(found.model_dump(mode="json"))
    else:
        console = Console(width=None if sys.stdout.isatty() else 120)
        console.print(across_view.summary(found))
        if page:
            console.print(f"\nPage: {common.shown(page)}", markup=False, highlight=False, soft_wrap=True)
    return 0
