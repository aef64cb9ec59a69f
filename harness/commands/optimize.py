"""`edgerig optimize`: one trained model in, its ladder of compressed variants out, measured."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from edgerig import toml
from harness import places, progress, workflow
from harness.commands import common
from harness.commands.common import Words
from harness.config import RunTable
from harness.models import ladder
from harness.planning import plan
from model_zoo import faceset, select
from model_zoo.ladder.build import Rung
from model_zoo.ladder.fidelity import Bound
from model_zoo.manifest import Variant


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--faces", type=click.Path(path_type=Path), help="Faces with splits.  [default: the shipped ones]")
@click.option(
    "--out", "folder", type=click.Path(path_type=Path), help="Where the ladder goes.  [default: MODEL-ladder]"
)
@common.several("--target", "targets", of=Words(), help="Where to measure it.  [default: x86, this machine]")
@click.option(
    "--max-auc-drop", type=click.FloatRange(0, 1), default=0.01, show_default=True, help="On validation faces."
)
@click.option("--max-flips", type=click.FloatRange(0, 1), default=0.03, show_default=True, help="Share of decisions.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the samples of faces.")
@click.option("--quick", is_flag=True, help="Measure with two short rounds: a look, not a measurement.")
@click.option("--no-measure", is_flag=True, help="Build the ladder, and measure nothing.")
@common.config_option
@common.json_option
def optimize(model: Path, faces: Path | None, folder: Path | None, as_json: bool, **options: Any) -> int:
    """Build the compressed variants of MODEL, an ONNX file with a manifest, and measure them.

    No training and no torch: graph optimization, fp16, weight-only int8, static int8 by three ways of calibrating, and,
    where static int8 breaks the model, the fewest layers given back to float. What lost too much on validation faces is
    thrown out before any device is bothered.
    """
    messages = common.stderr()
    variant, source = _variant(model), faces or faceset.SHIPPED
    goal = folder or model.with_name(f"{model.stem}-ladder")
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
    return _measured(goal, source, rungs, as_json, options)


def _told(status: Status, text: str) -> None:
    status.update(f"ladder: {text}")


def _variant(model: Path) -> Variant:
    return select.variants((str(model),))[0]


def _measured(folder: Path, source: Path, rungs: list[Rung], as_json: bool, options: dict[str, Any]) -> int:
    space = common.workspace(options["config_path"])
    asked = {
        "variants": (str(folder),),
        "faces": str(source),
        "seed": options["seed"],
        **({"targets": options["targets"]} if options["targets"] else {}),
        **({"setting": "quick"} if options["quick"] else {}),
    }
    table = toml.validated(RunTable, asked, "the command line")
    planned = plan.make(space, table, packs=places.packs(), argv=["edgerig", *sys.argv[1:]])
    teller = progress.shown_on(common.stderr())
    measured, where = workflow.start(planned, common.runs_folder(space, None), teller)
    if as_json:
        common.print_json({"folder": str(folder), "rungs": [_json(rung) for rung in rungs], "run": str(where)})
        return workflow.exit_code(measured)
    return common.print_run(measured, where, as_json=False)


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
    Console(width=None if sys.stdout.isatty() else 120).print(table)
