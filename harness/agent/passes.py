"""The kinds of job. Each opens the pictures, loads the model, runs frames, and leaves what it found with the bench."""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict
from typing import Any, Callable, Sequence

import numpy as np

from harness.agent import engines, memory, runtimes
from harness.agent.bench import Bench, score
from harness.agent.endurance import realtime, sustain
from harness.agent.failures import FailedError
from harness.agent.frame import FrameLoop, clock_pair_ns, quiet
from harness.agent.manifest import check_values
from harness.agent.runtimes.base import Session
from harness.agent.scheduling import Waits

Array = Any
MAX_VALUES = 1024  # kept of one answer
MAX_OPERATORS = 2000  # 300 KB as JSON
MAX_NAMES = 1000
STEADY_FRAMES = 16  # of the memory pass
PROFILE_FRAMES = 64  # ONNX Runtime keeps a million events, and a big net has a thousand a frame


def inspect(bench: Bench) -> None:
    """Load the model and describe its tensors."""
    bench.load()


def build(bench: Bench) -> None:
    """Have the provider compile the model, under a clock of its own, unless the engine is there."""
    path = bench.engine(runtimes.runtime(bench.job.runtime))
    bench.findings["times_ns"]["engine"] = 0
    if engines.whole(path):
        return
    bench.open_faces()
    source = bench.source(bench.job.images[0])
    bench.progress.phase("building the engine")
    engines.begin(path)
    begin = time.perf_counter_ns()
    stages = bench.stages(bench.load())
    stages.preprocess(stages.decode(source))
    stages.infer()  # some are built when the first frame tells the shape
    bench.took("engine", begin)
    engines.end(path)


def check(bench: Bench) -> None:
    """Run one frame, and hold what it answers against the manifest."""
    bench.open_faces()
    source = bench.source(bench.job.images[0])
    bench.picture(source, bench.job.images[0])
    session = bench.load()
    stages = bench.stages(session)
    bench.reached("first_frame")
    begin = time.perf_counter_ns()
    stages.preprocess(stages.decode(source))
    _score(bench, session, stages.infer())
    bench.took("first_frame", begin)


def latency(bench: Bench) -> None:
    """Time frames: a warm-up that is recorded and does not count, the first frame at least, then those that do."""
    job = bench.job
    bench.open_faces()
    sources = bench.sources()
    loop = FrameLoop(bench.stages(bench.load()), sources)
    bench.facts["clock_pair_ns"] = str(clock_pair_ns())
    quiet()
    bench.reached("first_frame")
    first = loop.run(1, 0.0)
    bench.progress.phase("warmup", job.warmup_frames)
    warmup = np.concatenate([first, loop.run(job.warmup_frames - 1, job.warmup_s)])
    bench.progress.phase("frames", job.min_frames)
    waits, begin = Waits(), time.monotonic()
    frames = loop.run(job.min_frames, job.min_s)
    bench.findings["frames_s"] = [begin, time.monotonic()]
    bench.facts.update(waits.shares())
    bench.findings["times_ns"]["first_frame"] = int(first[0, -1])
    bench.findings["warmup"] = len(warmup)
    bench.save("frames.npy", np.concatenate([warmup, frames]))


def memory_by_phase(bench: Bench) -> None:
    """Take down the memory held as the runtime, the model and the first frames come to it, with one picture."""
    bench.open_faces()
    name = bench.job.images[0]
    source = bench.source(name)
    bench.picture(source, name)
    memory.reset_peak()
    bench.reached("started")
    loop = FrameLoop(bench.stages(bench.load()), [source])
    bench.findings["times_ns"]["first_frame"] = int(loop.run(1, 0.0)[0, -1])
    bench.reached("first_frame")
    loop.run(STEADY_FRAMES, 0.0)
    bench.reached("steady")


def accuracy(bench: Bench) -> None:
    """Score every picture once."""
    names = bench.job.images
    bench.open_faces()
    session = bench.load()
    stages = bench.stages(session)
    tally = Tally(bench, session)
    for number, name in enumerate(names):
        bench.progress.at("accuracy", number, len(names))
        picture = bench.try_picture(bench.source(name))
        if picture is None:
            tally.bad.append(name)
        else:
            stages.preprocess(picture)
            tally.add(picture, stages.infer())
    tally.close()


class Tally:
    """Scores, raw answers and pixels of an accuracy pass, in the order of the pictures.

    Args:
        bench: where they are left.
        session: the model.
    """

    def __init__(self, bench: Bench, session: Session) -> None:
        self.bad: list[str] = []
        self._bench = bench
        self._session = session
        self._scores: list[float] = []
        self._rows: list[Array] = []
        self._pixels = hashlib.sha256()

    def add(self, picture: Array, outputs: Sequence[Array]) -> None:
        """Take in one picture and what the model made of it."""
        self._pixels.update("{} {} {}\n".format(*picture.shape).encode())
        self._pixels.update(np.ascontiguousarray(picture).data)
        self._scores.append(_score(self._bench, self._session, outputs))
        self._rows.append(outputs[0].reshape(-1)[:MAX_VALUES].astype(np.float32))

    def close(self) -> None:
        """Leave all with the bench; raises FailedError where a picture was none."""
        if self.bad:
            self._bench.findings["bad_images"] = self.bad[:MAX_NAMES]
            more = f" and {len(self.bad) - 1} more" if len(self.bad) > 1 else ""
            raise FailedError(f"{self.bad[0]}{more} cannot be decoded by {self._bench.facts['decoder']}")
        self._bench.findings["pixels_sha256"] = self._pixels.hexdigest()
        self._bench.save("scores.npy", np.array(self._scores, np.float64))
        self._bench.save("outputs.npy", np.stack(self._rows))


def profile(bench: Bench) -> None:
    """Let the runtime time its own operators."""
    job = bench.job
    bench.open_faces()
    sources = bench.sources()
    session = bench.load()
    loop = FrameLoop(bench.stages(session), sources)
    warmup, counted = (max(1, min(frames, PROFILE_FRAMES)) for frames in (job.warmup_frames, job.min_frames))
    bench.progress.phase("profile", warmup + counted)
    loop.run(warmup + counted, 0.0)
    bench.findings["operators"] = [asdict(row) for row in session.operators(warmup)[:MAX_OPERATORS]]


def _score(bench: Bench, session: Session, outputs: Sequence[Array]) -> float:
    """Return the score of one answer; raises FailedError where the manifest finds no positive class in it."""
    check_values(bench.answer, session.outputs[0].name, outputs[0].size)
    return score(outputs, bench.answer)


PASSES: dict[str, Callable[[Bench], None]] = {
    "inspect": inspect,
    "build": build,
    "check": check,
    "latency": latency,
    "memory": memory_by_phase,
    "accuracy": accuracy,
    "profile": profile,
    "sustain": sustain,
    "realtime": realtime,
}
