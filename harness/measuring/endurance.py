"""The long passes of a target, after its rounds: sustained load, and frames as cameras send them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from harness.agent import protocol
from harness.agent.protocol import JobResult
from harness.measuring import watch
from harness.measuring.heat import Gate
from harness.planning import method
from harness.planning.plan import PlannedCell
from reports import endurance
from reports.figures import duration
from reports.records import Outcome, RealTime, Sustained

if TYPE_CHECKING:
    from harness.measuring.measure import Measuring


class Endurance:
    """Runs the long passes that a plan asks for.

    Args:
        measuring: the target, its session and what is known.
        pause: sleeps, while a device cools; may raise to end the waiting.
    """

    def __init__(self, measuring: Measuring, pause: Callable[[float], object]) -> None:
        self._measuring = measuring
        self._plan = measuring.plan
        self._gate = Gate(measuring.target, measuring.session, measuring.told, pause)

    def run(self) -> None:
        """Measure what is missing; an emulator neither warms up nor keeps pace with a camera."""
        if self._measuring.target.settings.emulated:
            return
        state = self._measuring.state
        candidates = [cell for cell in self._measuring.cells if cell.role == "candidate"]
        for cell in candidates:
            if self._plan.sustain_s and cell.id not in state.sustained and not state.dead(cell):
                self._sustain(cell)
        for cell in candidates:
            if self._plan.fps and cell.id not in state.realtime and not state.dead(cell):
                self._realtime(cell)

    def _sustain(self, cell: PlannedCell) -> None:
        seconds = self._plan.sustain_s
        self._gate.passed()  # as cool as it gets: a pass on a warm device would show less
        self._measuring.told(f"{duration(seconds)} of {cell.key} without a pause")
        result, frames = self._passed(cell, "sustain", seconds, "sustained")
        readings = tuple(watch.readings(self._measuring.target, result.vitals))
        record = Sustained(
            outcome=Outcome(result.outcome),
            reason=result.reason,
            seconds=seconds,
            frames=self._name(cell) if frames is not None else None,
            count=0 if frames is None else len(frames),
            vitals=readings,
            **(endurance.sustained(frames, readings) if frames is not None else {}),
        )
        self._measuring.add("sustained", cell=cell.id, sustained=record.model_dump(mode="json"))
        self._measuring.progress.advance(self._measuring.target.name, seconds)

    def _realtime(self, cell: PlannedCell) -> None:
        fps, streams = self._plan.fps, self._plan.streams
        self._measuring.told(f"{endurance.pace(fps, streams)} to {cell.key}")
        result, rows = self._passed(cell, "realtime", method.REALTIME_S, "realtime", fps=fps, streams=streams)
        record = RealTime(
            outcome=Outcome(result.outcome),
            reason=result.reason,
            fps=fps,
            streams=streams,
            seconds=method.REALTIME_S,
            frames=self._name(cell) if rows is not None else None,
            **(endurance.realtime(rows, fps) if rows is not None else {}),
        )
        self._measuring.add("realtime", cell=cell.id, realtime=record.model_dump(mode="json"))
        self._measuring.progress.advance(self._measuring.target.name, method.REALTIME_S)

    def _passed(
        self, cell: PlannedCell, kind: str, seconds: float, folder: str, **fields: object
    ) -> tuple[JobResult, NDArray[np.int64] | None]:
        """Have a long pass done; returns its result, and its times where it has any."""
        measuring = self._measuring
        job = measuring.job(
            cell,
            kind,
            images=measuring.some_images(),
            min_s=seconds,
            deadline_s=measuring.deadline(cell, 1) + 1.5 * seconds,
            **fields,
        )
        result = measuring.session.run(job, self._listen(cell))
        name = measuring.kept(job, result, folder, self._name(cell))
        measuring.session.forget(job)
        times = None if name is None else np.load(measuring.journal.folder / folder / name, allow_pickle=False)
        return result, times

    def _listen(self, cell: PlannedCell) -> Callable[[protocol.Progress], None]:
        def heard(progress: protocol.Progress) -> None:
            if progress.total:
                self._measuring.told(f"{cell.key}: {progress.phase} {progress.done} of {progress.total} s")

        return heard

    def _name(self, cell: PlannedCell) -> str:
        return f"{cell.id}.npy"
