"""Whether the agent reports what the runtime takes: inference p50 within 1 % of a bare loop that does the same work.

    python benchmarks/fidelity.py [--model FILE.onnx] [--faces PACK.zip] [--json]

Interleaved, each time in a fresh process, on one processor:

    agent   the real agent over its pipe, a latency job
    same    a bare loop over the same session: decode, preprocess, clock, run, clock, postprocess
    idle    a bare loop that only runs the model, again and again on one tensor

agent / same is the claim. idle / same is what decoding and resizing cost the inference itself: they take its data out
of the caches, and a benchmark that leaves them out promises frames that no product will see. Ends with status 1 where
the claim does not hold.
"""

from __future__ import annotations

import gc
import json
import os
import secrets
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import Any

import click
import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console
from rich.table import Table
from scipy.stats import binom

from edgerig import digest
from edgerig.preprocess import InputSpec, OutputSpec, Preprocessor, postprocess
from harness.agent.protocol import Job, StoredFile
from harness.devices.session import Session
from targets.local import LocalTransport

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "model_zoo" / "variants" / "mobilenetv3-small-fp32.onnx"
FACES = ROOT / "model_zoo" / "faces" / "drawn.zip"
LIMIT = 0.01
PICTURES = 64
LOOPS = ("agent", "same", "idle")


