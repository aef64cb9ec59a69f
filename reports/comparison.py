"""A candidate's cell against its baseline's, both measured in one session: figure by figure, then one decision.

    found = compare(candidate, baseline, gates)        per cell, of what the first session measured
    found = settled(found, again)                      over all cells, with what the second session measured

Times are judged on real devices only; an emulator's instructions, decisions and file sizes are exact, so that they are
judged by a tolerance and need no second session. Every function is pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from reports import decide, paired
from reports.decide import Rule
from reports.paired import Scored
from reports.records import Comparison, Confirmation, Decision, Flips, Gate, Gates

# Figure of a comparison -> its name in the history and in acceptances.
METRICS = {
    "p50": "p50_ms",
    "p95": "p95_ms",
    "auc": "auc",
    "flips": "auc",
    "instructions": "instructions",
    "size": "size_mb",
}

Medians = Mapping[tuple[int, int], float]  # place of a round (visit, number) -> its p50, in any unit


@dataclass(frozen=True)
class Rounds:
    """The rounds of a cell that count.

    Attributes:
        p50: place -> median of the end-to-end times.
        p95: the same of the tail, of rounds with enough frames to have one.
    """

    p50: Medians = field(default_factory=dict)
    p95: Medians = field(default_factory=dict)


@dataclass(frozen=True)
class Side:
    """What is compared of one cell; None where it was not measured."""

    cell: str
    bytes: int
    emulated: bool = False
    rounds: Rounds = Rounds()
    scored: Scored | None = None
    instructions: float | None = None  # a frame's inference
    trouble: str = ""  # why the cell is not ok


def ratios(candidate: Medians, baseline: Medians) -> list[float]:
    """Return candidate / baseline of the rounds that both have in one visit of the device, in their order."""
    shared = sorted(candidate.keys() & baseline.keys())
    return [candidate[place] / baseline[place] for place in shared if baseline[place] > 0 and candidate[place] > 0]


def rules(gates: Gates, alarm: float = decide.ALARM) -> dict[str, Rule]:
    """Return the rules of the figures that are decided on rounds."""
    return {"p50": Rule(margin=gates.margin, alarm=alarm), "p95": Rule(margin=gates.tail_margin, alarm=alarm)}


def compare(candidate: Side, baseline: Side, gates: Gates, seed: int = 0) -> Comparison:
    """Return the comparison of two cells as their first session leaves it: what is flagged is not confirmed yet."""
    trouble = candidate.trouble or baseline.trouble
    if trouble:
        who = "the candidate" if candidate.trouble else "the baseline"
        return _undecided(candidate, baseline, f"{who} was not measured: {trouble}")
    found, flipped = _judged(candidate, baseline, gates, seed)
    main = next((gate for gate in found if gate.gate in ("p50", "instructions") and gate.decision), None)
    times = next((gate for gate in found if gate.gate == "p50"), None)
    first = decide.decide(ratios(candidate.rounds.p50, baseline.rounds.p50), rules(gates)["p50"])
    decision = _overall(found, main)
    return Comparison(
        cell=candidate.cell,
        baseline=baseline.cell,
        decision=decision,
        confirmed=_confirmed(found, ()),
        pairs=times.n if times else 0,
        mdc=None if candidate.emulated else first.mdc,
        gates=tuple(found),
        flips=flipped,
        reason=_reason(found),
        next_step=_next_step(decision, first.needed, candidate.emulated),
    )


def unchanged(cell: str) -> Comparison:
    """Return the comparison of a cell whose files are the baseline's own."""
    return Comparison(
        cell=cell, baseline="", decision=Decision.SAME, reason="the files are the baseline's own: not measured twice"
    )


def _undecided(candidate: Side, baseline: Side, reason: str) -> Comparison:
    return Comparison(
        cell=candidate.cell, baseline=baseline.cell, decision=Decision.UNDECIDED, reason=reason, next_step="see its row"
    )


def _judged(candidate: Side, baseline: Side, gates: Gates, seed: int) -> tuple[list[Gate], Flips | None]:
    emulated = candidate.emulated
    found = [] if emulated else list(_times(candidate.rounds, baseline.rounds, gates))
    flipped = None
    if candidate.scored and baseline.scored and paired.same_faces(candidate.scored, baseline.scored):
        flipped = paired.flips(candidate.scored, baseline.scored)
        found += _auc(candidate.scored, baseline.scored, gates, seed)
        found.append(_flips(flipped, gates, emulated))
    if emulated and candidate.instructions and baseline.instructions:
        found.append(_exact("instructions", candidate.instructions, baseline.instructions, gates.instructions, True))
    found.append(_exact("size", float(candidate.bytes), float(baseline.bytes), gates.size, emulated))
    return found, flipped


# --- times ---


