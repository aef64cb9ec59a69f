"""Rounds that are disturbed on purpose: each kind must be flagged, and no cell of them may be called trusted.

    python -m benchmarks.disturbed [--json]        # some minutes of a machine that does nothing else

A row is a run of its own: real rounds of a shipped variant by the product's default method, on one processor of this
machine, through the transport `fake`. Its clock, its thermometer and its throttling flag are files that this program
writes; a load is a real one. The first row is disturbed by nothing and shows that the others are flagged for what was
injected. Flagged are only the rounds that edgerig marked for what was injected; a busy machine adds marks of its own,
which are counted apart. Ends with status 1 where a disturbed cell is trusted, or none of its rounds is flagged.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import tomli_w
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.cli import main as edgerig

NAME = "mobilenetv3-small-int8"
TARGET = "disturbed"
OPTIONS = ["--sample", "40"]  # faces: what accuracy says is not asked here
START_C = 50.0  # at which a round may begin
FULL_MHZ, LOW_MHZ = 1800.0, 600.0
STEP = 0.93  # of the clock: more than the 5 % that a reading may move by itself
STEP_S = 0.3  # shorter than the second between two readings
ROUNDS_BEFORE = 2  # of a disturbance that comes late: fewer than any cell needs


@dataclass(frozen=True)
class Device:
    """What a disturbance works on: the sensors of the target, the processor that it measures on, its folder of runs."""

    folder: Path
    processor: int

    def clock(self, mhz: float) -> None:
        """Let the clock read so many MHz."""
        _written(self.folder / "clock", f"{mhz * 1000:.0f}\n")

    def celsius(self, degrees: float) -> None:
        """Let the thermometer read so many degrees."""
        _written(self.folder / "temperature", f"{degrees * 1000:.0f}\n")

    def throttling(self, now: bool) -> None:
        """Let the firmware say whether it throttles, as a Raspberry Pi's does."""
        _written(self.folder / "throttled", f"throttled={'0x4' if now else '0x0'}\n")

    def rounds(self) -> int:
        """Return how many rounds the run has so far."""
        lines = [line for path in self.folder.glob("runs/*/journal.jsonl") for line in path.read_bytes().split(b"\n")]
        return sum(line.startswith(b'{"event":"round"') for line in lines)

    def target(self) -> dict[str, Any]:
        """Return the target's table in edgerig.toml."""
        sensors = {"clock": "clock_khz", "temperature": "millicelsius", "throttled": "vcgencmd_throttled"}
        vitals = {name: {"file": str(self.folder / name), "parser": parser} for name, parser in sensors.items()}
        heat = {"start_c": START_C, "wait_s": 0.0}
        where = {"transport": "fake", "architecture": "", "affinity": [self.processor]}
        return {**where, "vitals": vitals, "heat": heat}


def _written(path: Path, text: str) -> None:
    """Write a sensor's file at once: a reading must never find half of it."""
    beside = path.with_name(f".{path.name}")
    beside.write_text(text)
    beside.replace(path)


@contextlib.contextmanager
def _meanwhile(work: Callable[[threading.Event], object]) -> Iterator[None]:
    """Let something happen beside the run, which is told when the run is over."""
    over = threading.Event()
    thread = threading.Thread(target=work, args=(over,))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _nothing(_: Device) -> AbstractContextManager[None]:
    return contextlib.nullcontext()


def _throttling(device: Device) -> AbstractContextManager[None]:
    device.throttling(True)
    return contextlib.nullcontext()


def _hot(device: Device) -> AbstractContextManager[None]:
    device.celsius(START_C + 30)
    return contextlib.nullcontext()


def _late(device: Device, strike: Callable[[], object]) -> AbstractContextManager[None]:
    """Disturb from some round on, and to the end."""

    def work(over: threading.Event) -> None:
        while device.rounds() < ROUNDS_BEFORE:
            if over.wait(0.05):
                return
        strike()

    return _meanwhile(work)


def _late_throttling(device: Device) -> AbstractContextManager[None]:
    return _late(device, lambda: device.throttling(True))


def _clock_falls(device: Device) -> AbstractContextManager[None]:
    return _late(device, lambda: device.clock(0.8 * FULL_MHZ))


def _clock_steps(device: Device) -> AbstractContextManager[None]:
    """Step down to the lowest clock and begin again at the top, over and over."""
    down = list(itertools.takewhile(lambda mhz: mhz > LOW_MHZ, (FULL_MHZ * STEP**n for n in itertools.count())))

    def work(over: threading.Event) -> None:
        for mhz in itertools.cycle(down):
            device.clock(mhz)
            if over.wait(STEP_S):
                return

    return _meanwhile(work)


def _load(device: Device) -> contextlib.AbstractContextManager[None]:
    """Keep the processor busy that is measured on."""
    return a_loop_on(device.processor)


