"""What is known of a run: its journal, read into one object that measuring adds to and collecting reads."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from edgerig.errors import RunError
from harness import journal
from harness.agent.protocol import Identity
from harness.journal import Event
from harness.planning.plan import Plan, PlannedCell
from reports import taint
from reports.records import Accuracy, Memory, Night, OperatorTime, Outcome, Peer, RealTime, Round, Sustained


@dataclass(frozen=True)
class Check:
    """What one frame of a cell showed."""

    outcome: Outcome
    reason: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    frame_ms: float = 0.0  # end to end


@dataclass(frozen=True)
class Build:
    """What became of a model that a provider compiles; `ms` is 0 where the engine was there."""

    outcome: Outcome
    reason: str = ""
    ms: float = 0.0


@dataclass
class State:
    """A run so far; `plan` first, the rest by target, cell or accuracy pass. Several threads may add to it."""

    plan: Plan
    identities: dict[str, Identity] = field(default_factory=dict)
    found: dict[str, dict[str, str]] = field(default_factory=dict)
    builds: dict[str, Build] = field(default_factory=dict)  # by accuracy pass: thread counts share an engine
    checks: dict[str, Check] = field(default_factory=dict)
    rounds: dict[str, list[Round]] = field(default_factory=lambda: defaultdict(list))
    again: dict[str, list[Round]] = field(default_factory=lambda: defaultdict(list))  # of a second session
    cached: dict[str, str] = field(default_factory=dict)  # emulated cell -> the run that measured it
    memory: dict[str, Memory] = field(default_factory=dict)
    accuracy: dict[str, Accuracy] = field(default_factory=dict)
    validation: dict[str, Accuracy] = field(default_factory=dict)
    operators: dict[str, tuple[OperatorTime, ...]] = field(default_factory=dict)
    peers: dict[str, dict[tuple[str, int], Peer]] = field(default_factory=lambda: defaultdict(dict))
    sustained: dict[str, Sustained] = field(default_factory=dict)
    realtime: dict[str, RealTime] = field(default_factory=dict)
    settings: dict[str, dict[str, str]] = field(default_factory=dict)  # target -> name -> in words
    lost: dict[str, str] = field(default_factory=dict)
    visits: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # target -> times that it was reached
    skipped: dict[str, str] = field(default_factory=dict)  # cell -> why it was left out this time
    dropped: dict[str, str] = field(default_factory=dict)  # cell -> why it dropped out of the race
    warnings: list[str] = field(default_factory=list)
    finished: str | None = None
    night: Night | None = None
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, event: Event) -> None:
        """Take in one event of the journal; unknown ones are left to newer versions."""
        handler = _HANDLERS.get(event["event"])
        if handler:
            with self.lock:
                handler(self, event)

    def dead(self, cell: PlannedCell) -> bool:
        """Whether measuring this cell any further is pointless."""
        check, build = self.checks.get(cell.id), self.builds.get(cell.scores_id)
        if build is not None and build.outcome is not Outcome.OK:
            return True
        failed_round = any(entry.outcome is not Outcome.OK for entry in self.rounds[cell.id])
        return bool(cell.unsupported) or failed_round or (check is not None and check.outcome is not Outcome.OK)

    def judged(self, cell: PlannedCell) -> tuple[Round, ...]:
        """Return the rounds of a cell, each with the reason why it does not count."""
        return self._judged(cell, self.rounds)

    def paired(self, cell: PlannedCell, *, again: bool = False) -> tuple[Round, ...]:
        """Return the rounds of a cell, or of its second session, that is compared with another one.

        Whoever shares the processor disturbs both sides of a pair alike, which is noise that the comparison accounts
        for; on a machine where somebody always does, nothing could be decided otherwise.
        """
        return self._judged(cell, self.again if again else self.rounds, company=False)

    def _judged(
        self, cell: PlannedCell, known: Mapping[str, Sequence[Round]], company: bool = True
    ) -> tuple[Round, ...]:
        rounds = known.get(cell.id, [])
        profile = next(target for target in self.plan.targets if target.name == cell.key.target).settings
        if profile.emulated:  # its clocks and processors are another machine's
            return tuple(rounds)
        return taint.judged(rounds, profile.heat.start_c if profile.heat else None, company=company)


def _target(state: State, event: Event) -> None:
    state.identities[event["target"]] = TypeAdapter(Identity).validate_python(event["identity"])
    state.found[event["target"]] = event.get("found", {})
    state.lost.pop(event["target"], None)  # it is back, and what was left out is tried again
    state.visits[event["target"]] += 1
    if event.get("again"):  # the second session of the same visit
        return
    for cell in state.plan.cells_on(event["target"]):
        state.skipped.pop(cell.id, None)


def _build(state: State, event: Event) -> None:
    state.builds[event["scores_id"]] = Build(Outcome(event["outcome"]), event["reason"], event["ms"])


def _check(state: State, event: Event) -> None:
    fields = {key: event[key] for key in ("reason", "facts", "frame_ms") if key in event}
    state.checks[event["cell"]] = Check(outcome=Outcome(event["outcome"]), **fields)


def _round(state: State, event: Event) -> None:
    state.rounds[event["cell"]].append(Round.model_validate(event["round"]))


def _again(state: State, event: Event) -> None:
    state.again[event["cell"]].append(Round.model_validate(event["round"]))


def _cached(state: State, event: Event) -> None:
    state.cached[event["cell"]] = event["run"]


def _memory(state: State, event: Event) -> None:
    state.memory[event["cell"]] = Memory.model_validate(event["memory"])


def _accuracy(state: State, event: Event) -> None:
    state.accuracy[event["scores_id"]] = Accuracy.model_validate(event["accuracy"])


def _validation(state: State, event: Event) -> None:
    state.validation[event["scores_id"]] = Accuracy.model_validate(event["accuracy"])


def _operators(state: State, event: Event) -> None:
    state.operators[event["cell"]] = TypeAdapter(tuple[OperatorTime, ...]).validate_python(event["operators"])


def _peer(state: State, event: Event) -> None:
    state.peers[event["target"]][event["variant"], event["threads"]] = Peer.model_validate(event["peer"])


def _sustained(state: State, event: Event) -> None:
    state.sustained[event["cell"]] = Sustained.model_validate(event["sustained"])


def _realtime(state: State, event: Event) -> None:
    state.realtime[event["cell"]] = RealTime.model_validate(event["realtime"])


def _lost(state: State, event: Event) -> None:
    state.lost[event["target"]] = event["reason"]


def _settings(state: State, event: Event) -> None:
    state.settings[event["target"]] = dict(event["settings"])


def _skipped(state: State, event: Event) -> None:
    state.skipped[event["cell"]] = event["reason"]


def _dropped(state: State, event: Event) -> None:
    state.dropped[event["cell"]] = event["reason"]


def _warning(state: State, event: Event) -> None:
    if event["text"] not in state.warnings:  # a resumed run meets the same again
        state.warnings.append(event["text"])


def _finished(state: State, event: Event) -> None:
    state.finished = event["at"]


def _night(state: State, event: Event) -> None:
    state.night = Night.model_validate(event["night"])


_HANDLERS: dict[str, Any] = {
    "target": _target,
    "build": _build,
    "check": _check,
    "round": _round,
    "again": _again,
    "cached": _cached,
    "memory": _memory,
    "accuracy": _accuracy,
    "validation": _validation,
    "operators": _operators,
    "peer": _peer,
    "sustained": _sustained,
    "realtime": _realtime,
    "settings": _settings,
    "lost": _lost,
    "skipped": _skipped,
    "dropped": _dropped,
    "warning": _warning,
    "finished": _finished,
    "night": _night,
}


def read(folder: Path) -> State:
    """Return what is known of the run in `folder`; raises RunError where its journal is missing or damaged."""
    events = journal.read(folder)
    if not events or events[0]["event"] != "run":
        raise RunError(f"the journal of {folder} does not begin with a plan.", "Nothing was measured: start a new run.")
    try:
        return of(Plan.model_validate(events[0]["plan"]), events[1:])
    except (LookupError, TypeError, ValueError) as error:
        raise _strange(folder, events[0], error) from error


def _strange(folder: Path, first: Event, error: Exception) -> RunError:
    """Return what to say of events that are none of ours, such as those of another version."""
    why = f"{type(error).__name__}: {error}"
    if isinstance(error, ValidationError):
        problem = error.errors()[0]
        why = f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
    plan = first.get("plan")
    version = plan.get("edgerig") if isinstance(plan, dict) else None
    return RunError(
        f"the journal of {folder} is not understood ({why}).",
        f"It is damaged, or of another version: edgerig {version or '?'} wrote it.",
    )


def of(plan: Plan, events: Iterable[Event] = ()) -> State:
    """Return the state of a plan after these events."""
    state = State(plan, warnings=list(plan.warnings))
    for event in events:
        state.add(event)
    return state
