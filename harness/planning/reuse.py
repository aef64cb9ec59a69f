"""Emulated cells are measured once: what an emulator counts and scores changes only with what it depends upon.

A result is kept under the digest of all that: model files, how they are fed and read, the faces and which of them, the
bundle or packages, the agent, the emulator's version and processor, and the method. The controller knows all of these
without starting anything. A real device's result is never taken from here: its next minute is another one.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edgerig import digest, files, process
from edgerig.errors import EdgerigError
from harness import journal, places
from harness.devices import pack
from harness.journal import Event, Journal
from harness.planning.plan import Plan, PlannedCell
from harness.runtimes import RUNTIMES
from harness.state import State
from reports.records import Outcome
from targets import connect
from targets.profile import Target

NAME = "result.json"
ALONE = ("description", "tags", "cache_mb", "deadline_s", "faults")  # of a profile: change no result
BY_CELL = ("check", "round", "memory", "operators")
HERE = ("numpy", "opencv-python-headless", *(name for entry in RUNTIMES.values() for name in entry.packages))


def take(state: State, book: Journal) -> None:
    """Add to a run what is known of its emulated cells already, as if it had been measured now."""
    for target in state.plan.targets:
        taken = [name for cell in _wanted(state, target) if (name := _take(state, book, target, cell))]
        if taken:
            count = f"{len(taken)} cell{'s' if len(taken) != 1 else ''} of {target.name}"
            text = f"{count} not measured again: nothing has changed since {', '.join(sorted(set(taken)))} (--fresh)."
            _add(state, book, {"event": "warning", "text": text})


def complete(state: State, target: str) -> bool:
    """Whether every cell of a target was taken from earlier runs, so that nothing need be started."""
    cells = [cell for cell in state.plan.cells_on(target) if not cell.unsupported]
    return bool(cells) and all(cell.id in state.cached for cell in cells)


def keep(state: State, folder: Path) -> None:
    """Keep the results of a run's emulated cells that went well; raises OutputError or DiskFull."""
    events = journal.read(folder)
    for target in state.plan.targets:
        for cell in _own(state.plan, target):
            key = digest_of(state.plan, target, cell)
            if key and cell.id not in state.cached and _good(state, cell):
                _keep(places.cells() / key, folder, state.plan.id, list(_of(events, cell)))


def digest_of(plan: Plan, target: Target, cell: PlannedCell) -> str | None:
    """Return the digest of all that an emulated cell depends upon; None where it cannot be known or kept."""
    around = environment(target, plan.runtimes_on(target.name))
    if around is None or plan.validation:  # scores of validation faces are not kept
        return None
    variant = plan.variant(cell.key.variant)
    images = [face.path for face in plan.images_on(target.name)]
    content = {
        "version": 1,
        "files": [(file.name, file.sha256) for file in variant.files],
        "input": vars(variant.input),
        "output": vars(variant.output),
        "threshold": variant.info.threshold,
        "faces": [plan.faces.info.sha256, digest.of_json(images)],
        "cell": [cell.key.runtime, cell.key.provider, cell.key.threads],
        "profile": target.settings.model_dump(mode="json", exclude=set(ALONE)),
        "environment": around,
        "agent": digest.of_bytes(pack.archive()),
        "method": plan.method_on(target.name).model_dump(mode="json"),
        "operators": plan.operators,
    }
    return digest.of_json(content)


def environment(target: Target, runtimes: Sequence[str]) -> dict[str, Any] | None:
    """Return what a target's cells run in, as far as it is known without starting it; None where it is not."""
    try:
        return {"packages": _packages(target, runtimes), "emulator": _emulator(target)}
    except (EdgerigError, OSError, LookupError):
        return None  # the target itself will say what is missing


def _packages(target: Target, runtimes: Sequence[str]) -> list[str]:
    from harness.stock import bundle  # noqa: PLC0415 - with zstandard and more, for targets that have one

    settings = target.settings
    if settings.transport in connect.THERE:
        raise LookupError("an emulator that somebody else started")
    if settings.environment == "bundle":
        machine = settings.architecture or bundle.machines()[0]
        asked = dict.fromkeys((*settings.runtimes, *runtimes))
        needed = [spec for spec in asked if bundle.packages_of([spec], machine)]
        common = bundle.best(machine, needed)
        own = [bundle.newest(machine, [spec]).name for spec in needed if not common.has(spec)]
        return [common.name, *own]
    if settings.environment == "system" and settings.transport in ("local", "fake") and settings.python is None:
        return [sys.version, *(_installed(name) for name in HERE)]
    raise LookupError("a Python that only the target knows")