def _times(candidate: Rounds, baseline: Rounds, gates: Gates) -> Iterable[Gate]:
    for name, rule in rules(gates).items():
        mine, theirs = getattr(candidate, name), getattr(baseline, name)
        pairs = ratios(mine, theirs)
        if pairs or name == "p50":
            gate = _time(name, decide.decide(pairs, rule), rule)
            yield _if_able(gate, decide.decide(pairs, rule), rule) if name == "p95" else gate


def slower(candidate: Rounds, baseline: Rounds, gates: Gates) -> list[str]:
    """Return the times that call a candidate slower: "p50", "p95"."""
    return [gate.gate for gate in _times(candidate, baseline, gates) if gate.decision is Decision.REGRESSION]


def _time(name: str, found: decide.Decided, rule: Rule) -> Gate:
    reason = f"{found.pairs} pairs of rounds" if found.low is not None else f"{found.pairs} of {rule.looks[0]} pairs"
    return Gate.model_validate(
        {
            "gate": name,
            "kind": "ratio",
            "value": found.ratio,
            "ci_low": found.low,
            "ci_high": found.high,
            "p": found.p,
            "limit": 1 + rule.margin,
            "n": found.pairs,
            "decision": found.decision,
            "reason": reason,
        }
    )


def _if_able(gate: Gate, found: decide.Decided, rule: Rule) -> Gate:
    """Return the gate of a tail, not judged where its noise could not show a change by the margin."""
    if found.mdc is not None and found.mdc <= rule.margin:
        return gate
    able = "too few rounds" if found.mdc is None else f"could only show {found.mdc:+.0%}".replace("%", " %")
    return gate.model_copy(update={"decision": None, "reason": f"not judged: {able}"})


# --- accuracy ---


def _auc(candidate: Scored, baseline: Scored, gates: Gates, seed: int) -> Iterable[Gate]:
    found = paired.areas(candidate, baseline, seed)
    if found is None:
        return
    shift = paired.shift(found, gates.auc)
    decision, reason = _auc_decision(found.difference, shift, gates.auc)
    yield Gate(
        gate="auc",
        kind="difference",
        candidate=found.mine,
        baseline=found.theirs,
        value=found.difference,
        ci_low=shift.low if shift else None,
        ci_high=shift.high if shift else None,
        p=shift.p if shift else None,
        limit=-gates.auc,
        n=len(candidate.paths),
        decision=decision,
        reason=reason,
    )


def _auc_decision(value: float, shift: paired.Shift | None, margin: float) -> tuple[Decision | None, str]:
    if shift is None:
        return None, "not judged: the faces come in too few groups"
    if abs(value) >= margin / 2 and (shift.high < 0 or shift.low > 0):
        return (Decision.REGRESSION if value < 0 else Decision.IMPROVEMENT), ""
    return (Decision.SAME, "") if shift.excluded else (Decision.UNDECIDED, "more faces would decide")


def _flips(found: Flips, gates: Gates, emulated: bool) -> Gate:
    """Return the gate of decisions: on an emulator by a share, else by whether faces turn wrong more than right."""
    share = found.count / found.faces
    if emulated:
        decision = Decision.REGRESSION if share > gates.flips else Decision.SAME
    else:
        decision = Decision.REGRESSION if found.p < decide.ALARM else Decision.SAME
    return Gate(
        gate="flips",
        kind="share",
        value=share,
        p=None if emulated else found.p,
        limit=gates.flips,
        n=found.faces,
        decision=decision,
        reason=f"{found.count} of {found.faces} faces, {found.worse} to wrong, {found.better} to right",
    )


# --- counts ---


def _exact(name: str, mine: float, theirs: float, tolerance: float, judged: bool) -> Gate:
    ratio = mine / theirs if theirs else 1.0
    decision = Decision.SAME
    if abs(ratio - 1) > tolerance:
        decision = Decision.REGRESSION if ratio > 1 else Decision.IMPROVEMENT
    return Gate.model_validate(
        {
            "gate": name,
            "kind": "ratio",
            "candidate": mine,
            "baseline": theirs,
            "value": ratio,
            "limit": 1 + tolerance,
            "n": 1,
            "decision": decision if judged else None,
            "reason": "" if judged else "told, not judged, on a real device",
        }
    )


# --- the decision ---


def _overall(found: Sequence[Gate], main: Gate | None) -> Decision:
    if any(gate.decision is Decision.REGRESSION for gate in found):
        return Decision.REGRESSION
    if main is not None:
        return main.decision or Decision.UNDECIDED
    judged = [gate.decision for gate in found if gate.decision]
    return Decision.SAME if Decision.SAME in judged else Decision.UNDECIDED


def _confirmed(found: Sequence[Gate], confirmations: Sequence[Confirmation]) -> bool | None:
    """Return whether what is flagged holds: what is counted does, what is timed where a second session agrees."""
    flagged = [gate.gate for gate in found if gate.decision is Decision.REGRESSION]
    if not flagged:
        return None
    if any(name not in ("p50", "p95") for name in flagged) or any(entry.confirmed for entry in confirmations):
        return True
    return False if confirmations else None