@contextlib.contextmanager
def a_loop_on(processor: int) -> Iterator[None]:
    """Keep a processor busy."""
    program = f"import os\nos.sched_setaffinity(0, [{processor}])\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-c", program])
    try:
        yield
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Disturbance:
    """One way to disturb a run.

    Attributes:
        name: for people.
        begin: disturbs for as long as the run lasts.
        sign: what the mark of a round must speak of; "" for a disturbance that is none.
    """

    name: str
    begin: Callable[[Device], AbstractContextManager[None]]
    sign: str


DISTURBANCES = (
    Disturbance("nothing", _nothing, ""),
    Disturbance("throttling, from the first round on", _throttling, "throttled"),
    Disturbance(f"throttling, after {ROUNDS_BEFORE} rounds", _late_throttling, "throttled"),
    Disturbance(f"{START_C + 30:.0f} °C, asked for {START_C:.0f} °C", _hot, "it began at"),
    Disturbance(f"clock stepping from {FULL_MHZ:.0f} to {LOW_MHZ:.0f} MHz", _clock_steps, "the clock"),
    Disturbance(f"clock a fifth lower after {ROUNDS_BEFORE} rounds", _clock_falls, "the clock"),
    Disturbance("a loop on its processor", _load, "other processes had its processor"),
)


@dataclass(frozen=True)
class Row:
    """What edgerig said of a cell.

    Attributes:
        injected: the disturbance's name.
        rounds: in all.
        flagged: rounds that are marked for what was injected.
        otherwise: rounds that are marked for something else alone.
        trust: in the cell.
        reason: of that.
        disturbed: whether anything was injected.
    """

    injected: str
    rounds: int
    flagged: int
    otherwise: int
    trust: str
    reason: str
    disturbed: bool

    @property
    def missed(self) -> bool:
        """Whether a disturbance went by: the cell is trusted, or no round says so."""
        return self.disturbed and (self.trust == "trusted" or not self.flagged)


def measured(disturbance: Disturbance, variant: str) -> Row:
    """Return what a run says of its cell while it is disturbed; raises ClickException where there is no run."""
    with tempfile.TemporaryDirectory() as name:
        device = Device(Path(name), max(os.sched_getaffinity(0)))
        device.clock(FULL_MHZ)
        device.celsius(START_C - 5)
        device.throttling(False)
        config = device.folder / "edgerig.toml"
        config.write_text(tomli_w.dumps({"targets": {TARGET: device.target()}}))
        words = ["--config", str(config), "--variants", variant, "--target", TARGET, *OPTIONS, "--json"]
        said, told = io.StringIO(), io.StringIO()
        with disturbance.begin(device), contextlib.redirect_stdout(said), contextlib.redirect_stderr(told):
            code = edgerig(["run", *words, "--out", str(device.folder / "runs")])
    if not said.getvalue() or code not in (0, 3):
        raise click.ClickException(f"'{disturbance.name}' ended with {code}: {told.getvalue()[-400:]}")
    return _row(disturbance, json.loads(said.getvalue())["cells"][0])


def _row(disturbance: Disturbance, cell: dict[str, Any]) -> Row:
    verdict = cell["verdict"] or {"trust": cell["outcome"], "reason": cell["reason"]}
    marks = [entry["tainted"] for entry in cell["rounds"]]
    flagged = sum(bool(disturbance.sign) and disturbance.sign in mark for mark in marks)
    otherwise = sum(bool(mark) for mark in marks) - flagged
    disturbed = bool(disturbance.sign)
    return Row(disturbance.name, len(marks), flagged, otherwise, verdict["trust"], verdict["reason"], disturbed)


@click.command()
@click.option("--variant", default=NAME, show_default=True, help="Shipped variant, or manifest, that is measured.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
@click.pass_context
def main(context: click.Context, variant: str, as_json: bool) -> None:
    """Disturb rounds in several ways and print what was flagged."""
    rows = []
    for disturbance in DISTURBANCES:
        click.echo(f"{disturbance.name} …", err=True)
        rows.append(measured(disturbance, variant))
    missed = [row for row in rows if row.missed]
    if as_json:
        click.echo(json.dumps({"rows": [asdict(row) for row in rows], "missed": len(missed)}, indent=2))
    else:
        _print(rows, missed)
    context.exit(1 if missed else 0)


def _print(rows: list[Row], missed: list[Row]) -> None:
    table = Table("injected", "rounds", "flagged", "for else", "trust", "reason")
    for row in rows:
        words = (row.injected, str(row.rounds), str(row.flagged), str(row.otherwise), row.trust, row.reason)
        table.add_row(*(Text(word) for word in words), style="red" if row.missed else "")
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    disturbed = [row for row in rows if row.disturbed]
    console.print(f"{len(disturbed)} disturbed cells: {len(missed)} of them trusted, or without a flagged round.")
    for row in rows:
        if not row.disturbed and row.trust != "trusted":
            console.print(f"The undisturbed cell is {row.trust}: this machine is not quiet.")


if __name__ == "__main__":
    main()
