"""The command line: a class of error becomes a sentence, a hint and an exit code, here and nowhere else.

0 good    1 regression or budget broken    2 wrong usage or configuration    3 a cell is not ok
4 nothing was measured    130 interrupted    143 terminated
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import cast

import click

from edgerig.errors import EdgerigError

# Modules are imported when a command is used: `edgerig --help` takes .1 s, pydantic and numpy alone would add .4.
SECTIONS = {
    "Measure": {
        "run": ("harness.commands.run:run", "Measure variants on targets and write a report."),
        "resume": ("harness.commands.resume:resume", "Measure what is missing in a run that was cut short."),
        "optimize": ("harness.commands.optimize:optimize", "Compress a trained model in several ways; measure them."),
    },
    "Look and choose": {
        "show": ("harness.commands.look:show", "Print a run's table."),
        "report": ("harness.commands.look:report", "Render a run's files again, without measuring."),
        "pick": ("harness.commands.pick:pick", "Name the cell to ship on each target."),
        "compare": ("harness.commands.compare:compare", "Hold two runs side by side."),
        "list": ("harness.commands.look:list_", "List variants, targets or runs."),
    },
    "Nights": {
        "nightly": ("harness.commands.nightly:nightly", "Run, compare with the baseline, and judge the night."),
        "history": ("harness.commands.history:history_", "Show how figures went over the nights."),
        "accept": ("harness.commands.history:accept", "Accept that a cell is worse, until a day."),
        "baseline": ("harness.commands.history:baseline", "Promote a run to what nights are compared with."),
    },
    "Models and faces": {
        "variants": ("harness.commands.variants:variants", "Write manifests for foreign models."),
        "faces": ("harness.commands.faces:faces", "Look at face sets before anything is measured on them."),
        "zoo": ("harness.commands.zoo:zoo", "Train and compress detectors by recipes, and export their variants."),
    },
    "Devices": {
        "init": ("harness.commands.init:init", "Write edgerig.toml by probing."),
        "doctor": ("harness.commands.doctor:doctor", "Go the real way to one frame and say what is in the way."),
        "leases": ("harness.commands.share:leases", "Say who has each target."),
        "provision": ("harness.commands.share:provision", "Make a target's Python ready, also without internet."),
        "bundle": ("harness.commands.bundle:bundle", "Build a Python for devices that have none."),
        "machine": ("harness.commands.machine:machine", "Build a computer that is emulated as a whole."),
        "clean": ("harness.commands.share:clean", "Remove what edgerig keeps on a target, or here."),
    },
}
COMMANDS = {name: row for rows in SECTIONS.values() for name, row in rows.items()}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of a day's work, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        return cast("click.Command", getattr(importlib.import_module(module), name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Refuse an unknown command with the nearest match."""
        from edgerig.toml import nearest  # noqa: PLC0415

        if args and args[0] not in COMMANDS:
            raise click.UsageError(f"there is no command '{args[0]}'. {nearest(args[0], COMMANDS)}".strip(), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands, section by section, without importing them."""
        for section, rows in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name.ljust(9), text) for name, (_, text) in rows.items()])


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version  # noqa: PLC0415

        click.echo(f"edgerig {version('edgerig')}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--debug", is_flag=True, help="Show tracebacks of errors.")
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
def cli(debug: bool) -> None:
    """Tell which compressed variant of a face model to ship on which device.

    \b
    edgerig run                     measure the shipped variants on this machine
    edgerig variants init MODELS/   write manifests for your own models
    edgerig run --variants MODELS/ --faces FACES/

    Exit codes: 0 good, 1 regression or budget broken, 2 wrong usage, 3 a cell is not ok, 4 nothing was measured.
    """


class Terminated(KeyboardInterrupt):
    """SIGTERM, which is treated as Ctrl-C is."""


def _terminate(*_: object) -> None:
    raise Terminated


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return _code(cli.main(words, prog_name="edgerig", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        return 2
    except EdgerigError as error:
        return _told(error, "--debug" in words)
    except (KeyboardInterrupt, click.Abort) as error:
        # click turns every KeyboardInterrupt into an Abort; which one it was is the cause.
        return _stopped(error.__cause__ or error, "--debug" in words)
    except BrokenPipeError:
        # Who reads our stdout has seen enough; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the outermost place: a bug becomes a sentence, and a traceback on demand
        return _bug(error, "--debug" in words)


def _code(value: object) -> int:
    return value if isinstance(value, int) else 0


def _stopped(cause: BaseException, debug: bool) -> int:
    if isinstance(cause, EOFError):  # no prompt that was left, as click takes it for: we have none
        return _bug(cause, debug)
    return 143 if isinstance(cause, Terminated) else 130


def _told(error: EdgerigError, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    click.echo(f"edgerig: {_printable(error.message)}", err=True)
    if error.hint:
        click.echo(f"  {_printable(error.hint)}", err=True)
    return error.exit_code


def _printable(text: str) -> str:
    """Return a text that cannot take hold of a terminal: parts of it may come from a device."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in text)


def _bug(error: Exception, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    click.echo(f"edgerig: internal error, {type(error).__name__}: {error}", err=True)
    click.echo("  This is a bug of ours: please report it with what `edgerig --debug …` prints.", err=True)
    return 4


def entry() -> None:
    """Be the console script."""
    sys.exit(main())