def red(found: Comparison) -> list[Gate]:
    """Return the figures of a comparison that are red: counted ones, and times that a second session confirmed."""
    confirmed = {entry.gate for entry in found.confirmations if entry.confirmed}
    flagged = [gate for gate in found.gates if gate.decision is Decision.REGRESSION]
    return [gate for gate in flagged if gate.gate not in ("p50", "p95") or gate.gate in confirmed]


def flagged_times(found: Comparison) -> list[str]:
    """Return the times of a comparison that a second session must confirm."""
    return [gate.gate for gate in found.gates if gate.gate in ("p50", "p95") and gate.decision is Decision.REGRESSION]


def _reason(found: Sequence[Gate]) -> str:
    named = [gate for gate in found if gate.decision is Decision.REGRESSION] or [
        gate for gate in found if gate.decision in (Decision.IMPROVEMENT, Decision.UNDECIDED)
    ]
    return "; ".join(sentence(gate) for gate in named)


def sentence(gate: Gate) -> str:
    """Return a figure and what changed: "p50 +5.1 % (+4.2 to +6.0 %)"."""
    if gate.value is None:
        return f"{gate.gate}: {gate.reason}"
    if gate.kind == "share":
        return f"decisions flip: {gate.reason}"
    if gate.kind == "difference":
        ends = "" if gate.ci_low is None else f" ({gate.ci_low:+.4f} to {gate.ci_high:+.4f})"
        return f"{gate.gate.upper()} {gate.value:+.4f}{ends}"
    ends = (
        "" if gate.ci_low is None or gate.ci_high is None else f" ({_change(gate.ci_low)} to {_change(gate.ci_high)})"
    )
    return f"{gate.gate} {_change(gate.value)}{ends}"


def _change(ratio: float) -> str:
    return f"{100 * (ratio - 1):+.{1 if abs(ratio - 1) >= 0.0095 else 2}f} %"


def _next_step(decision: Decision, needed: int | None, emulated: bool) -> str:
    if decision is not Decision.UNDECIDED or emulated:
        return ""
    if needed is None:
        return "quiet the device: with this noise no number of rounds that is ever looked at would decide"
    return f"about {needed} pairs of rounds would decide: a larger --budget"


# --- the second session ---


def settled(found: Sequence[Comparison], again: Mapping[str, tuple[Rounds, Rounds]], gates: Gates) -> list[Comparison]:
    """Return the comparisons with what the second session said of those that were flagged.

    Args:
        found: of the first session.
        again: cell -> candidate's and baseline's rounds of the second session; cells that had none are not confirmed.
        gates: the margins.

    Over all flagged times the Benjamini-Hochberg procedure keeps the share of false ones among the red at `decide.RED`.
    """
    tried = [
        (entry.cell, name, decide.decide(ratios(*(getattr(side, name) for side in again[entry.cell])), rule))
        for entry in found
        if entry.cell in again
        for name, rule in rules(gates, alarm=decide.RED).items()
        if name in flagged_times(entry)
    ]
    tried = [row for row in tried if row[2].p is not None]  # fewer pairs than the first look: nothing was tested
    chances = decide.adjusted([1.0 if result.p is None else result.p for _, _, result in tried])
    rows: dict[str, list[Confirmation]] = {}
    for (cell, name, result), chance in zip(tried, chances, strict=True):
        agreed = chance <= decide.RED and result.decision is Decision.REGRESSION
        row = {"gate": name, "value": result.ratio, "p": result.p, "pairs": result.pairs}
        confirmation = Confirmation.model_validate({**row, "p_adjusted": chance, "confirmed": agreed})
        rows.setdefault(cell, []).append(confirmation)
    return [_with(entry, rows.get(entry.cell, [])) for entry in found]


def _with(entry: Comparison, confirmations: Sequence[Confirmation]) -> Comparison:
    confirmed = _confirmed(entry.gates, confirmations)
    update: dict[str, object] = {"confirmations": tuple(confirmations), "confirmed": confirmed}
    if confirmed is False:
        update |= {
            "decision": Decision.UNDECIDED,
            "reason": f"{entry.reason}; a second session did not agree",
            "next_step": "sessions differ by more than their rounds show: look at the device's clocks and heat",
        }
    elif entry.decision is Decision.REGRESSION and confirmed is None:
        update |= {
            "reason": f"{entry.reason}; no second session was held to its end, so nothing is red",
            "next_step": "edgerig resume where the run was cut short, else run it again",
        }
    return entry.model_copy(update=update)


__all__ = ["Rounds", "Side", "compare", "flagged_times", "ratios", "rules", "sentence", "settled", "unchanged"]
