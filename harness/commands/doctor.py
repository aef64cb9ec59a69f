"""`edgerig doctor`."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from harness import doctor as examination
from harness.commands import common
from harness.doctor import Step
from targets import profile

STYLES = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "dim"}


@click.command()
@click.argument("targets", nargs=-1, metavar="[TARGET]…")
@click.option("--all", "every", is_flag=True, help="Examine every target that edgerig.toml names.")
@common.config_option
@common.json_option
def doctor(targets: tuple[str, ...], every: bool, config_path: Path | None, as_json: bool) -> int:
    """Go the real way to one frame on each TARGET (default: this machine) and say what is in the way.

    Exit code 0 where every target can be measured, 3 where one cannot.
    """
    space = common.workspace(config_path)
    names = tuple(space.config.targets) or (profile.DEFAULT,) if every else targets or (profile.DEFAULT,)
    wanted = space.targets(names)
    console = Console(width=None if sys.stdout.isatty() else 120)
    steps = []
    for target in wanted:
        for step in examination.examine(target):
            steps.append(step)
            if not as_json:
                console.print(_line(step), soft_wrap=True)
    if as_json:
        common.print_json([vars(step) for step in steps])
    return 3 if any(step.standing == "failed" for step in steps) else 0


def _line(step: Step) -> Text:
    line = Text.assemble((f"{step.standing:>8}", STYLES[step.standing]), f"  {step.target}  {step.step}: {step.found}")
    return line.append(f"\n          {step.todo}", "bold") if step.todo else line
