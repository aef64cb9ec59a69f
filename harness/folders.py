"""The folders of runs: finding one by what people call it."""

from __future__ import annotations

from pathlib import Path

from edgerig.errors import RunError
from harness import journal


def find(folder: Path, name: str) -> Path:
    """Return the folder of a run by path, id, beginning of an id, or "latest"; raises RunError.

    Args:
        folder: of runs.
        name: what the run is called.
    """
    if (Path(name) / journal.NAME).is_file():
        return Path(name)
    known = folders(folder)
    matches = known[-1:] if name == "latest" else [path for path in known if path.name.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise RunError(f"'{name}' begins the names of {len(matches)} runs in {folder}.", "Give more of the name.")
    raise RunError(f"there is no run '{name}' in {folder}.", "`edgerig list runs` names them; a path works too.")


def folders(folder: Path) -> list[Path]:
    """Return the folders of all runs, the oldest first."""
    return sorted(path.parent for path in folder.glob(f"*/{journal.NAME}"))
