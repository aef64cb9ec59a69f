"""The main job as steps: plan, measure each target, collect, render.

Killing it at any moment loses one round at most.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from edgerig import files
from edgerig.deadline import Deadline
from edgerig.errors import TargetError, TargetRefused
from harness import folders, places, state
from harness.devices import provision, readiness
from harness.devices.lease import Lease, acquire
from harness.devices.queues import Stop, side_by_side
from harness.devices.session import Session
from harness.devices.settings import applied
from harness.findings import collect
from harness.journal import Journal
from harness.measuring import pairs, schedule
from harness.measuring.measure import Measuring
from harness.planning import baselines, plan, reuse
from harness.planning.plan import Plan
from harness.progress import Progress
from harness.state import State
from reports import files as reports_files
from reports.records import Judgement, Outcome, Run
from targets import connect
from targets.profile import Target

Done = TypeVar("Done")

FORMATS = ("json", "csv", "html")  # that every run gets

ATTEMPTS = 3  # to reach a device, with a pause that doubles
PAUSE_S = 0.5

BAD = frozenset({Outcome.FAILED, Outcome.CRASHED, Outcome.TIMEOUT, Outcome.OUT_OF_MEMORY, Outcome.LOST})


def start(planned: Plan, runs: Path, progress: Progress, wait_s: float = 0.0) -> tuple[Run, Path]:
    """Measure a plan in a new folder below `runs`, and return what was learned and the folder.

    Args:
        planned: what to measure.
        runs: folder of runs.
        progress: who is told.
        wait_s: how long to wait for a device that another controller has.

    Raises:
        OutputError, DiskFull: results cannot be written; what was is kept.
        KeyboardInterrupt: passed on after the results so far are rendered; its note is the run's folder.
    """
    folder = files.make_folder(runs / planned.id)
    baselines.keep(planned)
    with Journal(folder) as book:
        book.append("run", plan=planned.model_dump(mode="json"))
        _measure(state.of(planned), book, progress, wait_s)
    return render(folder), folder


def resume(folder: Path, progress: Progress, wait_s: float = 0.0) -> tuple[Run, Path]:
    """Measure what is missing in a run's folder; arguments as of `start`.

    Raises:
        RunError: it is no run's folder, or another controller is at work on it.
        ModelError: a model has changed since.
    """
    state.read(folder)
    with Journal(folder) as book:
        known = state.read(folder)
        if known.finished is None:
            plan.recheck(known.plan)
            known.plan = known.plan.model_copy(update={"finish_by": ""})  # whoever resumes a run wants all of it
            _measure(known, book, progress, wait_s)
    return render(folder), folder


def _measure(known: State, book: Journal, progress: Progress, wait_s: float) -> None:
    stop = Stop()

    queues = by_device(known.plan.targets)

    def work(target: Target) -> None:
        queue = next([entry.name for entry in queue] for queue in queues if target in queue)
        seconds = schedule.share(known.plan, queue, target.name, datetime.now(UTC))
        _measure_target(known, target, book, progress, stop, wait_s, seconds)

    try:
        reuse.take(known, book)
        with progress:
            for target in known.plan.targets:
                progress.target(target.name, known.plan.seconds(target.name)[0])
            side_by_side(queues, work, stop)
        reuse.keep(known, book.folder)
        if not known.lost and not known.skipped:
            book.append("finished", at=datetime.now(UTC).isoformat(timespec="seconds"))
    except KeyboardInterrupt as interrupt:
        render(book.folder)
        interrupt.add_note(str(book.folder))
        raise


def by_device(targets: Sequence[Target]) -> list[list[Target]]:
    """Return the targets of each physical device, in their order: they would disturb each other."""
    queues: dict[str, list[Target]] = {}
    for target in targets:
        try:
            device = connect.device(target)
        except TargetError:  # an address that cannot be read is told when it is used
            device = f"target {target.name}"
        queues.setdefault(device, []).append(target)
    return list(queues.values())


def _measure_target(
    known: State,
    target: Target,
    book: Journal,
    progress: Progress,
    stop: Stop,
    wait_s: float,
    seconds: float | None,
) -> None:
    """Measure one target; a device that is lost, or that somebody else has, is a result, and the others go on."""

    def told(text: str) -> None:
        progress.step(target.name, text)

    def add(event: str, **fields: object) -> None:
        book.append(event, **fields)
        known.add({"event": event, **fields})

    if reuse.complete(known, target.name):
        return
    until = Deadline(seconds)
    patience = wait_s if seconds is None else min(wait_s, seconds)
    try:
        with leased(target, known.plan.id, patience, stop, told) as lease, applied(target, lease, add):
            runtimes = known.plan.runtimes_on(target.name)

            def measuring(session: Session) -> Measuring:
                return Measuring(known, target, session, book, progress, lease.check, stop.pause, until.remaining)

            with contextlib.closing(open_session(target, stop, runtimes)) as session:
                measuring(session).run()
            if flagged := pairs.flagged(known, book.folder, target.name):
                told(f"{len(flagged)} slower than the baseline: a second session")
                with contextlib.closing(open_session(target, stop, runtimes)) as session:
                    measuring(session).confirm(flagged)
    except TargetError as error:
        add("lost", target=target.name, reason=f"{error.message} {error.hint}".strip())


def leased(
    target: Target,
    run: str,
    wait_s: float = 0.0,
    stop: Stop | None = None,
    told: Callable[[str], object] = str,
) -> Lease:
    """Return a target's lease, trying again where that can help, for `with`; arguments as of `lease.acquire`."""
    pause = stop.pause if stop else time.sleep
    return _patiently(lambda: acquire(target, run, wait_s, pause=pause, told=told), pause)


