"""`edgerig report`, `edgerig show` and `edgerig list`: looking at what is there, measuring nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgerig.errors import EdgerigError
from harness import state, workflow
from harness.commands import common
from harness.commands.common import Words
from harness.findings import collect
from reports.formats import FORMATS, github
from targets.profile import Target


@click.command()
@click.argument("run_name", metavar="[RUN]", default="latest")
@common.several("--format", "formats", of=Words(), help=f"Of {', '.join(FORMATS)}.  [default: json, csv, html]")
@common.summary_option
@common.out_option
@common.config_option
def report(run_name: str, formats: tuple[str, ...], summary: bool, out: Path | None, config_path: Path | None) -> int:
    """Render the files of RUN, by default "latest", again from its journal, without measuring."""
    common.known_formats(formats)
    page = common.summary_page() if summary else None
    folder = workflow.find_run(common.runs_folder(common.workspace(config_path), out), run_name)
    run = workflow.render(folder, formats or workflow.FORMATS)
    if page:
        github.append(run, page)
    click.echo(folder / "report.html" if not formats or "html" in formats else folder)
    return 0


@click.command()
@click.argument("run_name", metavar="[RUN]", default="latest")
@common.out_option
@common.config_option
@common.json_option
def show(run_name: str, out: Path | None, config_path: Path | None, as_json: bool) -> int:
    """Print the table of RUN: a folder, an id, the beginning of an id, or "latest", the default."""
    folder = workflow.find_run(common.runs_folder(common.workspace(config_path), out), run_name)
    common.print_run(collect.collect(state.read(folder), folder), folder, as_json)
    return 0


@click.command(name="list")
@click.argument("what", type=click.Choice(["variants", "targets", "runs"]))
@common.several("--variants", "words", of=Words(), help="Where to look for variants.  [default: the shipped ones]")
@common.out_option
@common.config_option
@common.json_option
def list_(what: str, words: tuple[str, ...], out: Path | None, config_path: Path | None, as_json: bool) -> int:
    """List variants, targets or runs."""
    space = common.workspace(config_path)
    if what == "variants":
        rows = _variants(words)
    elif what == "targets":
        rows = [_target(space.target(name)) for name in space.target_names()]
    else:
        rows = [_run(folder) for folder in workflow.run_folders(common.runs_folder(space, out))]
    if as_json:
        common.print_json(rows)
    else:
        _print_rows(rows, what)
    return 0


def _variants(words: tuple[str, ...]) -> list[dict[str, Any]]:
    from model_zoo import select  # noqa: PLC0415 - only this listing needs it

    return [
        {
            "variant": variant.name,
            "format": variant.format,
            "input": str(variant.manifest.input),
            "size_mb": round(variant.bytes / 1e6, 2),
            "packed_mb": _megabytes(variant.manifest.packed_bytes),
            "parent": variant.manifest.parent,
            "techniques": list(variant.manifest.techniques),
            "path": str(variant.path),
        }
        for variant in select.variants(words or (select.EVERYTHING,))
    ]


def _target(target: Target) -> dict[str, Any]:
    return {
        "target": target.name,
        "profile": target.profile,
        "transport": target.settings.transport,
        "emulated": target.settings.emulated,
        "description": target.settings.description,
    }


def _run(folder: Path) -> dict[str, Any]:
    """Return a run's row; one that cannot be read says so instead of hiding the others."""
    try:
        known = state.read(folder)
    except EdgerigError as error:
        return {
            "run": folder.name,
            "started": "",
            "state": f"damaged: {error.message}",
            "cells": 0,
            "tag": "",
        }
    done = "finished" if known.finished else "cut short"
    plan = known.plan
    return {
        "run": folder.name,
        "started": plan.started,
        "state": done,
        "cells": len(plan.cells),
        "tag": plan.tag,
    }


def _print_rows(rows: list[dict[str, Any]], what: str) -> None:
    if not rows:
        click.echo(f"There are no {what} yet.", err=True)
        return
    columns = [column for column in rows[0] if column != "path" and _told(rows, column)]
    table = Table(*(column.replace("_mb", ", MB") for column in columns))
    for row in rows:
        table.add_row(*(Text(_shown(row[column])) for column in columns))
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    if any(row.get("state") == "cut short" for row in rows):
        click.echo("A run that was cut short goes on with: edgerig resume RUN", err=True)


def _megabytes(size: int | None) -> float | None:
    return None if size is None else round(size / 1e6, 2)


def _told(rows: list[dict[str, Any]], column: str) -> bool:
    """Return whether a column has anything to tell."""
    return column != "packed_mb" or any(row[column] is not None for row in rows)


def _shown(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, list):
        return ", ".join(value)
    return ("yes" if value else "") if isinstance(value, bool) else str(value)
