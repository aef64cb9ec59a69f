"""What a night means: its findings in sentences, what was accepted, and the exit code. Pure: the day is given.

1 outranks 3: a regression or broken budget is red whatever else is missing. A device that may be missing is a note.
A cell that has not reported for some nights is an alarm that no `missing_ok` excuses.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from reports.history import NO_REPORT, Known
from reports.patterns import path
from reports.records import Acceptance, Cell, Decision, Finding, Key, Night, Outcome, Run
from reports.worse import Worse

LOUD = ("red", "alarm", "not ok")  # levels of findings that make a night not good
FIGURES_ONLY = frozenset({"regression", "budget"})  # what an acceptance without a metric is about
_BAD = (Outcome.FAILED, Outcome.CRASHED, Outcome.TIMEOUT, Outcome.OUT_OF_MEMORY)


@dataclass(frozen=True)
class Silent:
    """A cell that has not reported for so many nights, this one included; `last` is the day when it did, or ""."""

    cell: str  # id
    key: Key
    nights: int
    last: str


@dataclass(frozen=True)
class Facts:
    """What a night is judged by, besides its run.

    Attributes:
        job: [runs.NAME], "" for none.
        baseline: the run that it was compared with, "" for none.
        worse: regressions and broken budgets.
        silent: cells that have not reported for too long.
        accepted: all acceptances, the oldest first.
        groups: what targets hang on, a hub or a host, by target.
        missing_ok: how many targets may be missing, or which.
    """

    job: str = ""
    baseline: str = ""
    worse: Sequence[Worse] = ()
    silent: Sequence[Silent] = ()
    accepted: Sequence[Acceptance] = ()
    groups: Mapping[str, str] = field(default_factory=dict)
    missing_ok: int | tuple[str, ...] = 0


def judge(run: Run, facts: Facts, now: datetime) -> Night:
    """Return what the night means on the day of `now`, which carries its time zone."""
    keys = {cell.id: cell.key for cell in run.cells} | {entry.cell: entry.key for entry in facts.silent}
    word = _Accepted(facts.accepted, keys, now.date())
    findings = [word.applied(finding) for finding in _findings(run, facts)]
    return Night(
        job=facts.job,
        judged=now.isoformat(timespec="seconds"),
        baseline=facts.baseline,
        exit_code=_exit_code(run, findings),
        findings=tuple(sorted(findings, key=lambda finding: {1: 0, 3: 1}.get(finding.exit_code, 2))),
        accepted=tuple(word.used),
    )


def _exit_code(run: Run, findings: Iterable[Finding]) -> int:
    """Return the code that outranks the others: 4, 1, 3, 0."""
    if not any(cell.outcome is Outcome.OK for cell in run.candidates):
        return 4
    codes = {finding.exit_code for finding in findings}
    return next((code for code in (1, 3) if code in codes), 0)


def _findings(run: Run, facts: Facts) -> Iterator[Finding]:
    yield from _compared(run, facts)
    yield from _failed(run)
    yield from _lost(run, facts)
    yield from _silent(facts.silent)


def _compared(run: Run, facts: Facts) -> Iterator[Finding]:
    if not facts.baseline:
        name = f"'{facts.job}'" if facts.job else "this name"
        text = f"Nothing was compared: no run of {name} is promoted yet. Next: edgerig baseline promote {run.id}"
        yield Finding(kind="baseline", exit_code=0, text=text)
    yield from _undecided(run)
    for entry in facts.worse:
        yield Finding(kind=entry.kind, exit_code=1, text=entry.text, cells=(entry.cell,), metric=entry.metric)


def _undecided(run: Run) -> Iterator[Finding]:
    """Yield notes on comparisons that are neither good nor red."""
    unconfirmed = [entry for entry in run.comparisons if entry.decision is Decision.REGRESSION and not entry.red]
    undecided = [entry for entry in run.comparisons if entry.decision is Decision.UNDECIDED]
    for entry in unconfirmed:
        text = f"{path(run.cell(entry.cell).key)}: slower in one session, not confirmed by a second one: not red."
        yield Finding(kind="baseline", exit_code=0, text=text, cells=(entry.cell,))
    if undecided:
        text = (
            f"{len(undecided)} of {len(run.comparisons)} comparisons are undecided; the report says what would decide."
        )
        yield Finding(kind="baseline", exit_code=0, text=text, cells=tuple(entry.cell for entry in undecided))


def _failed(run: Run) -> Iterator[Finding]:
    """Yield one finding for the cells of a target that failed alike."""
    alike: dict[tuple[str, Outcome, str], list[Cell]] = defaultdict(list)
    for cell in run.cells:
        if cell.outcome in _BAD:
            alike[cell.key.target, cell.outcome, cell.reason].append(cell)
    for (target, outcome, reason), cells in alike.items():
        who = path(cells[0].key) if len(cells) == 1 else f"{len(cells)} cells on {target}"
        yield _missing("outcome", f"{who}: {outcome}" + (f", {reason}" if reason else ""), cells, "outcome")


def _missing(kind: str, text: str, cells: Iterable[Cell], metric: str) -> Finding:
    return Finding.model_validate(
        {"kind": kind, "exit_code": 3, "text": text, "cells": tuple(cell.id for cell in cells), "metric": metric}
    )


def sentence(night: Night) -> str:
    """Return what a night was, in one sentence."""
    name = f"The night of '{night.job}'" if night.job else "The night"
    levels = [finding.level for finding in night.findings]
    counts = [f"{levels.count(level)} {level}{'s' * (level == 'alarm' and levels.count(level) > 1)}" for level in LOUD]
    told = ", ".join(text for text in counts if not text.startswith("0 "))
    if night.exit_code == 4:
        return f"{name} measured nothing."
    accepted = sum(finding.kind == "accepted" for finding in night.findings)
    besides = f" {accepted} accepted." if accepted else ""
    if not told:
        return f"{name} is good.{besides}"
    return f"{name} is {'red' if 'red' in levels else 'incomplete'}: {told}.{besides}"


# -- devices


def _lost(run: Run, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each lost target, one for all that were lost with their hub or host."""
    reasons = {target.name: target.reason for target in run.targets if target.outcome is Outcome.LOST}
    for names in _incidents([target.name for target in run.targets], reasons, facts.groups):
        cells = [cell for cell in run.cells if cell.key.target in names and cell.outcome is Outcome.LOST]
        finding = _missing("lost", _lost_sentence(names, reasons, facts.groups), cells, "outcome")
        yield _allowed(finding) if _may_be_missing(names, reasons, facts.missing_ok) else finding


