"""Another tool's figures beside ours: the user's own `benchmark_model` of TensorFlow Lite, on the same device.

It is pushed like any file, run with the same threads, processors and frames, and what it prints is taken down as its
own. Nothing of ours depends on it, and nothing of it is corrected.
Source of its options and lines: tensorflow/lite/tools/benchmark (README.md, benchmark_model.cc).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from edgerig import digest
from edgerig.deadline import Deadline
from edgerig.errors import ProtocolError
from harness.devices.session import Session
from reports.records import Method, Outcome, Peer, PeerFigure
from targets.shell import Done

TOOL = "benchmark_model"
SLACK_S = 30.0  # what the device's own `timeout` may be late

# Arguments: the file in the store, the program, then the command line. The store's files are not executable.
_SCRIPT = r"""
store=$1 program=$2
shift 2
if [ ! -x "$program" ]; then
    mkdir -p "${program%/*}" && cp "$store" "$program.new" && chmod 755 "$program.new" &&
        mv -f "$program.new" "$program" || exit 126
fi
exec "$@" 2>&1
"""
_TIMED_OUT = (124, 137, 143)  # of coreutils and toybox, of a killed program, of busybox

_NUMBER = r"([0-9]{1,15}(?:\.[0-9]{1,15})?(?:e[+-]?[0-9]{1,3})?)"
_TIMINGS = re.compile(
    rf"Inference timings in us: Init: {_NUMBER}, First inference: {_NUMBER}, "
    rf"Warmup \(avg\): {_NUMBER}, Inference \(avg\): {_NUMBER}"
)
_NAMES = ("init", "first inference", "warmup avg", "inference avg")
_RUNS = re.compile(r"^(?:INFO: )?(count=[0-9]{1,9} first=.*)$", re.M)
_OF_RUNS = {"count": "1", "min": "us", "max": "us", "std": "us", "median": "us", "p95": "us"}
_MEMORY = re.compile(rf"emory footprint.{{0,60}}\(MB\):? init={_NUMBER} overall={_NUMBER}")


def figures(text: str) -> tuple[PeerFigure, ...]:
    """Return what benchmark_model prints, in its own units; () where it did not come to its end."""
    timings = _TIMINGS.findall(text)
    if not timings:
        return ()
    found = [_figure(name, value, "us") for name, value in zip(_NAMES, timings[-1], strict=True)]
    if runs := _RUNS.findall(text):  # the last line is of the runs that count, the one before of the warm-up
        pairs = dict(re.findall(rf"(\w{{1,10}})={_NUMBER}", runs[-1]))
        found += [_figure(f"inference {name}", pairs[name], unit) for name, unit in _OF_RUNS.items() if name in pairs]
    if memory := _MEMORY.findall(text):
        found += [
            _figure(f"memory {name}", value, "MB") for name, value in zip(("init", "overall"), memory[-1], strict=True)
        ]
    return tuple(entry for entry in found if entry is not None)


def _figure(name: str, text: str, unit: str) -> PeerFigure | None:
    value = float(text)
    return PeerFigure(figure=name, value=value, unit=unit) if math.isfinite(value) else None


def options(method: Method, threads: int) -> list[str]:
    """Return the options that have the tool measure as we do."""
    return [
        f"--num_threads={threads}",
        f"--num_runs={method.round_frames}",
        f"--min_secs={method.round_s:g}",
        f"--warmup_runs={method.warmup_frames}",
        f"--warmup_min_secs={method.warmup_s:g}",
    ]


def measure(
    session: Session, program: Path, model: Path, words: Sequence[str], affinity: Sequence[int] | None, seconds: float
) -> Peer:
    """Run the tool on the device with one model.

    Args:
        session: with the device.
        program: `benchmark_model` for the device, here.
        model: .tflite file, here.
        words: its options.
        affinity: processors to stay on, None: as found.
        seconds: after which it is ended.

    Raises:
        TargetError: the device is lost.
    """
    tool, graph = digest.of_file(program), digest.of_file(model)
    session.push({tool: program, graph: model})
    installed = f"{{root}}/native/{tool[:16]}/{TOOL}"
    mask = ["taskset", f"{sum(1 << core for core in affinity):x}"] if affinity else []
    command = [*mask, installed, f"--graph={{root}}/store/{graph}", *words]
    start = ["sh", "-c", _SCRIPT, "edgerig", f"{{root}}/store/{tool}", installed, "timeout", str(math.ceil(seconds))]
    peer = Peer(tool=TOOL, sha256=tool, command=" ".join([*mask, TOOL, f"--graph={model.name}", *words]))
    try:
        done = session.execute([*start, *command], Deadline(seconds + SLACK_S))
    except ProtocolError as error:
        return peer.model_copy(update={"outcome": Outcome.FAILED, "reason": error.message})
    return peer.model_copy(update=_told(done, seconds))


def _told(done: Done, seconds: float) -> dict[str, object]:
    found = figures(done.out)
    if done.status == 0 and found:
        return {"figures": found}
    if done.status in _TIMED_OUT:
        return {"outcome": Outcome.TIMEOUT, "reason": f"no end within {seconds:.0f} s"}
    last = ([line for line in f"{done.err}\n{done.out}".splitlines() if line.strip()] or ["it said nothing"])[-1]
    reason = f"status {done.status}: {last[:300]}" if done.status else "it printed no timings"
    return {"outcome": Outcome.FAILED, "reason": reason}
