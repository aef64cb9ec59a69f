"""Measuring one target: one frame of each cell, then rounds, memory, accuracy and operators, each a fresh process.

Every result is in the journal before the next job begins; what is there already is not measured again.
"""

from __future__ import annotations

import csv
import math
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgerig import files, metrics
from edgerig.errors import ProtocolError
from harness import scoring
from harness.agent import protocol
from harness.agent.protocol import Job, JobResult
from harness.devices.session import Session
from harness.journal import Journal
from harness.measuring import peers, watch
from harness.measuring.endurance import Endurance
from harness.measuring.pairs import Pair
from harness.measuring.rounds import Rounds
from harness.measuring.schedule import Schedule
from harness.planning import method
from harness.planning.plan import Plan, PlannedCell, PlannedVariant
from harness.progress import Progress
from harness.runtimes import compiles, provider_of, runtime_of
from harness.scoring import Feed
from harness.state import State
from reports.figures import duration
from reports.records import Key, Memory, OperatorTime, Outcome, Phase
from targets import emulator
from targets.profile import Target

SLOWEST = 20.0  # a job may take so many times what its check promised
# Emulators under which memory cannot be measured, and why.
NO_MEMORY = {emulator.QEMU_USER: "not measured: under qemu-user the kernel tells of the emulator's memory"}
LATENCY_IMAGES = 64  # pictures that a round cycles through; more only fill the caches with pixels


