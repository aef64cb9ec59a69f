"""Sixty live sessions in which nothing changed, and sixty with a model that is 5 % slower: what edgerig said of them.

    python -m benchmarks.live record sessions.jsonl            # two hours of a machine that does nothing else
    python -m benchmarks.live table sessions.jsonl             # also of a recording that is not complete
    python -m benchmarks.live brief sessions.jsonl > live.jsonl   # without their rounds, for `table`
    python -m benchmarks.live pool sessions.jsonl > pool.csv   # their rounds, for `python -m benchmarks.decisions`

A session is `edgerig run --baseline`, the second session of what was flagged included. The slower model is the shipped
int8 one with products of a vector and a matrix behind its classifier, times zero: its scores are the same. By how much
it is slower, all sessions together say. Both kinds take turns, so that a slow hour meets both. `record` appends a line
a session and goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
from onnx import helper, numpy_helper

from benchmarks.decisions import Share, figures
from harness.cli import main as edgerig

VARIANTS = Path(__file__).parents[1] / "model_zoo" / "variants"
NAME = "mobilenetv3-small-int8"
BASELINE, SAME, SLOWER = "baseline", "same", "slower"
KINDS = (SAME, SLOWER)
WIDTH = 256  # of the added matrices
# What a session is for is the comparison: its cells need no narrow interval of their own, and few faces.
OPTIONS = ["--measure-unchanged", "--half-width", "0.5", "--sample", "40", "--json"]


@click.group()
def main() -> None:
    """Record live sessions, and say what was decided in them."""


@main.command()
@click.argument("sessions", type=click.Path(path_type=Path))
@click.option("--each", default=60, show_default=True, help="Sessions of each kind.")
@click.option("--added", default=17, show_default=True, help="Matrices that make the slower model slower.")
@click.option("--variant", default=NAME, show_default=True, help="Shipped variant that is measured.")
def record(sessions: Path, each: int, added: int, variant: str) -> None:
    """Append sessions to a file until it holds so many of each kind."""
    done = len(_read(sessions)) if sessions.exists() else 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _builds(folder, variant, added)
        for number in range(done, 2 * each):
            found = _session(folder, KINDS[number % 2], number)
            with sessions.open("a") as out:
                out.write(json.dumps(found) + "\n")
            click.echo(
                f"{number + 1} of {2 * each}: {found['kind']}: {found['decision']} {found['ratio']:.3f}", err=True
            )


def _builds(folder: Path, variant: str, added: int) -> None:
    for kind in (BASELINE, *KINDS):
        (folder / kind).mkdir()
        shutil.copyfile(VARIANTS / f"{variant}.onnx", folder / kind / f"{variant}.onnx")
        rows = (VARIANTS / f"{variant}.toml").read_text().splitlines()
        kept = [row for row in rows if not row.startswith(("parent", "bytes", "sha256"))]
        (folder / kind / f"{variant}.toml").write_text("\n".join(kept) + "\n")
    path = folder / SLOWER / f"{variant}.onnx"
    onnx.save(_slowed(onnx.load(path), added), path)


def _slowed(model: onnx.ModelProto, added: int) -> onnx.ModelProto:
    """Return a model that also multiplies its logits with so many matrices, and adds nothing of it to them."""
    graph, draw = model.graph, np.random.default_rng(0)
    weights = {"fan": draw.normal(size=(2, WIDTH)), "nothing": np.zeros((WIDTH, 2))}
    weights |= {f"matrix{n}": draw.normal(size=(WIDTH, WIDTH)) / math.sqrt(WIDTH) for n in range(added)}
    chain = ["fan", *(f"matrix{n}" for n in range(added)), "nothing"]
    last, answer = graph.node[-1], graph.output[0].name
    last.output[0] = "vector0"
    for number, name in enumerate(chain):
        graph.node.append(helper.make_node("MatMul", [f"vector{number}", name], [f"vector{number + 1}"]))
    graph.node.append(helper.make_node("Add", ["vector0", f"vector{len(chain)}"], [answer]))
    graph.initializer.extend(
        numpy_helper.from_array(values.astype(np.float32), name) for name, values in weights.items()
    )
    onnx.checker.check_model(model)
    return model


def _session(folder: Path, kind: str, number: int) -> dict[str, Any]:
    runs = folder / "runs"
    asked = ["--variants", str(folder / kind), "--baseline", str(folder / BASELINE), "--seed", str(number)]
    heard = io.StringIO()
    with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(heard):
        edgerig(["run", *asked, *OPTIONS, "--out", str(runs)])
    found = list(runs.glob("*/run.json"))
    if len(found) != 1:
        raise click.ClickException(f"session {number} left no run: {heard.getvalue()[-400:]}")
    told = {"kind": kind, **_told(found[0].parent)}
    shutil.rmtree(runs)
    return told


def _told(run: Path) -> dict[str, Any]:
    whole = json.loads((run / "run.json").read_text())
    [comparison] = whole["comparisons"]
    p50 = next(gate for gate in comparison["gates"] if gate["gate"] == "p50")
    return {
        "decision": p50["decision"],
        "red": comparison["decision"] == "regression" and comparison["confirmed"] is True,
        "pairs": p50["n"],
        "ratio": p50["value"],
        "seconds": whole["seconds"],
        "cells": {cell["role"]: figures(run, cell) for cell in whole["cells"]},
    }


@main.command()
@click.argument("sessions", type=click.Path(path_type=Path, exists=True))
def table(sessions: Path) -> None:
    """Print how often each kind of session was flagged, and red after the second session."""
    everything = _read(sessions)
    for kind in KINDS:
        rows = [row for row in everything if row["kind"] == kind]
        if not rows:
            continue
        flagged = Share(sum(row["decision"] == "regression" for row in rows), len(rows))
        red = Share(sum(row["red"] for row in rows), len(rows))
        undecided = Share(sum(row["decision"] == "undecided" for row in rows), len(rows))
        logs = np.log([row["ratio"] for row in rows])
        error = 1.96 * float(logs.std(ddof=1)) / math.sqrt(len(rows)) if len(rows) > 1 else math.nan
        print(f"{kind:8} {len(rows)} sessions, candidate / baseline {math.exp(logs.mean()):.4f} +- {error:.4f}")
        print(f"         flagged by the first session {flagged}; red {red}; undecided {undecided}")
        pairs, seconds = (np.median([row[name] for row in rows]) for name in ("pairs", "seconds"))
        print(f"         median: {pairs:.0f} pairs of rounds, {seconds:.0f} s in all")


@main.command()
@click.argument("sessions", type=click.Path(path_type=Path, exists=True))
def brief(sessions: Path) -> None:
    """Write the sessions without their rounds: all that `table` reads."""
    for session in _read(sessions):
        print(json.dumps({name: value for name, value in session.items() if name != "cells"}))


@main.command()
@click.argument("sessions", type=click.Path(path_type=Path, exists=True))
def pool(sessions: Path) -> None:
    """Write the rounds of the unchanged model as CSV, in the order of their time."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    rounds = [row for session in _read(sessions) for cell in _unchanged(session) for row in cell]
    writer.writerow(rounds[0].keys())
    for row in sorted(rounds, key=lambda row: str(row["started"])):
        writer.writerow((row | {"seconds": round(row["seconds"], 3)}).values())


def _unchanged(session: dict[str, Any]) -> list[list[dict[str, Any]]]:
    return [cell for role, cell in session["cells"].items() if role == BASELINE or session["kind"] == SAME]


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


if __name__ == "__main__":
    main()
