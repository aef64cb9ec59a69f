"""Two long passes: frames one after the other until the device is warm, and frames as cameras send them."""

from __future__ import annotations

import time
from typing import Any, Callable, Sequence

import numpy as np

from harness.agent.bench import Bench
from harness.agent.frame import FrameLoop, Stages, quiet
from harness.agent.protocol import Job

Array = Any
WINDOW_S = 1.0  # the grain of time of the sustained pass: vitals are read as often
MOST_FRAMES = 1 << 22  # of a sustained pass: 64 MB, half an hour of .4 ms


def sustain(bench: Bench) -> None:
    """Run frames without a pause for `min_s`; sustained.npy: int64 ns [frames, 2], begin of the window, end to end."""
    job = bench.job
    loop = FrameLoop(*_prepared(bench))
    quiet()
    loop.run(job.warmup_frames, job.warmup_s)
    begin, rows, frames = time.perf_counter_ns(), [], 0
    until = begin + int(job.min_s * 1e9)
    while (at := time.perf_counter_ns()) < until and frames < MOST_FRAMES:
        bench.progress.at("sustain", int((at - begin) / 1e9), int(job.min_s))
        took = loop.run(1, min(WINDOW_S, (until - at) / 1e9))[:, -1]
        rows.append(np.column_stack([np.full(len(took), at - begin), took]))
        frames += len(took)
    bench.save("sustained.npy", np.concatenate(rows))


def realtime(bench: Bench) -> None:
    """Serve cameras for `min_s`; realtime.npy: int64 ns [arrivals, 4], stream, arrival, start and end; -1: dropped."""
    job = bench.job
    stages, sources = _prepared(bench)
    quiet()
    FrameLoop(stages, sources).run(job.warmup_frames, job.warmup_s)
    bench.progress.phase("realtime", int(job.min_s))
    bench.save("realtime.npy", Cameras(job).serve(_frame(stages, sources)))


def _prepared(bench: Bench) -> tuple[Stages, Sequence[Array]]:
    bench.open_faces()
    sources = bench.sources()
    stages = bench.stages(bench.load())
    bench.reached("first_frame")
    return stages, sources


def _frame(stages: Stages, sources: Sequence[Array]) -> Callable[[int], object]:
    def run(number: int) -> object:
        stages.preprocess(stages.decode(sources[number % len(sources)]))
        return stages.postprocess(stages.infer())

    return run


class Cameras:
    """Frames that arrive whether or not anybody is ready: each stream keeps its newest one, as a camera's driver does.

    Args:
        job: fps and streams; the streams are spread over the time between two frames of one of them.
        clock: ns.
        sleep: seconds.
    """

    def __init__(
        self, job: Job, clock: Callable[[], int] = time.perf_counter_ns, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._streams = max(1, job.streams)
        self._gap = 1e9 / job.fps / self._streams
        self._count = max(1, int(job.min_s * job.fps)) * self._streams

    def serve(self, frame: Callable[[int], object]) -> Array:
        """Run `frame` for each arrival that was not replaced by a newer one of its stream; returns the rows."""
        rows = np.full((self._count, 4), -1, np.int64)
        rows[:, 0] = np.arange(self._count) % self._streams
        rows[:, 1] = (np.arange(self._count) * self._gap).astype(np.int64)
        waiting: list[int | None] = [None] * self._streams
        arrived, begin = 0, self._clock()
        while True:
            now = self._clock() - begin
            while arrived < self._count and rows[arrived, 1] <= now:
                waiting[arrived % self._streams] = arrived
                arrived += 1
            ready = [number for number in waiting if number is not None]
            if ready:
                self._one(min(ready), frame, rows, begin)
                waiting[min(ready) % self._streams] = None
            elif arrived == self._count:
                return rows
            else:
                self._sleep((rows[arrived, 1] - now) / 1e9)

    def _one(self, number: int, frame: Callable[[int], object], rows: Array, begin: int) -> None:
        rows[number, 2] = self._clock() - begin
        frame(number)
        rows[number, 3] = self._clock() - begin