@dataclass
class Measuring:
    """One target of a run, being measured.

    Attributes:
        state: what is known; every event goes there and into the journal.
        target: which.
        session: with the device.
        journal: of the run.
        progress: who is told.
        still_ours: raises TargetError where the device's lease was lost.
        pause: sleeps; may raise to end the waiting.
        seconds: until its time is over; None: there is no hurry.
    """

    state: State
    target: Target
    session: Session
    journal: Journal
    progress: Progress
    still_ours: Callable[[], None]
    pause: Callable[[float], object] = time.sleep
    seconds: float | None = None

    def __post_init__(self) -> None:
        self.plan: Plan = self.state.plan
        self.cells: list[PlannedCell] = self.plan.cells_on(self.target.name)
        until = None if self.seconds is None else time.monotonic() + self.seconds
        self.schedule = Schedule(self.state, self.target.name, until)
        self.method = self.plan.method_on(self.target.name)
        self.faces = self.plan.images_on(self.target.name)

    def run(self) -> None:
        """Measure all that is missing; raises TargetError where the device is lost."""
        self._identify()
        self._fit_faces()
        self._push()
        self._build()
        self._check()
        for wave in self.schedule.waves():
            self.cells = wave
            self._measure()
        for cell in self.schedule.left:
            self.add("skipped", cell=cell.id, reason="there was no time for it before the run had to be finished.")

    def _measure(self) -> None:
        """Measure what is missing of `cells`; a race needs to know first who is accurate."""
        rounds, long = Rounds(self, self.pause).run, Endurance(self, self.pause).run
        first = (self._accuracy, rounds, self._memory) if self.plan.race else (rounds, self._memory, self._accuracy)
        for step in (*first, self._operators, self._peers, long):
            step()

    def confirm(self, flagged: Sequence[Pair]) -> None:
        """Measure pairs that were flagged once more, until it is clear; raises TargetError where the device is lost."""
        self._identify(again=True)
        self._fit_faces()
        self._push()
        Rounds(self, self.pause, session=2).confirm(flagged)

    def told(self, text: str) -> None:
        """Tell what is being done now."""
        self.progress.step(self.target.name, text)

    def add(self, event: str, **fields: object) -> None:
        """Keep an event: in the journal, on the disk, before anything else happens."""
        self.still_ours()  # before it is kept: somebody else may have disturbed it
        self.journal.append(event, **fields)
        self.state.add({"event": event, **fields})

    def _identify(self, again: bool = False) -> None:
        identity = self.session.identity
        before = self.state.identities.get(self.target.name)
        if before and (before.hostname, before.cpu) != (identity.hostname, identity.cpu):
            was, now = f"{before.hostname} ({before.cpu})", f"{identity.hostname} ({identity.cpu})"
            text = f"{self.target.name} was {was} and is now {now}: its rounds are of two devices."
            self.add("warning", text=text)
        found = dict(self.session.found.settings)
        self.add("target", target=self.target.name, identity=vars(identity), found=found, again=again)

    def _fit_faces(self) -> None:
        """Choose between encoded faces and, for a device that cannot decode them, their pixels."""
        packages = self.session.identity.packages
        self._feed = scoring.feed(self.plan.faces, self.faces, packages)
        self._validation: Feed | None = None
        if held_back := self.plan.validation:
            used = self.plan.used_of(held_back, self.target.name)
            self._validation = scoring.feed(held_back, used, packages)

    def _push(self) -> None:
        alive = {cell.key.variant for cell in self.cells if not self.state.dead(cell)}
        wanted = {file.sha256: file.path for name in alive for file in self.plan.variant(name).files}
        wanted |= {fed.sha256: fed.pack for fed in (self._feed, self._validation) if fed}
        self.told("pushing what the device does not have")
        self.add("pushed", target=self.target.name, bytes=self.session.push(wanted))

    # -- models that a provider compiles

    def _build(self) -> None:
        """Have engines built before anything is timed; a later run finds them on the device."""
        for cell in self.cells:
            known = cell.unsupported or cell.scores_id in self.state.builds or self._refused(cell)
            if known or not compiles(cell.key.runtime, cell.key.provider):
                continue
            seconds = self.target.settings.build_deadline_s
            self.told(f"building the engine of {cell.key.variant} for {cell.key.provider}, {duration(seconds)} at most")
            job = self.job(cell, "build", images=self.some_images()[:1], deadline_s=seconds)
            result = self.session.run(job)
            self.session.forget(job)
            ms = result.times_ns.get("engine", 0) / 1e6
            self.add("build", scores_id=cell.scores_id, outcome=result.outcome, reason=result.reason, ms=ms)

    # -- one frame of each cell

    def _check(self) -> None:
        for cell in self.cells:
            if cell.id in self.state.checks or self.state.dead(cell):
                continue
            self.told(f"one frame of {cell.key}")
            fields = self._refused(cell) or self._one_frame(cell)
            self.add("check", cell=cell.id, **fields)

    def _refused(self, cell: PlannedCell) -> dict[str, object] | None:
        affinity = self.session.found.affinity
        cores = len(affinity) if affinity else self.session.identity.cores
        reason = self.session.refused.get(cell.key.runtime, "")
        if cell.key.threads > cores:
            which = f"{cores} of the device's cores" if affinity else f"a device with {cores} cores"
            reason = f"{cell.key.threads} threads on {which}."
        return {"outcome": Outcome.UNSUPPORTED, "reason": reason} if reason else None

    def _one_frame(self, cell: PlannedCell) -> dict[str, object]:
        job = self.job(cell, "check", images=self.some_images()[:1], deadline_s=self.target.settings.deadline_s)
        result = self.session.run(job)
        self.session.forget(job)
        other = _other_version(cell.key, result)
        return {
            "outcome": Outcome.UNSUPPORTED if other else result.outcome,
            "reason": other or result.reason,
            "facts": result.facts,
            "frame_ms": result.times_ns.get("first_frame", 0) / 1e6,
        }

    # -- memory, accuracy, operators

    def _memory(self) -> None:
        for cell in self.cells:
            if cell.id in self.state.memory or self.state.dead(cell):
                continue
            if why := NO_MEMORY.get(self.target.settings.emulator):
                memory = Memory(outcome=Outcome.OK, reason=why)
                self.add("memory", cell=cell.id, memory=memory.model_dump(mode="json"))
                continue
            self.told(f"memory of {cell.key}")
            frames = method.MEMORY_FRAMES
            job = self.job(
                cell,
                "memory",
                images=self.some_images(),
                min_frames=frames,
                deadline_s=self.deadline(cell, frames),
            )
            result = self.session.run(job)
            self.add("memory", cell=cell.id, memory=_memory_of(result).model_dump(mode="json"))
            self.session.forget(job)
            self.progress.advance(self.target.name, 1.0)

    def _accuracy(self) -> None:
        scoring.score(self, self._feed, "accuracy", self.state.accuracy)
        if self._validation:
            scoring.score(self, self._validation, "validation", self.state.validation)

    def _operators(self) -> None:
        for cell in self.cells if self.plan.operators else ():
            if cell.id in self.state.operators or self.state.dead(cell):
                continue
            self.told(f"operators of {cell.key}")
            job = self.job(cell, "profile", images=self.some_images(), min_frames=64, min_s=0.0)
            result = self.session.run(replace(job, deadline_s=self.deadline(cell, 128)))
            rows = [OperatorTime.model_validate(vars(row)).model_dump() for row in result.operators]
            self.add("operators", cell=cell.id, operators=rows, reason=result.reason)
            self.session.forget(job)
            self.progress.advance(self.target.name, 1.0)

    def _peers(self) -> None:
        """Have the user's own tool measure the models that it reads, once for each number of threads."""
        native, found = self.target.settings.native, self.session.found
        for cell in self.cells if native else ():
            name, threads = cell.key.variant, cell.key.threads
            variant = self.plan.variant(name)
            if (
                native is None
                or variant.info.format != "tflite"
                or (name, threads) in self.state.peers[self.target.name]
            ):
                continue
            self.told(f"{peers.TOOL} with {name}")
            words, frames = peers.options(self.method, threads), self.method.warmup_frames + self.method.round_frames
            seconds = self.deadline(cell, frames) + self.method.warmup_s + self.method.round_s
            peer = peers.measure(self.session, native, variant.files[0].path, words, found.affinity, seconds)
            fields = {"target": self.target.name, "variant": name, "threads": threads}
            self.add("peer", **fields, peer=peer.model_dump(mode="json"))

    def auc(self, cell: PlannedCell) -> float | None:
        """Return the AUC of a cell's scores, None where it has none yet."""
        known = self.state.accuracy.get(cell.scores_id)
        if known is None or known.scores is None:
            return None
        with (self.journal.folder / "scores" / known.scores).open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        scores = [float(row["score"]) for row in rows]
        if not all(map(math.isfinite, scores)):
            return None
        return metrics.roc_auc([row["label"] == "fake" for row in rows], scores)

    # -- jobs

    def job(self, cell: PlannedCell, kind: str, **settings: object) -> Job:
        """Return the job of a pass of a cell; `settings` are further fields of Job."""
        variant = self.plan.variant(cell.key.variant)
        command = self.session.command(cell.key.runtime)
        affinity = self.session.found.affinity
        where = {"command": command, "affinity": list(affinity) if affinity else None}
        return job_for(self.target, variant, cell.key, kind, **{"faces": self._feed.sha256, **where, **settings})

    def deadline(self, cell: PlannedCell, frames: int) -> float:
        """Return the most seconds that so many frames of a cell may take, its start included."""
        check = self.state.checks.get(cell.id)
        return self.target.settings.deadline_s + SLOWEST * frames * (check.frame_ms if check else 0.0) / 1000

    def some_images(self) -> list[str]:
        """Return pictures for timing, spread over the set so that labels and categories are mixed."""
        paths = self._images()
        return paths[:: max(1, len(paths) // LATENCY_IMAGES)][:LATENCY_IMAGES]

    def _images(self) -> list[str]:
        """Return the members of the pack that this target is fed, in the plan's order."""
        return self._feed.images

    def kept(self, job: Job, result: JobResult, folder: str, name: str) -> str | None:
        """Fetch `folder`.npy of a result into the run's folder and return its name; None where there is none."""
        array = next((entry for entry in result.arrays if entry.name == f"{folder}.npy"), None)
        if array is None:
            return None
        path = files.make_folder(self.journal.folder / folder) / name
        self.session.fetch(job, array, path)
        try:
            np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:  # its digest is only what the device says of it
            raise ProtocolError(f"{array.name} of {self.target.name} is no array: {error}.") from error
        return name


def _other_version(key: Key, result: JobResult) -> str:
    """Return a sentence where another version of the runtime ran than the one that the run names."""
    wanted, ran = runtime_of(key.runtime), result.facts.get("runtime_version", "")
    if result.outcome != Outcome.OK or not wanted.version or ran == wanted.version:
        return ""
    return f"version {wanted.version} of {wanted.name} was asked for, and the device runs {ran}."


def job_for(target: Target, variant: PlannedVariant, key: Key, kind: str, **settings: object) -> Job:
    """Return the job of one pass, as its target's profile wants it; `settings` are further fields of Job."""
    profile, (provider, options) = target.settings, provider_of(key.provider)
    fields: dict[str, object] = {
        "token": f"{kind}-{secrets.token_hex(8)}",
        "kind": kind,
        "model": [protocol.StoredFile(file.name, file.sha256) for file in variant.files],
        "runtime": runtime_of(key.runtime).name,
        "provider": provider,
        "options": options,
        "threads": key.threads,
        "input": variant.input,
        "output": variant.output,
        "affinity": list(profile.affinity) if profile.affinity else None,
        "memory_limit_mb": profile.memory_limit_mb,
        "engines": compiles(key.runtime, key.provider),
        "allow_fallback": profile.allow_fallback,
        "vitals": watch.asked(target),
    }
    return Job(**{**fields, **settings})  # type: ignore[arg-type]


def _memory_of(result: JobResult) -> Memory:
    phases = [
        Phase(phase=name, vm_hwm_mb=sizes.get("vm_hwm"), pss_mb=sizes.get("pss"))
        for name in protocol.PHASES
        if (sizes := result.memory_mb.get(name)) is not None
    ]
    return Memory(outcome=Outcome(result.outcome), reason=result.reason, phases=tuple(phases))
