"""How far instructions per frame repeat from run to run: int8 within 1e-4 of the median.

    python benchmarks/instructions.py [--runs 5] [--cpu cortex-a72] [--variants NAME,NAME] [--json]

Each run boots the machine anew and measures two shipped variants, or others, as `edgerig run` does. Spread is how
far the farthest run lies from the median, relative to it. Ends with status 1 where the spread of an int8 variant's
inference is above the claim. Needs `edgerig bundle build` and `edgerig machine build`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

import click
from rich.console import Console
from rich.table import Table

from edgerig.errors import EdgerigError
from harness import config, progress, workflow
from harness.config import RunTable, Workspace
from harness.planning import prepare
from reports.records import Outcome, Run

TARGET = "emulated-arm64-machine"
VARIANTS = ("mobilenetv3-small-fp32", "mobilenetv3-small-int8")
CLAIM = 1e-4
FACES = 8  # scores are not what is asked for here
SCOPES = ("inference", "end_to_end")

Counts = dict[tuple[str, str], list[float]]  # variant, scope -> instructions of a frame, a run each


def measured(cpu: str, runs: int, variants: tuple[str, ...]) -> Counts:
    """Return the instructions of a frame in each of some runs; raises EdgerigError."""
    counts: Counts = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(runs):
            for cell in _run(cpu, Path(folder), variants).cells:
                if cell.outcome is not Outcome.OK:
                    raise EdgerigError(f"{cell.key}: {cell.outcome}, {cell.reason}")
                for scope in SCOPES:
                    counts[cell.key.variant, scope].append(cell.value("instructions", scope) or 0.0)
    return dict(counts)


def _run(cpu: str, folder: Path, variants: tuple[str, ...]) -> Run:
    known = config.load(None)
    tables = {**known.config.targets, "counted": {"extends": TARGET, "cpu": cpu}}
    space = Workspace(known.config.model_copy(update={"targets": tables}), known.path)
    table = RunTable(variants=variants, targets=("counted",), sample=FACES, fresh=True)
    planned = prepare.prepared(space, table, folder, argv=["benchmarks/instructions.py"])
    return workflow.start(planned, folder, progress.shown_on(progress.on_stderr()))[0]


def spread(counts: list[float]) -> float:
    """Return the distance of the farthest from the median, relative to it."""
    return max(abs(count / median(counts) - 1) for count in counts)


@click.command()
@click.option("--runs", default=5, show_default=True)
@click.option("--cpu", default="cortex-a72", show_default=True)
@click.option("--variants", default=",".join(VARIANTS), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(runs: int, cpu: str, variants: str, as_json: bool) -> None:
    """Count the instructions of a frame in several runs."""
    try:
        counts = measured(cpu, runs, tuple(filter(None, variants.split(","))))
    except EdgerigError as error:
        raise click.ClickException(f"{error.message} {error.hint}".strip()) from error
    rows = [
        {"variant": name, "scope": scope, "instructions": found, "spread": spread(found)}
        for (name, scope), found in counts.items()
    ]
    if as_json:
        click.echo(json.dumps({"cpu": cpu, "rows": rows}, indent=2))
    else:
        Console().print(_table(rows))
    held = [row["spread"] for row in rows if "int8" in str(row["variant"]) and row["scope"] == "inference"]
    sys.exit(0 if held and all(float(str(value)) <= CLAIM for value in held) else 1)


def _table(rows: list[dict[str, object]]) -> Table:
    table = Table("variant", "scope", "instructions a frame, run by run", "spread")
    for row in rows:
        found = row["instructions"]
        assert isinstance(found, list)
        table.add_row(
            str(row["variant"]), str(row["scope"]), " ".join(f"{count:,.0f}" for count in found), f"{row['spread']:.1e}"
        )
    return table


if __name__ == "__main__":
    main()
