"""`edgerig optimize`: one trained model in, its ladder of compressed variants out, measured."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgerig import toml
from harness import places, progress, workflow
from harness.commands import common
from harness.commands.common import Words
from harness.config import RunTable, Workspace
from harness.models import ladder
from harness.planning import limits, plan
from model_zoo import faceset, select
from model_zoo.ladder.build import Rung
from model_zoo.ladder.fidelity import Bound
from model_zoo.manifest import Variant
from reports import choice, within
from reports.records import Choice, Run


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--faces", type=click.Path(path_type=Path), help="Faces with splits.  [default: the shipped ones]")
@click.option(
    "--out", "folder", type=click.Path(path_type=Path), help="Where the ladder goes.  [default: MODEL-ladder]"
)
@common.several("--target", "targets", of=Words(), help="Where to measure it.  [default: x86, this machine]")
@click.option(
    "--max-auc-drop",
    type=click.FloatRange(0, 1),
    default=0.01,
    show_default=True,
    help="Of a rung, on validation faces; of what is chosen, on test faces.",
)
@click.option("--max-flips", type=click.FloatRange(0, 1), default=0.03, show_default=True, help="Share of decisions.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the samples of faces.")
@common.threads_option
@common.rounds_option
@common.require_option
@click.option("--quick", is_flag=True, help="Measure with two short rounds: a look, not a measurement.")
@click.option("--no-measure", is_flag=True, help="Build the ladder, and measure nothing.")
@common.config_option
@common.json_option
def optimize(model: Path, faces: Path | None, folder: Path | None, as_json: bool, **options: Any) -> int:
    """Build the compressed variants of MODEL, an ONNX file with a manifest, and measure them.

    No training and no torch: graph optimization, fp16, weight-only int8, static int8 by three ways of calibrating, and,
    where static int8 breaks the model, the fewest layers given back to float. What lost too much on validation faces is
    thrown out before any device is bothered. At the end stands what to ship: the fastest that loses no more AUC than
    --max-auc-drop on test faces either, or what would decide; with budgets, the fastest that meets them.
    """
    messages = common.stderr()
    variant, source = _variant(model), faces or faceset.SHIPPED
    goal = folder or model.with_name(f"{model.stem}-ladder")
    space, table = _asked(goal, source, options)
    with messages.status("reading") as status:
        bound = Bound(options["max_auc_drop"], options["max_flips"])
        rungs = ladder.build(
            variant, source, goal, bound, options["seed"], lambda text: status.update(f"ladder: {text}")
        )
    if not as_json:
        _print(variant, rungs)
    if options["no_measure"]:
        if as_json:
            common.print_json({"folder": str(goal), "rungs": [_json(rung) for rung in rungs]})
        return 0
    return _measured(space, table, goal, rungs, bound, as_json)


def _variant(model: Path) -> Variant:
    return select.variants((str(model),))[0]


_OF_MEASURING = {
    "targets": "--target",
    "threads": "--threads",
    "rounds": "--rounds",
    "required": "--require",
    "quick": "--quick",
}


def _asked(folder: Path, source: Path, options: dict[str, Any]) -> tuple[Workspace, RunTable]:
    """Return the configuration and what is to be measured; a wrong word is refused before anything is built."""
    idle = [word for name, word in _OF_MEASURING.items() if options[name]]
    if options["no_measure"] and idle:
        raise click.UsageError(f"--no-measure measures nothing, so that {', '.join(idle)} would do nothing.")
    space = common.workspace(options["config_path"])
    given = {name: options[name] for name in ("targets", "threads", "rounds") if options[name]}
    setting = {"setting": "quick"} if options["quick"] else {}
    fixed = {"variants": (str(folder),), "faces": str(source), "seed": options["seed"]}
    budgets = {"budgets": limits.parsed(options["required"])}
    table = toml.validated(RunTable, {**fixed, **given, **setting, **budgets}, "the command line")
    space.targets(table.targets)
    space.limits(table, table.targets)
    return space, table


def _measured(space: Workspace, table: RunTable, folder: Path, rungs: list[Rung], bound: Bound, as_json: bool) -> int:
    planned = plan.make(space, table, packs=places.packs(), argv=["edgerig", *sys.argv[1:]])
    teller = progress.shown_on(common.stderr())
    measured, where = workflow.start(planned, common.runs_folder(space, None), teller)
    chosen = _chosen(measured, bound)
    if as_json:
        choices = [found.model_dump(mode="json") for found in chosen]
        rows = [_json(rung) for rung in rungs]
        common.print_json({"folder": str(folder), "rungs": rows, "run": str(where), "choices": choices})
        return workflow.exit_code(measured)
    code = common.print_run(measured, where, as_json=False)
    if not measured.budgets:  # else they stand under the budgets
        _print_choices(measured, chosen)
    return code


def _chosen(run: Run, bound: Bound) -> tuple[Choice, ...]:
    """Return what to ship: by the budgets where there are any, else by the loss of AUC that is allowed."""
    if run.budgets:
        return run.choices
    return tuple(within.choose(run, target.name, bound.auc_drop) for target in run.targets)


def _print_choices(run: Run, chosen: Sequence[Choice]) -> None:
    console = _console()
    for found in chosen:
        console.print(Text(choice.sentence(run, found), style="bold"))
        if found.next_step:
            console.print(Text(f"  -> {found.next_step}"))
        for left in found.left_out if found.verdict != "none" else ():  # else the table has just said so of each
            console.print(Text(f"  left out: {run.cell(left.cell).key}: {left.reason}", style="dim"))


def _json(rung: Rung) -> dict[str, Any]:
    lost = vars(rung.loss) if rung.loss else None
    return {
        "name": rung.name,
        "techniques": list(rung.techniques),
        "file": rung.path.name if rung.path and rung.kept else None,
        "bytes": rung.bytes,
        "kept": rung.kept,
        "reason": rung.reason,
        "loss": lost,
    }


def _print(variant: Variant, rungs: list[Rung]) -> None:
    table = Table("rung", "MB", "AUC", "flips", "")
    table.add_row(variant.name, f"{variant.bytes / 1e6:.2f}", "", "", "the model itself")
    for rung in rungs:
        lost = rung.loss
        auc = "–" if lost is None or lost.auc is None else f"{lost.auc:.3f}"
        flips = "–" if lost is None else f"{lost.flips} of {lost.faces}"
        standing = "" if rung.kept else f"thrown out: {rung.reason}"
        if rung.kept and len(rung.techniques) > 1:
            standing = rung.techniques[-1]
        table.add_row(rung.name, f"{rung.bytes / 1e6:.2f}" if rung.bytes else "–", auc, flips, Text(standing))
    _console().print(table)


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 120)