def _installed(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} -"


def _emulator(target: Target) -> list[str]:
    from targets import emulator  # noqa: PLC0415 - paramiko comes with a machine

    settings = target.settings
    if settings.emulator == emulator.QEMU_USER:
        return [settings.cpu, process.run([emulator.words(settings.cpu, "")[0], "--version"]).splitlines()[0]]
    if settings.emulator == emulator.QEMU_SYSTEM:
        from targets import image, machine  # noqa: PLC0415

        made = image.newest(image.folder(places.devices()), settings.architecture)
        return [settings.cpu, machine.version(), made.name]
    return []


def _own(plan: Plan, target: Target) -> list[PlannedCell]:
    if not target.settings.emulated:
        return []
    return [cell for cell in plan.cells_on(target.name) if not cell.unsupported]


def _wanted(state: State, target: Target) -> list[PlannedCell]:
    """Return the cells that nothing is known of yet, of a run that may take what is known elsewhere."""
    return [cell for cell in _own(state.plan, target) if not state.plan.fresh and cell.id not in state.checks]


def _good(state: State, cell: PlannedCell) -> bool:
    passes = (state.memory.get(cell.id), state.accuracy.get(cell.scores_id))
    done = all(entry is not None and entry.outcome is Outcome.OK for entry in passes)
    return done and not state.dead(cell) and bool(state.rounds.get(cell.id))


def _of(events: Sequence[Event], cell: PlannedCell) -> Iterator[Event]:
    """Yield the events of a cell, its target's identity first, its own names taken out."""
    identity = [event for event in events if event["event"] == "target" and event["target"] == cell.key.target]
    yield from identity[-1:]
    for event in events:
        if (event["event"] in BY_CELL and event["cell"] == cell.id) or (
            event["event"] == "accuracy" and event["scores_id"] == cell.scores_id
        ):
            yield event


def _keep(place: Path, folder: Path, run: str, events: Sequence[Event]) -> None:
    part = files.make_folder(place.with_name(f"{place.name}.{run}.part"))
    with files.writing(place):
        try:
            for source in _files(folder, events):
                shutil.copyfile(source, part / source.name)
            files.write(part / NAME, json.dumps({"run": run, "events": events}).encode())
            shutil.rmtree(place, ignore_errors=True)
            part.rename(place)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _files(folder: Path, events: Sequence[Event]) -> Iterator[Path]:
    for event in events:
        if event["event"] == "round" and event["round"]["frames"]:
            yield folder / "frames" / event["round"]["frames"]
        if event["event"] == "accuracy" and event["accuracy"]["scores"]:
            yield folder / "scores" / event["accuracy"]["scores"]


def _take(state: State, book: Journal, target: Target, cell: PlannedCell) -> str:
    """Add what is kept of a cell, and return the run that measured it; "" where nothing usable is kept."""
    key = digest_of(state.plan, target, cell)
    place = places.cells() / (key or "unknown")
    try:
        kept = json.loads((place / NAME).read_bytes())
        events = [_renamed(event, place, book.folder, cell) for event in kept["events"]]
    except (OSError, ValueError, LookupError):
        return ""
    for event in events:
        if event["event"] != "target" or cell.key.target not in state.identities:
            _add(state, book, event)
    _add(state, book, {"event": "cached", "cell": cell.id, "run": str(kept["run"])})
    return str(kept["run"])


def _renamed(event: Event, place: Path, folder: Path, cell: PlannedCell) -> Event:
    """Return an event under the names that this run has for a cell, its file copied into the run's folder."""
    kind = event["event"]
    if kind == "target":
        return {**event, "target": cell.key.target}
    if kind == "accuracy":
        content = dict(event["accuracy"])
        content["scores"] = _copied(place / Path(content["scores"]).name, folder / "scores" / f"{cell.scores_id}.csv")
        return {**event, "scores_id": cell.scores_id, "accuracy": content}
    renamed = {**event, "cell": cell.id}
    if kind == "round":
        content = dict(event["round"])
        name = f"{cell.id}-{content['number']}.npy"
        content["frames"] = _copied(place / Path(content["frames"]).name, folder / "frames" / name)
        renamed["round"] = content
    return renamed


def _copied(source: Path, target: Path) -> str:
    files.make_folder(target.parent)
    files.write(target, source.read_bytes())
    return target.name


def _add(state: State, book: Journal, event: Event) -> None:
    book.append(**event)
    state.add(event)
