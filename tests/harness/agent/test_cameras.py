"""Frames as cameras send them, by a clock of our own: who waits, who is dropped, who is late."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.agent.endurance import Cameras
from harness.agent.protocol import Job


class Clock:
    """Time that passes only when somebody sleeps or works."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += round(seconds * 1e9)


def served(work_ms: list[float], fps: float, streams: int = 1, seconds: float = 1.0) -> Any:
    """Serve cameras whose frames take these ms in turn; returns rows in ms."""
    clock, count = Clock(), 0
    job = Job("token", "realtime", [], "null", fps=fps, streams=streams, min_s=seconds)

    def frame(_: int) -> None:
        nonlocal count
        clock.sleep(work_ms[count % len(work_ms)] / 1000)
        count += 1

    rows = Cameras(job, clock, clock.sleep).serve(frame).astype(float)
    rows[:, 1:] = np.where(rows[:, 1:] < 0, -1, np.round(rows[:, 1:] / 1e6, 3))
    return rows


def test_a_fast_model_serves_every_frame_when_it_arrives() -> None:
    rows = served([2.0], fps=10)
    assert rows[:, 1].tolist() == [100.0 * number for number in range(10)]
    assert (rows[:, 2] == rows[:, 1]).all()
    assert (rows[:, 3] - rows[:, 2] == 2.0).all()


def test_a_slow_model_takes_the_newest_frame_and_drops_those_before_it() -> None:
    rows = served([250.0], fps=10)
    assert rows[rows[:, 2] >= 0, 1].tolist() == [0.0, 200.0, 500.0, 700.0, 900.0]
    assert rows[rows[:, 2] >= 0, 2].tolist() == [0.0, 250.0, 500.0, 750.0, 1000.0]


def test_streams_are_spread_and_keep_one_frame_each() -> None:
    rows = served([60.0], fps=10, streams=2, seconds=0.5)
    assert rows[:, 0].tolist() == [0, 1] * 5
    assert rows[:, 1].tolist() == [50.0 * number for number in range(10)]
    assert (rows[:, 2] >= 0).all()
    assert rows[1, 2] == 60.0
