"""What the builds at work count on, said before they look whether it is there: so nobody removes it meanwhile.

Each build has a file of claims, locked as long as the build lives; one lock, the gate, stands between those who claim
and those who remove.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from edgerig import files
from model_zoo.building import locks

GATE = "claims.lock"
SUFFIX = ".claims"


class Claims:
    """The claims of one build, and a look at those of all.

    Args:
        folder: in which all builds lay down theirs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[str] | None = None
        self._mine: set[str] = set()

    def add(self, names: Iterable[str]) -> None:
        """Claim what the names stand for, until `close` or the end of the process."""
        new = set(names) - self._mine
        if not new:
            return
        with self._gate(), files.writing(self._folder):
            mine = self._opened()
            mine.writelines(json.dumps(name) + "\n" for name in sorted(new))
            mine.flush()
        self._mine |= new

    def _opened(self) -> IO[str]:
        if self._file is None:
            # Named by chance, since a process may have several; gone when it is closed.
            self._file = tempfile.NamedTemporaryFile("w", dir=self._folder, suffix=SUFFIX)  # noqa: SIM115
            locks.taken(self._file)
        return self._file

    def close(self) -> None:
        """Claim nothing any more."""
        if self._file is not None:
            self._file.close()
        self._file, self._mine = None, set()

    @contextlib.contextmanager
    def all(self) -> Iterator[set[str]]:
        """Give what builds at work claim; nobody claims anything more in this block."""
        with self._gate():
            yield {name for path in self._folder.glob(f"*{SUFFIX}") for name in _read(path)}

    def _gate(self) -> contextlib.AbstractContextManager[None]:
        return locks.locked(files.make_folder(self._folder) / GATE, locks.patient)


def _read(path: Path) -> list[str]:
    """Return the claims of a build at work; those of one that was killed are removed."""
    with contextlib.suppress(FileNotFoundError), path.open() as stream:
        if not locks.taken(stream):
            # A line that a full disk cut short is no claim: its build has ended with that error.
            return [str(json.loads(line)) for line in stream if line.endswith("\n")]
        path.unlink()
    return []
