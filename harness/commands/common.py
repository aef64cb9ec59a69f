"""What the commands share: options, consoles, how results are printed."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

from edgerig.errors import ConfigError
from harness import config, progress, workflow
from harness.config import Workspace
from reports import text
from reports.formats import FORMATS
from reports.records import Run

Command = TypeVar("Command", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="Use this edgerig.toml instead of the nearest one.",
)
SUMMARY = "GITHUB_STEP_SUMMARY"
summary_option = click.option(
    "--summary", is_flag=True, help=f"Add the result to ${SUMMARY}, GitHub's page of the job."
)
out_option = click.option("--out", type=click.Path(path_type=Path), help="Folder of runs.  [default: runs]")


class Words(click.ParamType[tuple[Any, ...]]):
    """Words separated by commas; the option may be given several times as well."""

    name = "name[,name…]"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the words; fails where there is none, as with a variable of the shell's that is not set."""
        if isinstance(value, tuple):
            return value
        words = tuple(word.strip() for word in str(value).split(",") if word.strip())
        return words or self.fail("nothing is named.", param, ctx)


class Counts(Words):
    """Whole numbers from 1 on, separated by commas."""

    name = "n[,n…]"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """Return the numbers; fails with a sentence."""
        words = super().convert(value, param, ctx)
        for word in words:
            if not str(word).isdecimal() or int(word) < 1:
                self.fail(f"'{word}' is not a number from 1 on.", param, ctx)
        return tuple(int(word) for word in words)


_UNITS = {"s": 1, "m": 60, "h": 3600}


class Seconds(click.ParamType[float]):
    """A time with its unit: 90s, 30m, 1h; a bare number is seconds."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds; fails with a sentence."""
        match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smh]?)", str(value))
        if not match or not float(match[1]):
            self.fail(f"'{value}' is no time; write 90s, 30m or 1h.", param, ctx)
        return float(match[1]) * _UNITS[match[2] or "s"]


def several(*names: str, of: Words, help: str) -> Callable[[Command], Command]:
    """Return an option that takes several words."""

    def flat(ctx: click.Context, param: click.Parameter, value: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
        return tuple(word for words in value for word in words)

    return click.option(*names, type=of, multiple=True, callback=flat, help=help)


threads_option = several("--threads", of=Counts(), help="Thread counts.  [default: 1]")
rounds_option = click.option(
    "--rounds", type=click.IntRange(2), metavar="N", help="Fewest rounds of a cell.  [default: 5]"
)
require_option = click.option(
    "--require",
    "required",
    multiple=True,
    metavar="BUDGET",
    help="Like 'p95_ms<=33.3', 'auc>=.9', 'pi4:peak_mb<=300': a broken one ends with 1. May be given several times.",
)


def summary_page() -> Path:
    """Return GitHub's page of the job; raises ConfigError outside of its jobs."""
    page = os.environ.get(SUMMARY)
    if not page:
        raise ConfigError(f"--summary needs ${SUMMARY}, which GitHub sets inside of its jobs.")
    return Path(page)


def known_formats(names: Sequence[str]) -> None:
    """Refuse a name that is no format."""
    for name in names:
        if name not in FORMATS:
            raise click.UsageError(f"there is no format '{name}'. Known: {', '.join(FORMATS)}.")


def workspace(path: Path | None) -> Workspace:
    """Return the configuration that a command works with."""
    return config.load(path)


def runs_folder(space: Workspace, out: Path | None) -> Path:
    """Return the folder of runs: the option's, else the configuration's."""
    return out or space.runs_folder


def stderr() -> Console:
    """Return the console for messages."""
    return progress.on_stderr()


def shown(path: Path) -> str:
    """Return a path as short as it can be typed from here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def print_json(value: object) -> None:
    """Print JSON on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_run(run: Run, folder: Path, as_json: bool) -> int:
    """Print a run's table, or its record as JSON, and return the exit code that it deserves."""
    if as_json:
        print_json({"folder": str(folder), **run.model_dump(mode="json")})
        return workflow.exit_code(run)
    # Without a terminal there is no width to fit: 80 columns cut off what a log should hold.
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(text.summary(run))
    console.print(f"\nReport: {shown(folder / 'report.html')}", markup=False, highlight=False, soft_wrap=True)
    return workflow.exit_code(run)
