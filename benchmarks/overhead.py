"""What the agent adds to the time of an inference: at most 1 us beyond reading the clock.

    python benchmarks/overhead.py [--json]

The null runtime does nothing, so what the real agent reports as its inference is the cost of measuring: two readings
of the clock, whose cost the same process measures, and the call. Ends with status 1 where the claim does not hold.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import zipfile
from pathlib import Path
from statistics import median

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from edgerig import digest
from edgerig.preprocess import InputSpec, OutputSpec
from harness.agent.protocol import Job, StoredFile
from harness.devices.session import Session
from targets.local import LocalTransport

LIMIT_NS = 1000
SIDE = 8


@click.command()
@click.option("--rounds", default=5, show_default=True, help="Fresh processes to measure in.")
@click.option("--frames", default=20_000, show_default=True, help="Frames of each.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(rounds: int, frames: int, as_json: bool) -> None:
    """Measure what lies inside the inference interval of the agent when the runtime does nothing."""
    with tempfile.TemporaryDirectory() as folder:
        measured = [_round(Path(folder), number, frames) for number in range(rounds)]
    beyond = median(row["p50_ns"] - row["clock_pair_ns"] for row in measured)
    holds = beyond <= LIMIT_NS
    if as_json:
        click.echo(json.dumps({"rounds": measured, "beyond_ns": beyond, "limit_ns": LIMIT_NS, "holds": holds}))
    else:
        _show(measured, beyond, holds)
    sys.exit(not holds)


def _round(folder: Path, number: int, frames: int) -> dict[str, float]:
    wanted = {digest.of_file(path): path for path in (_script(folder), _faces(folder))}
    model, faces = wanted
    job = Job(
        token=f"round-{number}",
        kind="latency",
        model=[StoredFile("model.null", model)],
        runtime="null",
        input=InputSpec(SIDE, SIDE),
        output=OutputSpec("probability", index=0),
        faces=faces,
        images=["0.npy"],
        min_frames=frames,
    )
    session = Session(LocalTransport(folder / "device"), [sys.executable], folder)
    try:
        session.push(wanted)
        result = session.run(job)
        if result.outcome != "ok":
            raise click.ClickException(f"{result.outcome}: {result.reason}")
        session.fetch(job, result.arrays[0], folder / "frames.npy")
    finally:
        session.close()
    inference = np.load(folder / "frames.npy")[result.warmup :, 2]
    p50, p99 = np.percentile(inference, [50, 99])
    return {"p50_ns": float(p50), "p99_ns": float(p99), "clock_pair_ns": float(result.facts["clock_pair_ns"])}


def _script(folder: Path) -> Path:
    path = folder / "nothing.null"
    path.write_text("{}")
    return path


def _faces(folder: Path) -> Path:
    picture, path = io.BytesIO(), folder / "faces.zip"
    np.save(picture, np.zeros((SIDE, SIDE, 3), np.uint8))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo("0.npy"), picture.getvalue())
    return path


def _show(measured: list[dict[str, float]], beyond: float, holds: bool) -> None:
    console = Console()
    table = Table("round", "inference p50", "p99", "two clock readings", title="an inference that does nothing, ns")
    for number, row in enumerate(measured, 1):
        table.add_row(str(number), f"{row['p50_ns']:.0f}", f"{row['p99_ns']:.0f}", f"{row['clock_pair_ns']:.0f}")
    console.print(table)
    verdict = "holds" if holds else "does NOT hold"
    console.print(f"beyond the clock: {beyond:.0f} ns (median of rounds); at most {LIMIT_NS} ns: {verdict}")


if __name__ == "__main__":
    main()