def _incidents(targets: Iterable[str], lost: Mapping[str, str], groups: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Return the lost targets, those together that share a group of which nothing is left."""
    members: dict[str, list[str]] = defaultdict(list)
    for name in targets:
        members[groups.get(name) or f"target {name}"].append(name)
    found: list[tuple[str, ...]] = []
    for names in members.values():
        gone = [name for name in names if name in lost]
        found += [tuple(gone)] if gone and len(gone) == len(names) else [(name,) for name in gone]
    return found


def _lost_sentence(names: Sequence[str], reasons: Mapping[str, str], groups: Mapping[str, str]) -> str:
    if len(names) == 1:
        return f"{names[0]} is lost: {reasons[names[0]]}"
    return f"{groups[names[0]]} is down, one incident: {', '.join(names)} are lost together ({reasons[names[0]]})"


def _may_be_missing(names: Sequence[str], lost: Mapping[str, str], missing_ok: int | tuple[str, ...]) -> bool:
    return len(lost) <= missing_ok if isinstance(missing_ok, int) else set(names) <= set(missing_ok)


def _allowed(finding: Finding) -> Finding:
    return finding.model_copy(update={"exit_code": 0, "text": f"{finding.text} It may be missing (missing_ok)."})


# -- silence


def _silent(silent: Sequence[Silent]) -> Iterator[Finding]:
    """Yield an alarm for the cells of a target that have been silent for as long."""
    alike: dict[tuple[str, int, str], list[Silent]] = defaultdict(list)
    for entry in silent:
        alike[entry.key.target, entry.nights, entry.last].append(entry)
    for (target, nights, last), entries in alike.items():
        who = path(entries[0].key) if len(entries) == 1 else f"{len(entries)} cells on {target}"
        verb = "has" if len(entries) == 1 else "have"
        since = f"last on {last}" if last else "never before"
        text = f"{who} {verb} not reported for {nights} nights ({since})."
        cells = tuple(entry.cell for entry in entries)
        yield Finding(kind="silent", exit_code=3, text=text, cells=cells, metric="silent")


# -- what was accepted


class _Accepted:
    """What people accepted, and which of it was used; the newest word on a cell and figure holds."""

    def __init__(self, accepted: Sequence[Acceptance], keys: Mapping[str, Key], today: date) -> None:
        self._words = {(entry.key, entry.metric): entry for entry in accepted}
        self._keys = keys
        self._today = today.isoformat()
        self.used: list[Acceptance] = []

    def applied(self, finding: Finding) -> Finding:
        """Return a finding as it is to be read: a note where all its cells are accepted, with what ran out else."""
        words = [self._word(cell, finding) for cell in finding.cells]
        known = list(dict.fromkeys(word for word in words if word))
        if not known or finding.exit_code == 0:
            return finding
        self.used += [word for word in known if word not in self.used]
        holds = all(word and word.until >= self._today for word in words)
        return _as_note(finding, known) if holds else _run_out(finding, [w for w in known if w.until < self._today])

    def _word(self, cell: str, finding: Finding) -> Acceptance | None:
        key = self._keys[cell]
        exact = self._words.get((key, finding.metric))
        return exact or (self._words.get((key, "")) if finding.kind in FIGURES_ONLY else None)


def _as_note(finding: Finding, words: Sequence[Acceptance]) -> Finding:
    told = "; ".join(f"accepted until {word.until} by {word.author}: {word.reason}" for word in words)
    return finding.model_copy(update={"kind": "accepted", "exit_code": 0, "text": f"{finding.text} ({told})"})


def _run_out(finding: Finding, words: Sequence[Acceptance]) -> Finding:
    told = "".join(f" The acceptance by {word.author} ran out on {word.until}." for word in words)
    return finding.model_copy(update={"text": f"{finding.text.rstrip('.')}.{told}"})


# -- silence, found


def silent(run: Run, known: Iterable[Known], nights: Sequence[str], limit: int) -> list[Silent]:
    """Return the cells that have not reported for `limit` nights or more, this one included.

    Args:
        run: this night's; a cell that is no longer in it has not reported.
        known: the cells of earlier nights of the job.
        nights: when those began, UTC.
        limit: nights, at least 1.
    """
    reported = {cell.id for cell in run.cells if cell.outcome not in NO_REPORT}
    found = [
        Silent(entry.cell, entry.key, 1 + _nights_since(entry, nights), entry.last[:10])
        for entry in known
        if entry.cell not in reported
    ]
    return [entry for entry in found if entry.nights >= limit]


def _nights_since(entry: Known, nights: Sequence[str]) -> int:
    return sum(night > entry.last if entry.last else night >= entry.first for night in nights)
