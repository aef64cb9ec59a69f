"""`edgerig bundle`: a Python for devices that have none."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness import places
from harness.commands import common
from harness.commands.common import Words
from harness.stock import bundle as bundling
from harness.stock import debian
from harness.stock.bundle import Bundle

mirror_option = click.option(
    "--mirror",
    default=debian.MIRROR,
    show_default=True,
    envvar="EDGERIG_DEBIAN_MIRROR",
    show_envvar=True,
    metavar="URL",
    help="Mirror of Debian.",
)


@click.group()
def bundle() -> None:
    """Build a Python for devices that have none: one archive, started where it lies.

    A target uses it by environment = "bundle". For Android, for bare Linux, and for ARM that is emulated.
    """


@bundle.command("build")
@click.option("--arch", "machine", default="aarch64", show_default=True, help="As `uname -m` says it on the device.")
@common.several("--runtimes", of=Words(), help=f"Runtimes to put in.  [default: {','.join(bundling.DEFAULT_RUNTIMES)}]")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for it.  [default: edgerig's cache]")
@mirror_option
@common.json_option
def build(machine: str, runtimes: tuple[str, ...], out: Path | None, mirror: str, as_json: bool) -> int:
    """Build a bundle from Debian's packages and wheels, without root and without this machine's own apt sources.

    The same packages make the same bytes; where they did so before, nothing is built again.
    """
    console = common.stderr()

    def tell(text: str) -> None:
        console.print(f"{text} …", markup=False, highlight=False, soft_wrap=True)

    made, there = bundling.build(
        machine, runtimes or bundling.DEFAULT_RUNTIMES, out or places.bundles(), mirror=mirror, tell=tell
    )
    if as_json:
        common.print_json({**_row(made), "reused": there})
        return 0
    click.echo(f"{'As it was' if there else 'Built'}: {made.path} ({_megabytes(made.bytes)}, {made.sha256[:12]})")
    example = "; `edgerig run --target emulated-arm64` does" if machine == "aarch64" else ""
    click.echo(f'A target uses it by environment = "bundle"{example}.')
    return 0


@bundle.command("list")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to look in.  [default: edgerig's cache]")
@common.json_option
def list_(out: Path | None, as_json: bool) -> int:
    """List the bundles that are here, the newest first: a target uses the first that fits it."""
    found = bundling.found(out or places.bundles())
    if as_json:
        common.print_json([_row(bundle) for bundle in found])
        return 0
    if not found:
        click.echo("No bundle is here. Build one: edgerig bundle build")
        return 0
    table = Table("bundle", "architecture", "Python", "runtimes", "size", "unpacked", "built")
    for one in found:
        held = ", ".join(f"{package.name} {package.version}" for package in _of_runtimes(one))
        sizes = (_megabytes(one.bytes), _megabytes(one.unpacked_bytes))
        row = (one.sha256[:16], one.contents.machine, one.contents.python, held, *sizes, one.built[:16])
        table.add_row(*(Text(text) for text in row))
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    return 0


def _of_runtimes(one: Bundle) -> list[bundling.Package]:
    names = bundling.packages_of(one.contents.runtimes, one.contents.machine)
    return [package for package in one.contents.packages if package.name in names]


def _row(one: Bundle) -> dict[str, Any]:
    return {**one.model_dump(mode="json"), "name": one.name, "path": str(one.path)}


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
