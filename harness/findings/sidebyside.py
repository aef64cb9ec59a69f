"""Two runs that are there already, read and held side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgerig import toml
from edgerig.errors import ConfigError, RunError
from harness import state
from harness.findings import collect
from harness.measuring import pairs
from reports import across
from reports.across import Across, Medians, Unlike
from reports.records import Run

_NAMED = 6  # differing keys that an error names


def compared(candidate: Path, baseline: Path, allow: Sequence[str] = ()) -> Across:
    """Return two runs side by side.

    Args:
        candidate: folder of the run that is asked about.
        baseline: folder of the other one.
        allow: keys of the fingerprint that may differ; the result says so.

    Raises:
        ConfigError: the runs are unlike in a key that is not allowed, or a key is none.
        RunError: they share no cell, or a file of theirs is missing.
    """
    for key in allow:
        if key not in across.KEYS:
            known = toml.nearest(key, across.KEYS) or f"Keys: {', '.join(across.KEYS)}."
            raise ConfigError(f"there is no key '{key}' that runs could differ in.", known)
    (run, mine), (other, theirs) = _read(candidate), _read(baseline)
    found = across.across(run, other, mine, theirs, allow)
    if not found.rows:
        raise RunError(f"{found.candidate} and {found.baseline} share no cell.", "Cells are matched by their names.")
    _refuse(found)
    return found


def _read(folder: Path) -> tuple[Run, Medians]:
    known = state.read(folder)
    medians = {cell.id: list(pairs.rounds(folder, known.paired(cell)).p50.values()) for cell in known.plan.cells}
    return collect.collect(known, folder), medians


def _refuse(found: Across) -> None:
    differing: dict[str, Unlike] = {}
    for one in found.refused:
        differing.setdefault(one.key, one)
    if differing:
        told = "; ".join(f"{one.key} ({one.candidate}, before {one.baseline})" for one in differing.values())
        words = " ".join(f"--allow {key}" for key in list(differing)[:_NAMED])
        raise ConfigError(f"the runs are unlike in {told}.", f"{words} compares them all the same, and says so.")
