"""Two runs of two sessions held side by side: what may be said of them, which is little.

Nothing was measured beside anything, so that all that changed between the sessions is in the difference: the machine's
other work, its heat, where its memory lay. Between jobs 26 % was seen where rounds within a job agreed to .3 %. So no
word of a decision is used here, and nothing is red; a baseline inside the session decides (`reports.comparison`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from reports import decide, figures
from reports.records import Cell, Fingerprint, Key, Outcome, Record, Run

EXPECTED = frozenset({"model_sha256", "commit"})  # what a comparison is about
KEYS = tuple(name for name in Fingerprint.model_fields if name not in EXPECTED)
WORTH_A_WORD = 0.01  # of the ratio; below it a difference is called none, however sure it is

Seen = Literal["looks slower", "looks faster", "no difference seen", "cannot tell"]
Medians = Mapping[str, Sequence[float]]  # of the rounds that count, by cell


class Unlike(Record):
    """A key of the fingerprint that is not the same in both runs."""

    key: str
    candidate: str
    baseline: str
    allowed: bool = False


class Row(Record):
    """A cell that both runs have."""

    cell: str
    key: Key
    seen: Seen
    ratio: float | None = None  # p50, candidate / baseline
    ci_low: float | None = None  # 95 %, of what the rounds of both sessions tell
    ci_high: float | None = None
    p_adjusted: float | None = None  # two-sided, over all rows (Benjamini-Hochberg)
    auc: float | None = None  # candidate - baseline
    same_model: bool = False
    unlike: tuple[Unlike, ...] = ()
    reason: str = ""


class Across(Record):
    """Two runs side by side."""

    candidate: str  # id
    baseline: str
    rows: tuple[Row, ...]
    only_candidate: tuple[str, ...] = ()  # cells that the other run has not
    only_baseline: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()  # keys that differ, and were let pass
    note: str

    @property
    def refused(self) -> tuple[Unlike, ...]:
        """What differs and was not allowed, each key and pair of values once."""
        return tuple(dict.fromkeys(one for row in self.rows for one in row.unlike if not one.allowed))


NOTE = (
    "Two sessions: what lies between them (other work, heat, memory) is in these ratios and not in their intervals. "
    "To decide, measure both in one session: edgerig run --baseline RUN."
)


def across(candidate: Run, baseline: Run, mine: Medians, theirs: Medians, allow: Sequence[str] = ()) -> Across:
    """Return two runs side by side, cells matched by their names.

    Args:
        candidate: the one that is asked about.
        baseline: the other one.
        mine: medians of the candidate's rounds by cell.
        theirs: of the baseline's.
        allow: keys of the fingerprint that may differ.
    """
    there = {str(cell.key): cell for cell in baseline.candidates}
    here = {str(cell.key): cell for cell in candidate.candidates}
    rows = [_row(cell, there[name], mine, theirs, allow) for name, cell in here.items() if name in there]
    differing = {one.key for row in rows for one in row.unlike if one.allowed}
    return Across(
        candidate=candidate.id,
        baseline=baseline.id,
        rows=tuple(_judged(rows)),
        only_candidate=tuple(name for name in here if name not in there),
        only_baseline=tuple(name for name in there if name not in here),
        allowed=tuple(name for name in KEYS if name in differing),
        note=NOTE,
    )


def _row(cell: Cell, other: Cell, mine: Medians, theirs: Medians, allow: Sequence[str]) -> Row:
    bad = next((f"{one.outcome}: {one.reason}" for one in (cell, other) if one.outcome is not Outcome.OK), "")
    emulated = cell.verdict is not None and cell.verdict.trust == "emulated"
    found = None if bad or emulated else decide.apart(mine.get(cell.id, ()), theirs.get(other.id, ()))
    auc, before = cell.value("auc", "all"), other.value("auc", "all")
    return Row(
        cell=cell.id,
        key=cell.key,
        seen="cannot tell",
        ratio=found.ratio if found else None,
        ci_low=found.low if found else None,
        ci_high=found.high if found else None,
        p_adjusted=found.p if found else None,
        auc=auc - before if auc is not None and before is not None else None,
        same_model=_same_model(cell, other),
        unlike=tuple(unlike(cell.fingerprint, other.fingerprint, allow)),
        reason=bad or ("times of an emulator" if emulated else "" if found else "too few rounds"),
    )


def _same_model(cell: Cell, other: Cell) -> bool:
    if cell.fingerprint is None or other.fingerprint is None:
        return False
    return cell.fingerprint.model_sha256 == other.fingerprint.model_sha256


def unlike(mine: Fingerprint | None, theirs: Fingerprint | None, allow: Sequence[str] = ()) -> list[Unlike]:
    """Return the keys in which two fingerprints differ but should not; none where a cell has no fingerprint."""
    if mine is None or theirs is None:
        return []
    values = [(name, _text(getattr(mine, name)), _text(getattr(theirs, name))) for name in KEYS]
    return [
        Unlike(key=name, candidate=here, baseline=there, allowed=name in allow)
        for name, here, there in values
        if here != there
    ]


def _text(value: object) -> str:
    return "not known" if value in (None, "") else str(value)


def _judged(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with their chances adjusted, and a word for each that is no decision."""
    timed = [row for row in rows if row.p_adjusted is not None]
    chances = iter(decide.adjusted([row.p_adjusted for row in timed if row.p_adjusted is not None]))
    return [_with(row, next(chances)) if row.p_adjusted is not None else row for row in rows]


def _with(row: Row, chance: float) -> Row:
    seen: Seen = "no difference seen"
    if row.ratio is not None and chance <= decide.FDR and abs(math.log(row.ratio)) >= math.log1p(WORTH_A_WORD):
        seen = "looks slower" if row.ratio > 1 else "looks faster"
    return row.model_copy(update={"p_adjusted": chance, "seen": seen})


COLUMNS = ("cell", "what is seen", "p50", "95 % of the rounds", "AUC", "model")


def texts(row: Row) -> tuple[str, ...]:
    """Return a row as texts of COLUMNS."""
    ends = "" if row.ci_low is None or row.ci_high is None else f"{_change(row.ci_low)} to {_change(row.ci_high)}"
    seen = row.seen + (f" ({row.reason})" if row.reason else "")
    return (
        str(row.key),
        seen,
        figures.NONE if row.ratio is None else _change(row.ratio),
        ends,
        figures.NONE if row.auc is None else f"{row.auc:+.4f}",
        "the same" if row.same_model else "another",
    )


def _change(ratio: float) -> str:
    return f"{100 * (ratio - 1):+.1f} %"


def mark(found: Across) -> str:
    """Return the sentence that a comparison of unlike runs carries; "" where they are alike."""
    if not found.allowed:
        return ""
    pairs = {(one.key, one.candidate, one.baseline) for row in found.rows for one in row.unlike if one.allowed}
    told = "; ".join(f"{key}: {here}, before {there}" for key, here, there in sorted(pairs))
    return f"These runs are unlike, which was allowed. {told}."
