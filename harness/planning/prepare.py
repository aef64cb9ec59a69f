"""From a table of the configuration to a plan: its baseline is found, and its time bounded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness import folders, places
from harness.config import RunTable, Workspace
from harness.measuring import schedule
from harness.planning import baselines, plan
from harness.planning.plan import Plan, Reference


def prepared(
    space: Workspace, table: RunTable, runs: Path, *, name: str | None = None, argv: Sequence[str] = ()
) -> Plan:
    """Return the plan of a run.

    Args:
        space: the configuration.
        table: what to measure.
        runs: the folder of runs, where a baseline is looked for.
        name: of the run.
        argv: the command, for the record.

    Raises:
        UserError: something that was asked for is not there or makes no sense; nothing was measured.
    """
    beside = _baseline(space, table.baseline, runs, name or "") if table.baseline else None
    planned = plan.make(space, table, name=name, packs=places.packs(), argv=argv, baseline=beside)
    return schedule.bounded(planned, table.finish_by, folders.folders(runs))


def _baseline(space: Workspace, asked: str, runs: Path, job: str) -> Reference:
    if asked == baselines.PROMOTED:
        from harness.findings import promotions  # noqa: PLC0415 - with SQLAlchemy, for those who have a history

        return baselines.of_run(promotions.promoted(space, job, runs), asked)
    return baselines.find(asked, runs)
