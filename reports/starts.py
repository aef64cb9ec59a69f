"""Cold starts: how long a fresh process takes from importing the runtime to its first answer, process by process."""

from __future__ import annotations

from collections.abc import Sequence

from reports.records import Round


def whole(rounds: Sequence[Round]) -> list[float]:
    """Return the cold start of each round in ms, in their order; a round that lacks a part of it is left out.

    Python's own start is not in it.
    """
    parts = [(entry.import_ms, entry.load_ms, entry.first_frame_ms) for entry in rounds]
    return [sum(known) for entry in parts if len(known := [value for value in entry if value is not None]) == 3]