@dataclass(frozen=True)
class Task:
    """What all three loops do."""

    model: Path
    faces: Path
    frames: int
    warmup: int = 50

    @property
    def images(self) -> list[str]:
        """Members of the pack, spread over it."""
        with zipfile.ZipFile(self.faces) as archive:
            names = [name for name in archive.namelist() if name.endswith((".png", ".jpg"))]
        return names[:: max(1, len(names) // PICTURES)][:PICTURES]

    def open(self) -> tuple[Any, InputSpec, OutputSpec]:
        """Return a session, as the agent opens it, and what its model is fed and answers."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(str(self.model), options, providers=["CPUExecutionProvider"])
        height, width = session.get_inputs()[0].shape[2:]
        values = session.get_outputs()[0].shape[-1]
        return session, InputSpec(height, width), OutputSpec("logits", index=min(1, values - 1))


@click.command()
@click.option("--model", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="NCHW float32 ONNX.")
@click.option("--faces", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A pack of pictures.")
@click.option("--repeats", default=15, show_default=True, help="Times that each loop is run.")
@click.option("--frames", default=500, show_default=True, help="Frames of one run.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--bare", type=click.Choice(LOOPS[1:]), hidden=True, help="Be this loop and print its p50 in ns.")
def main(model: Path | None, faces: Path | None, repeats: int, frames: int, as_json: bool, bare: str | None) -> None:
    """Compare the inference time that the agent reports with bare loops over the same session."""
    with tempfile.TemporaryDirectory() as folder:
        task = Task(model or _model(Path(folder)), faces or _faces(Path(folder)), frames)
        if bare:
            click.echo(_bare(task, bare))
            return
        runs = [{loop: _run(task, loop, Path(folder)) for loop in _turn(number)} for number in range(repeats)]
    agent, idle = ([run[loop] / run["same"] for run in runs] for loop in ("agent", "idle"))
    holds = abs(median(agent) - 1) <= LIMIT
    interval = _interval(agent)
    if as_json:
        found = {
            "p50_ns": runs,
            "agent_to_same": median(agent),
            "interval": interval,
            "idle_to_same": median(idle),
            "holds": holds,
        }
        click.echo(json.dumps({"model": task.model.name, "limit": LIMIT, **found}))
    else:
        _show(task, runs, agent, idle, holds)
    sys.exit(not holds)


def _interval(ratios: list[float]) -> tuple[float, float]:
    """Return the 95 % interval of the median, from the order of the ratios alone."""
    ordered, rank = sorted(ratios), max(1, int(binom.ppf(0.025, len(ratios), 0.5)))
    return ordered[rank - 1], ordered[-rank]


def _turn(number: int) -> tuple[str, ...]:
    """Return the loops in the order of one repeat: who is first changes, so that no drift favours one."""
    shift = number % len(LOOPS)
    return LOOPS[shift:] + LOOPS[:shift]


def _run(task: Task, loop: str, folder: Path) -> float:
    if loop == "agent":
        return _agent(task, folder)
    command = [sys.executable, __file__, "--bare", loop, "--model", str(task.model), "--faces", str(task.faces)]
    done = subprocess.run([*command, "--frames", str(task.frames)], capture_output=True, text=True, check=True)
    return float(done.stdout)


def _processor() -> int:
    return max(os.sched_getaffinity(0))


def _agent(task: Task, folder: Path) -> float:
    wanted = {digest.of_file(path): path for path in (task.model, task.faces)}
    model, faces = wanted
    _, spec, answer = task.open()
    job = Job(
        token=f"fidelity-{secrets.token_hex(4)}",
        kind="latency",
        model=[StoredFile("model.onnx", model)],
        runtime="onnxruntime",
        input=spec,
        output=answer,
        faces=faces,
        images=task.images,
        warmup_frames=task.warmup,
        warmup_s=0.0,
        min_frames=task.frames,
        min_s=0.0,
        affinity=[_processor()],
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
    return float(np.median(np.load(folder / "frames.npy")[result.warmup :, 2]))


def _bare(task: Task, loop: str) -> float:
    os.sched_setaffinity(0, [_processor()])
    cv2.setNumThreads(1)
    # As the agent does: a collection walks through every object that was imported here, and takes the caches with it.
    gc.collect()
    gc.freeze()
    gc.disable()
    session, spec, answer = task.open()
    name = session.get_inputs()[0].name
    feed = _feeder(task, spec)
    times = []
    tensor = feed(0)
    for number in range(task.warmup + task.frames):
        if loop == "same":
            tensor = feed(number)
        begin = perf_counter_ns()
        outputs = session.run(None, {name: tensor})
        times.append(perf_counter_ns() - begin)
        if loop == "same":
            postprocess(outputs[0], answer)
    return median(times[task.warmup :])


def _feeder(task: Task, spec: InputSpec) -> Callable[[int], Any]:
    with zipfile.ZipFile(task.faces) as archive:
        encoded = [np.frombuffer(archive.read(name), np.uint8) for name in task.images]
    prepare = Preprocessor(
        spec, lambda picture, height, width, _: cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    )
    return lambda number: prepare(cv2.imdecode(encoded[number % len(encoded)], cv2.IMREAD_COLOR))


def _model(folder: Path) -> Path:
    return MODEL if MODEL.exists() else _own_model(folder / "own.onnx")


def _own_model(path: Path, side: int = 160, width: int = 32, depth: int = 6) -> Path:
    """Write a net of strided convolutions that takes about a millisecond, for a tree without shipped variants."""
    random = np.random.default_rng(0)
    nodes, weights, last, channels = [], [], "x", 3
    for layer in range(depth):
        kernel = random.normal(0, 0.1, (width, channels, 3, 3)).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"w{layer}"))
        strides = [2, 2] if layer < 2 else [1, 1]
        nodes.append(helper.make_node("Conv", [last, f"w{layer}"], [f"c{layer}"], strides=strides, pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]))
        last, channels = f"r{layer}", width
    nodes += [helper.make_node("GlobalAveragePool", [last], ["p"]), helper.make_node("Flatten", ["p"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "own",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, width])],
        weights,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7), str(path))
    return path


def _faces(folder: Path) -> Path:
    return FACES if FACES.exists() else _own_faces(folder / "own.zip")


def _own_faces(path: Path) -> Path:
    """Write a pack of smooth noise at the size of a face crop."""
    random = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(PICTURES):
            picture = cv2.resize(random.integers(0, 256, (32, 32, 3), np.uint8), (256, 256))
            archive.writestr(f"{number}.jpg", cv2.imencode(".jpg", picture)[1].tobytes())
    return path


def _show(task: Task, runs: list[dict[str, float]], agent: list[float], idle: list[float], holds: bool) -> None:
    console = Console()
    table = Table("repeat", *LOOPS, "agent / same", "idle / same", title=f"inference p50 of {task.model.name}, ms")
    for number, (run, first, second) in enumerate(zip(runs, agent, idle, strict=True), 1):
        table.add_row(str(number), *(f"{run[loop] / 1e6:.4f}" for loop in LOOPS), f"{first:.4f}", f"{second:.4f}")
    console.print(table)
    for name, ratios in (("agent / same", agent), ("idle / same", idle)):
        low, high = _interval(ratios)
        console.print(f"{name}: {median(ratios):.4f}, 95 % interval {low:.4f} to {high:.4f}")
    console.print(f"within {LIMIT:.0%} of the bare loop: {_verdict(agent, holds)}")


def _verdict(ratios: list[float], holds: bool) -> str:
    low, high = _interval(ratios)
    if holds:
        return "holds"
    if low <= 1 + LIMIT and high >= 1 - LIMIT:
        return "cannot be told: this machine is busy. Try again when it is idle, or with more --repeats"
    return "does NOT hold"


if __name__ == "__main__":
    main()
