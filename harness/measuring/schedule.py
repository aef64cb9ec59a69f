"""Time that is bounded: which cells are measured before a run has to be finished, and which are left out.

What was never measured comes first, then what was measured the longest time ago. Cells that fit are measured together,
in shuffled rounds; the fewest rounds of every cell come before more rounds of any.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from edgerig.errors import ConfigError, RunError
from harness.planning import method
from harness.planning.plan import Plan, PlannedCell
from harness.state import State
from reports import files as reports_files

LOOKED_BACK = 60  # runs that are asked when a cell was last measured: two months of nights
PROCESS_S = 0.6  # to start a measuring process, with onnxruntime and OpenCV
_UNITS = {"s": 1, "m": 60, "h": 3600}


def moment(text: str, now: datetime) -> datetime:
    """Return when a run has to be finished, in UTC.

    Args:
        text: "06:30" (the next time that the clock here says so), "2h", "45m", or an ISO 8601 date and time.
        now: with a time zone.

    Raises:
        ConfigError: it is none of these, or it has passed.
    """
    found = _moment(text.strip(), now)
    if found is None:
        raise ConfigError(f"finish_by = '{text}' is no time.", "Write 06:30, 2h, 45m, or 2026-01-31T06:30.")
    if found <= now:
        raise ConfigError(f"finish_by = '{text}' has passed.", "Write a time that is still to come.")
    return found.astimezone(UTC)


def _moment(text: str, now: datetime) -> datetime | None:
    if match := re.fullmatch(r"([0-9]{1,6})([smh])", text):
        return now + timedelta(seconds=int(match[1]) * _UNITS[match[2]])
    if match := re.fullmatch(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", text):
        here = now.astimezone()
        today = here.replace(hour=int(match[1]), minute=int(match[2]), second=0, microsecond=0)
        return today if today > here else today + timedelta(days=1)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.astimezone()


def last_measured(runs: Sequence[Path]) -> dict[str, str]:
    """Return for each cell when the last run began that measured it, from the newest of the runs' folders."""
    found: dict[str, str] = {}
    for folder in sorted(runs, reverse=True)[:LOOKED_BACK]:
        try:
            run = reports_files.read(folder)
        except RunError:
            continue
        for cell in run.cells:
            if cell.rounds:
                found.setdefault(cell.id, run.started)
    return found


def bounded(planned: Plan, finish_by: str, runs: Sequence[Path]) -> Plan:
    """Return a plan that is finished by a time; unchanged where none is asked for. Raises ConfigError."""
    if not finish_by:
        return planned
    measured = last_measured(runs)
    order = sorted(planned.cells, key=lambda cell: measured.get(cell.id, ""))
    until = moment(finish_by, datetime.now(UTC))
    return planned.model_copy(update={"finish_by": until.isoformat(), "order": tuple(cell.id for cell in order)})


def share(planned: Plan, queue: Sequence[str], target: str, now: datetime) -> float | None:
    """Return the seconds that a target has until its share of the time is over; None where there is no hurry.

    Args:
        planned: the run.
        queue: targets on the same device, which are measured one after the other.
        target: the one of them whose turn it is.
        now: with a time zone.
    """
    if not planned.finish_by:
        return None
    left = (datetime.fromisoformat(planned.finish_by) - now).total_seconds()
    return max(0.0, left) / (len(queue) - list(queue).index(target))


class Schedule:
    """One target's time.

    Args:
        state: the run so far.
        target: its name.
        until: when everything has to be done, by `clock`; None: there is no hurry.
        clock: seconds.
    """

    def __init__(
        self, state: State, target: str, until: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._state, self._target = state, target
        self._until, self._clock = until, clock
        self.left: list[PlannedCell] = []

    def waves(self) -> Iterator[list[PlannedCell]]:
        """Yield cells to be measured together; what is in `left` after the last ones has no time."""
        cells = self._state.plan.cells_on(self._target)
        if self._until is None:
            yield cells
            return
        self.left = [cell for cell in self._stalest(cells) if not self._state.dead(cell)]
        while wave := self._fitting():
            self.left = [cell for cell in self.left if cell not in wave]
            yield wave

    def _stalest(self, cells: Sequence[PlannedCell]) -> list[PlannedCell]:
        places = {name: place for place, name in enumerate(self._state.plan.order)}
        return sorted(cells, key=lambda cell: places.get(cell.id, -1))

    def _fitting(self) -> list[PlannedCell]:
        assert self._until is not None
        room, chosen = self._until - self._clock(), []
        for cell in self.left:
            # A baseline's cell comes with the one that is compared with it: rounds apart are no pairs.
            together = [cell, *(other for other in self.left if cell.against == other.id)]
            seconds = sum(self.seconds(other) for other in together)
            begins = cell.role == "candidate" or not any(other.against == cell.id for other in self.left)
            if seconds <= room and begins:
                chosen += together
                room -= seconds
        return chosen

    def seconds(self, cell: PlannedCell) -> float:
        """Return about how many seconds the fewest rounds and the passes of a cell take."""
        return self._rounds_s(cell) + self._passes_s(cell)

    def _rounds_s(self, cell: PlannedCell) -> float:
        numbers, frame_s = self._state.plan.method_on(self._target), self._frame_s(cell)
        timed = max(numbers.round_s, numbers.round_frames * frame_s)
        warmed = max(numbers.warmup_s, numbers.warmup_frames * frame_s)
        return numbers.rounds_min * (PROCESS_S + warmed + timed)

    def _passes_s(self, cell: PlannedCell) -> float:
        plan = self._state.plan
        frames = method.MEMORY_FRAMES + plan.scored_on(self._target)
        return 2 * PROCESS_S + frames * self._frame_s(cell) + plan.long_seconds(self._target)

    def _frame_s(self, cell: PlannedCell) -> float:
        """Return what the frame of the check took: a first frame is slow, which is on the safe side."""
        check = self._state.checks.get(cell.id)
        return check.frame_ms / 1000 if check else 0.0

    def spare(self, rounds: Sequence[float]) -> bool:
        """Whether another round of a cell whose rounds took so many seconds is affordable beyond the fewest."""
        if self._until is None:
            return True
        if self.left:
            return False
        cells = self._state.plan.cells_on(self._target)
        waiting = [cell for cell in cells if cell.id not in self._state.memory and not self._state.dead(cell)]
        reserve = sum(self._passes_s(cell) for cell in waiting)
        return self._clock() + float(np.mean(rounds)) + reserve < self._until

    @property
    def over(self) -> bool:
        """Whether the time has come."""
        return self._until is not None and self._clock() >= self._until
