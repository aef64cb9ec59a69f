"""`edgerig machine`: computers that are emulated as a whole."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.commands import common
from harness.commands.bundle import mirror_option
from harness.stock import bundle
from harness.stock import machine as building
from targets import image
from targets.image import Image

TARGET = "emulated-arm64-machine"  # the shipped profile that boots one


@click.group()
def machine() -> None:
    """Build a computer with an ARM processor that qemu-system emulates as a whole.

    It is booted when a target asks for it, and its clock counts instructions: `edgerig run --target
    emulated-arm64-machine` tells instructions per frame.
    """


@machine.command("build")
@mirror_option
@common.json_option
def build(mirror: str, as_json: bool) -> int:
    """Build an image from Debian's packages and the newest bundle, without root; `edgerig bundle build` comes first.

    Where the same packages made one before, nothing is built again.
    """
    console = common.stderr()

    def tell(text: str) -> None:
        console.print(f"{text} …", markup=False, highlight=False, soft_wrap=True)

    held = bundle.best(bundle.machines()[0], bundle.DEFAULT_RUNTIMES)
    made, there = building.build(held, building.machines_folder(), mirror=mirror, tell=tell)
    if as_json:
        common.print_json({**_row(made), "reused": there})
        return 0
    size = f"{made.bytes / 1e6:.0f} MB, Linux {made.contents.kernel}"
    click.echo(f"{'As it was' if there else 'Built'}: {common.shown(made.path)} ({size})")
    click.echo(f"The target {TARGET} boots it: edgerig run --target {TARGET}")
    return 0


@machine.command("list")
@common.json_option
def list_(as_json: bool) -> int:
    """List the images that are here, the newest first: a target boots the first of its architecture."""
    images = image.found(building.machines_folder())
    if as_json:
        common.print_json([_row(one) for one in images])
        return 0
    if not images:
        click.echo("No machine is here. Build one: edgerig machine build")
        return 0
    table = Table("machine", "kernel", "bundle", "size", "built")
    for one in images:
        row = (one.name, one.contents.kernel, one.contents.bundle, f"{one.bytes / 1e6:.0f} MB", one.built[:16])
        table.add_row(*(Text(text) for text in row))
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    return 0


def _row(one: Image) -> dict[str, Any]:
    return {**one.model_dump(mode="json"), "path": str(Path(one.path))}
