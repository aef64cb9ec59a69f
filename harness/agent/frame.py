"""The timed frame: the clock is read between the stages, and between the reads there is nothing but the stages.

What the loop adds to a stage is the cost of reading the clock once; `benchmarks/overhead.py` measures it.
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass
from typing import Any, Callable, Sequence

import numpy as np

from harness.agent.protocol import STAGES

Array = Any
CHUNK = 4096  # frames whose times are allocated at once, 160 KB: 20 us between two frames, once a chunk
MAX_FRAMES = 1 << 20  # of one round; 40 MB of times


@dataclass(frozen=True)
class Stages:
    """What is done with one picture.

    Attributes:
        decode: prepared bytes -> picture.
        preprocess: picture -> tensor, always the same array.
        infer: runs the model on that array.
        postprocess: the model's outputs -> score.
        raw: pictures come decoded: the decode stage did not run.
    """

    decode: Callable[[Array], Array]
    preprocess: Callable[[Array], Array]
    infer: Callable[[], Sequence[Array]]
    postprocess: Callable[[Sequence[Array]], float]
    raw: bool = False


class FrameLoop:
    """Runs frames over pictures held in memory, cycling, and keeps their times.

    Args:
        stages: what is done with each.
        sources: the prepared pictures.
    """

    def __init__(self, stages: Stages, sources: Sequence[Array]) -> None:
        self._stages = stages
        self._sources = sources
        self._done = 0

    def run(self, min_frames: int, min_s: float) -> Array:
        """Run until both are reached; returns int64 ns [frames, 5], columns STAGES, -1 where one did not run."""
        until = time.perf_counter_ns() + int(min_s * 1e9)
        chunks = []
        frames, full = 0, True
        while full and frames < MAX_FRAMES:
            # Filled, because memory that was never written to is mapped page by page between the frames.
            ticks = np.full((CHUNK, len(STAGES)), -1, np.int64)
            count = self._fill(ticks.reshape(-1).data, min_frames - frames, until)
            chunks.append(ticks[:count])
            frames, full = frames + count, count == CHUNK
        return durations(np.concatenate(chunks), self._stages.raw)

    def _fill(self, ticks: memoryview, fewest: int, until: int) -> int:
        clock = time.perf_counter_ns
        stages, sources, first = self._stages, self._sources, self._done
        decode, preprocess, infer, postprocess = stages.decode, stages.preprocess, stages.infer, stages.postprocess
        count, number, at, limit = len(sources), 0, 0, len(ticks)
        t4 = clock()
        while at < limit and (number < fewest or t4 < until):
            source = sources[(first + number) % count]
            t0 = clock()
            picture = decode(source)
            t1 = clock()
            preprocess(picture)
            t2 = clock()
            answer = infer()
            t3 = clock()
            postprocess(answer)
            t4 = clock()
            ticks[at], ticks[at + 1], ticks[at + 2], ticks[at + 3], ticks[at + 4] = t0, t1, t2, t3, t4
            number, at = number + 1, at + 5
        self._done = first + number
        return number


def durations(ticks: Array, raw: bool) -> Array:
    """Return times per stage, and end to end, from the five readings of the clock of each frame."""
    times = np.empty_like(ticks)
    times[:, :4] = np.diff(ticks, axis=1)
    times[:, 4] = ticks[:, 4] - ticks[:, 0]
    if raw:
        times[:, 0] = -1
        times[:, 4] = ticks[:, 4] - ticks[:, 1]
    return times


def quiet() -> None:
    """Stop the garbage collector for the rest of this process, after a last run."""
    gc.collect()
    gc.freeze()
    gc.disable()


def clock_pair_ns(repeats: int = 2000) -> int:
    """Return the median of two readings of the clock with nothing between: what each stage's time includes."""
    clock = time.perf_counter_ns
    spans = [0] * repeats
    for number in range(repeats):
        begin = clock()
        end = clock()
        spans[number] = end - begin
    return sorted(spans)[repeats // 2]
