"""The rounds of a target: each a fresh process, variants shuffled, more of them while p50 is not known well enough."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from edgerig import digest
from harness import frames
from harness.agent import protocol
from harness.agent.protocol import JobResult
from harness.measuring import pairs, race, watch
from harness.measuring.heat import Gate
from harness.measuring.pairs import Pair
from harness.planning import method
from harness.planning.plan import PlannedCell
from harness.progress import Outlook
from reports import statistics, taint, trust
from reports.budgets import MOST
from reports.records import Outcome, Round
from reports.statistics import Interval

if TYPE_CHECKING:
    from harness.measuring.measure import Measuring

END_TO_END = protocol.STAGES.index("end_to_end")
REPEATS = 2  # times the fewest rounds that a cell may take while rounds are tainted
TIMES = ("import", "load", "first_frame")


class Rounds:
    """Measures latency on one target.

    Args:
        measuring: the target, its session and what is known.
        pause: sleeps, while a device cools; may raise to end the waiting.
        session: 2 for the one that confirms what the first one flagged.
    """

    def __init__(self, measuring: Measuring, pause: Callable[[float], object], session: Literal[1, 2] = 1) -> None:
        self._measuring = measuring
        self._state = measuring.state
        self._method = measuring.method
        self._folder = measuring.journal.folder
        self._event, self._seed = ("round", []) if session == 1 else ("again", [session])
        self._done = self._state.rounds if session == 1 else self._state.again
        self._gate = Gate(measuring.target, measuring.session, measuring.told, pause)

    def run(self) -> None:
        """Measure all rounds that are missing."""
        for number in range(self._method.rounds_min):
            for cell in self._shuffled(number):
                if len(self._state.rounds[cell.id]) <= number and self._open(cell):
                    self._round(cell)
            self._race()
        number = self._method.rounds_min
        outlook = self._outlook()
        while wanting := [cell for cell in self._shuffled(number) if self._wants_more(cell)]:
            outlook.before([self._expected(cell) for cell in wanting])
            for cell in wanting:
                self._round(cell)
            self._race()
            number += 1
        outlook.before([])

    def confirm(self, flagged: Sequence[Pair]) -> None:
        """Measure the rounds of a second session, in an order of its own, until what was flagged is clear."""
        number, outlook = 0, self._outlook()
        while wanting := pairs.unsettled(self._state, self._folder, flagged):
            outlook.before([pairs.until_look(number)] * len(wanting))
            if self._measuring.schedule.over:
                reason = "the run had to be finished before its second session was."
                for cell_id in sorted(wanting):
                    self._measuring.add("skipped", cell=cell_id, reason=reason)
                return
            for cell in self._shuffled(number):
                if cell.id in wanting and self._open(cell):
                    self._round(cell)
            number += 1
        outlook.before([])

    def _outlook(self) -> Outlook:
        measuring, name = self._measuring, self._measuring.target.name
        return Outlook(measuring.progress, name, measuring.plan.round_seconds(name))

    def _race(self) -> None:
        """Let cells drop out that are beaten in everything, or over budget; who is compared runs a race of its own."""
        if not self._state.plan.race:
            return
        alone = (cell for cell in self._measuring.cells if not pairs.of(self._state.plan, cell))
        runners = [self._runner(cell) for cell in alone if self._open(cell)]
        limits = self._state.plan.budgets.get(self._measuring.target.name, {})
        dropped = dict(race.beaten(runners)) | dict(race.over_budget(runners, limits))
        for cell, reason in dropped.items():
            self._measuring.add("dropped", cell=cell, reason=reason)

    def _runner(self, cell: PlannedCell) -> race.Runner:
        counting = trust.counted(self._state.judged(cell))
        info = self._state.plan.variant(cell.key.variant).info
        medians = {entry.place: self._median(entry) for entry in counting if entry.frames}
        return race.Runner(cell.id, info.name, medians, self._measuring.auc(cell), info.bytes)

    def _shuffled(self, number: int) -> list[PlannedCell]:
        """Return the cells in the order of a round, which the seed decides, also after a resume."""
        cells, key = self._measuring.cells, int(digest.of_bytes(self._measuring.target.name.encode())[:8], 16)
        order = np.random.default_rng([self._state.plan.seed, key, number, *self._seed]).permutation(len(cells))
        return [cells[place] for place in order]

    def _open(self, cell: PlannedCell) -> bool:
        pair = pairs.of(self._state.plan, cell)
        together = pair.cells if pair else (cell,)  # one half of a pair alone decides nothing
        left_out = any(one.id in self._state.skipped or one.id in self._state.dropped for one in together)
        return not left_out and not self._state.dead(cell)

    def _wants_more(self, cell: PlannedCell) -> bool:
        """Whether a comparison is undecided, rounds have to be repeated or p50 is not known as asked, within budget."""
        if pair := pairs.of(self._state.plan, cell):
            may = self._open(cell) and self._time_for_both(cell)
            asked = may and pairs.wants(self._state, self._folder, pair, cell)
            if asked or cell.role == "baseline":
                return asked
        rounds = self._state.rounds[cell.id]
        if not self._open(cell) or not method.goes_on(self._method) or not rounds:
            return False
        if not self._affordable([entry.seconds for entry in rounds]):
            return False
        if len(taint.clean(self._state.judged(cell))) < self._method.rounds_min:
            return len(rounds) < REPEATS * self._method.rounds_min
        interval = self._interval(cell)
        return interval is None or statistics.relative_half_width(interval) > self._method.half_width

    def _interval(self, cell: PlannedCell) -> Interval | None:
        """Return the interval of the cell's p50 in ns, None with fewer than two rounds that count."""
        counting = taint.clean(self._state.judged(cell))
        return statistics.t_interval([self._median(entry) for entry in counting if entry.frames])

    def _expected(self, cell: PlannedCell) -> int:
        """Return how many more rounds a cell that wants some will probably take: no more than its budget affords."""
        seconds = [entry.seconds for entry in self._state.rounds[cell.id]]
        affordable = int((self._method.budget_s - sum(seconds)) / max(float(np.mean(seconds)), 1e-3))
        needed = self._needed(cell)
        return max(1, affordable if needed is None else min(affordable, needed))

    def _needed(self, cell: PlannedCell) -> int | None:
        """Return how many more rounds would probably do, None where no number is known to."""
        if pair := pairs.of(self._state.plan, cell):
            return pairs.needed(self._state, self._folder, pair)
        interval, done = self._interval(cell), len(taint.clean(self._state.judged(cell)))
        if interval is None:
            return None
        rounds = statistics.rounds_needed(interval, done, math.log1p(self._method.half_width), MOST)
        return None if rounds is None else rounds - done

    def _time_for_both(self, cell: PlannedCell) -> bool:
        rounds = self._state.rounds[cell.id]
        return bool(rounds) and self._measuring.schedule.spare([2 * entry.seconds for entry in rounds])

    def _affordable(self, seconds: list[float]) -> bool:
        """Whether a cell whose rounds took so long may have another one."""
        within = sum(seconds) + float(np.mean(seconds)) <= self._method.budget_s
        return within and self._measuring.schedule.spare(seconds)

    def _median(self, entry: Round) -> float:
        return float(np.median(frames.read(self._folder, entry.frames or "")[entry.warmup :, END_TO_END]))

    def _round(self, cell: PlannedCell) -> None:
        measuring, plan = self._measuring, self._method
        if measuring.schedule.over:
            measuring.add("skipped", cell=cell.id, reason="the run had to be finished before its rounds were.")
            return
        if not self._gate.passed():
            measuring.add("skipped", cell=cell.id, reason=self._too_hot())
            return
        number = len(self._done[cell.id]) + 1
        measuring.told(f"round {number} of {cell.key}")
        fewest = max(plan.warmup_frames + plan.round_frames, 1)
        job = measuring.job(
            cell,
            "latency",
            images=measuring.some_images(),
            warmup_frames=plan.warmup_frames,
            warmup_s=plan.warmup_s,
            min_frames=plan.round_frames,
            min_s=plan.round_s,
            deadline_s=measuring.deadline(cell, fewest) + plan.warmup_s + plan.round_s,
        )
        result = measuring.session.run(job)
        name = measuring.kept(job, result, "frames", f"{cell.id}-{'again' if self._seed else ''}{number}.npy")
        measuring.add(self._event, cell=cell.id, round=self._record(number, name, result).model_dump(mode="json"))
        measuring.session.forget(job)
        measuring.progress.advance(measuring.target.name, measuring.plan.round_seconds(measuring.target.name))

    def _too_hot(self) -> str:
        heat = self._measuring.target.settings.heat
        assert heat is not None
        return f"{heat.wait_s:.0f} s did not cool the device to {heat.start_c:.0f} °C."

    def _record(self, number: int, name: str | None, result: JobResult) -> Round:
        return Round(
            number=number,
            visit=self._state.visits[self._measuring.target.name],
            outcome=Outcome(result.outcome),
            reason=result.reason,
            started=result.started,
            seconds=result.seconds,
            frames=name,
            warmup=result.warmup,
            frames_s=(result.frames_s[0], result.frames_s[1]) if len(result.frames_s) == 2 else None,
            waited_share=_share(result, "waited_share"),
            stolen_share=_share(result, "stolen_share"),
            vitals=tuple(watch.readings(self._measuring.target, result.vitals)),
            **{f"{time}_ms": value / 1e6 for time, value in result.times_ns.items() if time in TIMES},
        )


def _share(result: JobResult, name: str) -> float | None:
    try:
        return float(result.facts[name])
    except (KeyError, ValueError):
        return None
