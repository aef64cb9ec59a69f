"""The run that a job is compared with: promoted by somebody, kept in the history, its folder among the runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from edgerig.errors import RunError
from harness import journal, state, workflow
from harness.config import Workspace
from harness.findings import chronicle, collect, people
from reports.history import History, Promotion
from reports.records import Run


def promoted(space: Workspace, job: str, runs: Path | None = None) -> Path:
    """Return the folder of the run that is the baseline of [runs.JOB], "" for runs without a name.

    Args:
        space: the configuration.
        job: whose baseline.
        runs: the folder of runs; the configuration's by default.

    Raises:
        RunError: none was promoted, or its folder is gone.
    """
    folder = runs or space.runs_folder
    with chronicle.open_history(space, folder) as history:
        found = history.promoted(job)
    if found is None:
        name = f"'{job}'" if job else "runs without a name"
        raise RunError(f"no run is promoted as the baseline of {name}.", "edgerig baseline promote RUN")
    return place(found, folder)


def place(promotion: Promotion, runs: Path) -> Path:
    """Return the folder of a promoted run: among the runs, else where it was then; raises RunError."""
    for folder in (runs / promotion.run, Path(promotion.folder)):
        if (folder / journal.NAME).is_file():
            return folder
    raise RunError(
        f"the run {promotion.run}, promoted by {promotion.author}, is neither in {runs} nor at {promotion.folder}.",
        "Bring its folder back, or promote another run.",
    )


def promote(history: History, folder: Path, reason: str, force: bool) -> Promotion:
    """Make a run the baseline of the job that it was a run of, and return what was recorded.

    Raises:
        RunError: it is unfinished or red, and that was not forced.
    """
    run = collect.collect(state.read(folder), folder)
    problem = "" if force else _unfit(run)
    if problem:
        raise RunError(f"{run.id} {problem}, so that it makes no baseline.", "--force promotes it all the same.")
    promotion = Promotion(
        job=run.night.job if run.night else run.name,
        run=run.id,
        folder=str(folder.resolve()),
        reason=reason,
        author=people.author(),
        promoted=datetime.now(UTC).isoformat(timespec="seconds"),
        forced=force,
    )
    history.promote(promotion)
    return promotion


def _unfit(run: Run) -> str:
    if run.finished is None:
        return "is unfinished: some of its cells are missing"
    code = workflow.exit_code(run)
    return f"ended with exit code {code}" if code else ""
