"""The files of a run: written whole or not at all, read back whatever version of edgerig wrote them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgerig import files
from edgerig.errors import RunError
from reports.formats import FORMATS
from reports.records import SCHEMA_VERSION, Run

# Version n -> what makes version n + 1 of the JSON of a run. History of the schema: 1, the first.
UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}


def write(run: Run, folder: Path, formats: Iterable[str] = tuple(FORMATS)) -> list[Path]:
    """Write the run into its folder in the named FORMATS and return the files.

    Raises OutputError or DiskFull where that cannot be done; that file is then as it was. KeyError: no format.
    """
    files.make_folder(folder)
    written = []
    for name in formats:
        for file, text in FORMATS[name](run, folder).items():
            files.write(folder / file, text.encode("utf-8"))
            written.append(folder / file)
    return written


def read(path: Path) -> Run:
    """Return the run of a folder or of its run.json, whatever version wrote it.

    Raises RunError where there is none, it is damaged, or a newer edgerig wrote it.
    """
    file = path / "run.json" if path.is_dir() else path
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"there is no run at {path}.", "Name a folder that holds a run.json.") from error
    except RecursionError as error:
        raise _damaged(file, "it is nested too deeply") from error
    except (OSError, ValueError) as error:
        raise _damaged(file, f"{error}") from error
    try:
        return Run.model_validate(_upgraded(content, file))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _damaged(file, f"{place}: {first['msg']}") from error


def _upgraded(content: object, file: Path) -> dict[str, Any]:
    version = content.get("schema_version") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise _damaged(file, "it names no schema version")
    if version > SCHEMA_VERSION:
        raise RunError(
            f"{file} has schema version {version}, this edgerig reads up to {SCHEMA_VERSION}",
            "update edgerig",
        )
    for number in range(version, SCHEMA_VERSION):
        content = UPGRADES[number](content)
    return content


def _damaged(file: Path, why: str) -> RunError:
    return RunError(f"{file} is damaged: {why}", "render it again from the journal")