def open_session(target: Target, stop: Stop | None = None, wanted: Sequence[str] = ()) -> Session:
    """Return a session with a target, trying again where that can help; raises TargetError.

    Args:
        target: which.
        stop: what the session's user is stopped by.
        wanted: the runtimes that are going to be used; by default those that the target is said to have.
    """
    return _patiently(lambda: _matching(_session(target, stop, wanted), target), stop.pause if stop else time.sleep)


def _patiently(action: Callable[[], Done], pause: Callable[[float], object]) -> Done:
    for attempt in range(ATTEMPTS):
        try:
            return action()
        except TargetError as error:
            if not error.transient or attempt == ATTEMPTS - 1:
                raise
            pause(PAUSE_S * 2**attempt)
    raise AssertionError("the last attempt returns or raises")


def _session(target: Target, stop: Stop | None, wanted: Sequence[str]) -> Session:
    way = connect.connect(target, places.devices())
    transport = stop.over(way) if stop else way
    try:
        found = readiness.look(target, transport)
        ready = provision.ensure(target, transport, wanted=wanted)
    except BaseException:
        transport.close()
        raise
    cache_mb = target.settings.cache_mb
    session = Session(transport, ready.command, places.agents(), cache_mb, ready.commands, ready.refused)
    session.found = found
    return session


def _matching(session: Session, target: Target) -> Session:
    """Return the session where the device is of the profile's architecture; raises TargetRefused."""
    wanted, found = target.settings.architecture, session.identity.machine
    if wanted and wanted != found:
        session.close()
        raise TargetRefused(
            f"target '{target.name}' is a device with {wanted}, but what answers is {found}.",
            f'`edgerig init` writes a target that fits; by hand: [targets.NAME] architecture = "{found}".',
        )
    return session


def render(folder: Path, formats: Sequence[str] = FORMATS) -> Run:
    """Derive all other files of a run from its journal, raw times and scores; nothing is measured.

    Args:
        folder: of the run.
        formats: names in `reports.formats.FORMATS`.
    """
    run = collect.collect(state.read(folder), folder)
    reports_files.write(run, folder, formats)
    return run


find_run = folders.find
run_folders = folders.folders


def exit_code(run: Run) -> int:
    """Return 0 for good, 4 where nothing was measured, 1 for what got worse or broke a budget, 3 for trouble.

    Of a night that was judged it is the night's, which knows what was accepted and what may be missing.
    """
    if run.night:
        return run.night.exit_code
    if not any(cell.outcome is Outcome.OK for cell in run.candidates):
        return 4
    broken = any(check.verdict is Judgement.BROKEN for check in run.budgets)
    if broken or any(comparison.red for comparison in run.comparisons):
        return 1
    lost = any(target.outcome is Outcome.LOST for target in run.targets)
    return 3 if lost or any(cell.outcome in BAD for cell in run.cells) else 0
