"""What `edgerig zoo` keeps on this machine: outcomes of steps, leavings of builds that were cut short, drawn faces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness import places
from model_zoo.building.store import Entry, Store


@dataclass(frozen=True)
class Kept:
    """Something that can be removed, and built again.

    Attributes:
        what: for people: the recipe and step, or the faces.
        bytes: that it takes.
        used: when it was used last, UTC, ISO 8601.
        entry: of the store, None for a file of drawn faces.
        path: of it.
    """

    what: str
    bytes: int
    used: str
    entry: Entry | None
    path: Path


def entries(unused_days: int = 0) -> list[Kept]:
    """Return what is kept and was not used for so many days, the one that was used last first."""
    limit = datetime.now(UTC) - timedelta(days=unused_days)
    found = [*_outcomes(), *_drawn()]
    old = [kept for kept in found if not unused_days or datetime.fromisoformat(kept.used) < limit]
    return sorted(old, key=lambda kept: kept.used, reverse=True)


def _outcomes() -> Iterator[Kept]:
    for entry in Store(places.zoo()).entries():
        what = entry.what if entry.whole else f"{entry.name[:8]}: of a build that was not finished"
        yield Kept(what or entry.name, entry.bytes, _day(entry.used), entry, entry.path)


def _drawn() -> Iterator[Kept]:
    for path in places.drawn().glob("*.zip"):
        yield Kept(f"faces {path.stem}", path.stat().st_size, _day(path.stat().st_mtime), None, path)


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def remove(kept: Kept) -> bool:
    """Remove it; False where a build is at work on it or counts on it."""
    store = Store(places.zoo())
    if kept.entry:
        return store.remove(kept.entry)
    with store.claimed() as names:
        free = str(kept.path.resolve()) not in names
        if free:
            kept.path.unlink(missing_ok=True)
            kept.path.with_suffix(".toml").unlink(missing_ok=True)
        return free
