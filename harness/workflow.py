"""The main job as steps: plan, measure each target, collect, render.

Killing it at any moment loses one round at most.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from edgerig import files
from edgerig.errors import RunError, TargetError, TargetRefused
from harness import collect, journal, places, plan, state
from harness.journal import Journal
from harness.measure import Measuring
from harness.plan import Plan
from harness.progress import Progress
from harness.session import Session
from harness.state import State
from reports import files as reports_files
from reports.records import Cell, Outcome, Run
from targets import connect
from targets.profile import Target

FORMATS = ("json", "csv", "html")  # that every run gets

ATTEMPTS = 3  # to reach a device, with a pause that doubles
PAUSE_S = 0.5

BAD = frozenset({Outcome.FAILED, Outcome.CRASHED, Outcome.TIMEOUT, Outcome.OUT_OF_MEMORY, Outcome.LOST})


def start(planned: Plan, runs: Path, progress: Progress) -> tuple[Run, Path]:
    """Measure a plan in a new folder below `runs`, and return what was learned and the folder.

    Raises:
        OutputError, DiskFull: results cannot be written; what was is kept.
        KeyboardInterrupt: passed on after the results so far are rendered; its note is the run's folder.
    """
    folder = files.make_folder(runs / planned.id)
    with Journal(folder) as book:
        book.append("run", plan=planned.model_dump(mode="json"))
        _measure(state.of(planned), book, progress)
    return render(folder), folder


def resume(folder: Path, progress: Progress) -> tuple[Run, Path]:
    """Measure what is missing in a run's folder.

    Raises:
        RunError: it is no run's folder, or another controller is at work on it.
        ModelError: a model has changed since.
    """
    state.read(folder)
    with Journal(folder) as book:
        known = state.read(folder)
        if known.finished is None:
            plan.recheck(known.plan)
            _measure(known, book, progress)
    return render(folder), folder


def _measure(known: State, book: Journal, progress: Progress) -> None:
    try:
        with progress:
            for target in known.plan.targets:
                progress.target(target.name, known.plan.seconds(target.name)[0])
            for target in known.plan.targets:
                _measure_target(known, target, book, progress)
        if not known.lost:
            book.append("finished", at=datetime.now(UTC).isoformat(timespec="seconds"))
    except KeyboardInterrupt as stop:
        render(book.folder)
        stop.add_note(str(book.folder))
        raise


def _measure_target(known: State, target: Target, book: Journal, progress: Progress) -> None:
    """Measure one target; a device that is lost is a result, and the others go on."""
    try:
        session = open_session(target)
        try:
            Measuring(known, target, session, book, progress).run()
        finally:
            session.close()
    except TargetError as error:
        event = {"target": target.name, "reason": f"{error.message} {error.hint}".strip()}
        book.append("lost", **event)
        known.add({"event": "lost", **event})


def open_session(target: Target) -> Session:
    """Return a session with a target, trying again where that can help; raises TargetError."""
    for attempt in range(ATTEMPTS):
        try:
            return _matching(_session(target), target)
        except TargetError as error:
            if not error.transient or attempt == ATTEMPTS - 1:
                raise
            time.sleep(PAUSE_S * 2**attempt)
    raise AssertionError("the last attempt returns or raises")


def _session(target: Target) -> Session:
    return Session(connect.connect(target, places.devices()), connect.python_of(target), places.agents())


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


def find_run(runs: Path, name: str) -> Path:
    """Return the folder of a run by path, id, beginning of an id, or "latest"; raises RunError."""
    if (Path(name) / journal.NAME).is_file():
        return Path(name)
    known = run_folders(runs)
    matches = known[-1:] if name == "latest" else [folder for folder in known if folder.name.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise RunError(f"'{name}' begins the names of {len(matches)} runs in {runs}.", "Give more of the name.")
    raise RunError(f"there is no run '{name}' in {runs}.", "`edgerig list runs` names them; a path works too.")


def run_folders(runs: Path) -> list[Path]:
    """Return the folders of all runs, the oldest first."""
    return sorted(path.parent for path in runs.glob(f"*/{journal.NAME}"))


def exit_code(run: Run) -> int:
    """Return 0 where all is well, 3 where a cell is not, 4 where nothing was measured."""
    if not any(cell.outcome is Outcome.OK for cell in run.cells):
        return 4
    return 3 if any(cell.outcome in BAD for cell in run.cells) else 0


def troubles(run: Run) -> list[Cell]:
    """Return the cells that are not ok."""
    return [cell for cell in run.cells if cell.outcome is not Outcome.OK]
