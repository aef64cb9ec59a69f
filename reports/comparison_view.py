"""Comparisons with a baseline as sentences and as rows, for every way to write a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reports import accepted, comparison, figures
from reports.comparison import sentence
from reports.records import Comparison, Decision, Gate, Run

COLUMNS = ("cell", "decision", "p50", "bounds", "pairs", "finds", "AUC", "flips", "why")

CSV_COLUMNS = (
    *("run", "target", "variant", "runtime", "provider", "threads", "baseline", "baseline_run"),
    *("decision", "confirmed", "red", "pairs", "min_detectable_change"),
    *("gate", "kind", "gate_decision", "value", "ci_low", "ci_high", "p", "limit", "n", "candidate_value"),
    *("baseline_value", "second_session_value", "second_session_p", "reason", "next_step"),
)

_NAMED = 3  # regressions that a headline names


@dataclass(frozen=True)
class Row:
    """A comparison as people read it."""

    cell: str
    word: str
    p50: str
    bounds: str
    pairs: str
    finds: str
    auc: str
    flips: str
    why: str
    step: str

    def texts(self) -> tuple[str, ...]:
        """Return the texts of COLUMNS."""
        return (self.cell, self.word, self.p50, self.bounds, self.pairs, self.finds, self.auc, self.flips, self.why)


def word(entry: Comparison) -> str:
    """Return the decision, and whether a second session stands behind it."""
    if entry.decision is Decision.REGRESSION and not entry.red:
        return "slower, not confirmed"
    return str(entry.decision)


def rows(run: Run) -> list[Row]:
    """Return a row a comparison: what is worst first."""
    order = list(Decision)
    ranked = sorted(run.comparisons, key=lambda entry: (not entry.red, order.index(entry.decision)))
    return [_row(run, entry) for entry in ranked]


def _row(run: Run, entry: Comparison) -> Row:
    gate = entry.gate("p50") or entry.gate("instructions")
    return Row(
        cell=str(run.cell(entry.cell).key),
        word=word(entry),
        p50=_what(gate),
        bounds=_bounds(gate),
        pairs=str(entry.pairs) if entry.pairs else figures.NONE,
        finds=f"+{figures.percent(entry.mdc)}" if entry.mdc else figures.NONE,
        auc=_signed(entry.gate("auc")),
        flips=f"{entry.flips.count} of {entry.flips.faces}" if entry.flips else figures.NONE,
        why="; ".join(part for part in (entry.reason, _second(entry)) if part),
        step=entry.next_step,
    )


def change(ratio: float) -> str:
    """Return a ratio as a change: 1.05 is "+5.0 %"."""
    return f"{100 * (ratio - 1):+.1f} %"


def _what(gate: Gate | None) -> str:
    if gate is None or gate.value is None:
        return figures.NONE
    return change(gate.value) + (" instructions" if gate.gate == "instructions" else "")


def _bounds(gate: Gate | None) -> str:
    if gate is None or gate.ci_low is None or gate.ci_high is None:
        return ""
    return f"{change(gate.ci_low)} to {change(gate.ci_high)}"


def _signed(gate: Gate | None) -> str:
    return figures.NONE if gate is None or gate.value is None else f"{gate.value:+.4f}"


def _second(entry: Comparison) -> str:
    told = (f"{one.gate} {change(one.value)}" for one in entry.confirmations if one.value)
    text = ", ".join(told)
    return f"second session: {text}" if text else ""


def against(run: Run) -> str:
    """Return what a run was compared with, in words."""
    if run.baseline is None:
        return ""
    commit = f", commit {run.baseline.commit}" if run.baseline.commit else ""
    return f"run {run.baseline.run}{commit}" if run.baseline.run else run.baseline.asked


def sentences(run: Run) -> list[str]:
    """Return what the comparisons say, the worst first; nothing where nothing was compared.

    What was accepted is only counted: `reports/accepted.py` says it.
    """
    if not run.comparisons:
        return []
    red = [entry for entry in run.comparisons if entry.red and not accepted.is_accepted(run, entry)]
    open_ = [entry for entry in run.comparisons if entry.decision is Decision.REGRESSION and not entry.red]
    found = [f"Regression: {_named(run, entry)}." for entry in red[:_NAMED]]
    if len(red) > _NAMED:
        found.append(f"{len(red) - _NAMED} more regressions.")
    found += [f"Slower, not confirmed: {_named(run, entry)}." for entry in open_[:_NAMED]]
    return [*found, _counts(run)]


def _named(run: Run, entry: Comparison) -> str:
    some = accepted.red(run, entry)
    if len(some) < len(comparison.red(entry)):
        return f"{run.cell(entry.cell).key}: {'; '.join(map(sentence, some))}"
    return f"{run.cell(entry.cell).key}: {entry.reason}"


def _counts(run: Run) -> str:
    words = ["accepted" if accepted.is_accepted(run, entry) else word(entry) for entry in run.comparisons]
    parts = [f"{words.count(name)} {name}" for name in dict.fromkeys(sorted(words))]
    plural = "s" if len(words) != 1 else ""
    return f"Compared with {against(run)}: {len(words)} cell{plural}, {', '.join(parts)}."


def csv_rows(run: Run) -> Iterator[Mapping[str, object]]:
    """Yield a row a compared figure, keys CSV_COLUMNS; a comparison without any has one row."""
    for entry in run.comparisons:
        base = _csv_base(run, entry)
        if not entry.gates:
            yield {name: base.get(name) for name in CSV_COLUMNS}
        for gate in entry.gates:
            second = next((one for one in entry.confirmations if one.gate == gate.gate), None)
            yield {
                **{name: base.get(name) for name in CSV_COLUMNS},
                **{
                    name: getattr(gate, name)
                    for name in ("gate", "kind", "value", "ci_low", "ci_high", "p", "limit", "n")
                },
                "gate_decision": gate.decision,
                "candidate_value": gate.candidate,
                "baseline_value": gate.baseline,
                "second_session_value": second.value if second else None,
                "second_session_p": second.p_adjusted if second else None,
                "reason": sentence(gate) if gate.decision else gate.reason,
            }


def _csv_base(run: Run, entry: Comparison) -> dict[str, object]:
    key = run.cell(entry.cell).key
    return {
        "run": run.id,
        **key.model_dump(),
        "baseline": entry.baseline,
        "baseline_run": run.baseline.run if run.baseline else "",
        "decision": str(entry.decision),
        "confirmed": entry.confirmed,
        "red": entry.red,
        "pairs": entry.pairs,
        "min_detectable_change": entry.mdc,
        "reason": entry.reason,
        "next_step": entry.next_step,
    }
