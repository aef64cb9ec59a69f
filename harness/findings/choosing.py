"""What to ship by a run, asked for by name, and whether files are what a choice.json says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from edgerig import digest, toml
from edgerig.errors import ConfigError, ModelError, RunError
from reports import budgets, deployment
from reports.deployment import Deployment
from reports.records import Run


def chosen(run: Run, rank: str, targets: tuple[str, ...] = ()) -> Deployment:
    """Return what to ship, for all targets where none is named; raises ConfigError for an unknown target or rank."""
    known = [target.name for target in run.targets]
    for name, of, what in [(rank, list(budgets.BUDGETS), "figure"), *((name, known, "target") for name in targets)]:
        if name not in of:
            raise ConfigError(f"there is no {what} '{name}'.", toml.nearest(name, of) or f"Known: {', '.join(of)}.")
    return deployment.deployment(run, rank, targets or None)


def verify(path: Path, given: Sequence[Path]) -> dict[Path, str]:
    """Return which chosen file each of the given ones is.

    Raises:
        RunError: choice.json cannot be read, or chooses nothing.
        ModelError: a file is missing, or is none of the chosen ones.
        ConfigError: no file is given.
    """
    wanted = {file.sha256: file.name for pinned in read(path).choices for file in pinned.files}
    if not wanted:
        raise RunError(f"{path} chooses nothing.", "Run edgerig pick again where the choice is decided.")
    if not given:
        raise ConfigError("there is no file to verify.", f"edgerig pick --verify {path} {next(iter(wanted.values()))}")
    return {file: _one_of(wanted, file, path) for file in given}


def _one_of(wanted: dict[str, str], file: Path, path: Path) -> str:
    if not file.is_file():
        raise ModelError(f"there is no file {file}.")
    name = wanted.get(digest.of_file(file))
    if name is None:
        chosen = ", ".join(sorted(set(wanted.values())))
        raise ModelError(f"{file} is none of the files that {path} chooses.", f"Those are {chosen}, by sha256.")
    return name


def read(path: Path) -> Deployment:
    """Return the content of a choice.json; raises RunError where it is missing, damaged, or of a newer edgerig."""
    try:
        found = Deployment.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RunError(f"there is no choice at {path}.", "edgerig pick --write writes one.") from error
    except ValidationError as error:
        raise RunError(f"{path} is no choice of edgerig: {error.errors()[0]['msg']}.", "Update edgerig?") from error
    if found.schema_version > deployment.SCHEMA_VERSION:
        raise RunError(f"{path} has a newer schema version than this edgerig reads.", "Update edgerig.")
    return found
