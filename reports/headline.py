"""The sentences on top of a report: what got worse, what was gained by compressing and what it cost, what limits it.

What is found on each real target is `reports/tradeoff.py`'s to say; emulated times are never ranked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from reports import accepted, budgets, comparison_view, tradeoff
from reports.learned import learned
from reports.records import Cell, Judgement, Outcome, Run

_TARGETS = 3  # that a headline speaks of


def headline(run: Run) -> str:
    """Return what got worse than the baseline, a sentence or two on what was found, then what limits it."""
    return " ".join(sentences(run))


def sentences(run: Run) -> list[str]:
    """Return the headline in parts: what a baseline says, the findings, what limits them, what is accepted."""
    compared, limits = comparison_view.sentences(run), (_budgets(run), _quick(run), _missing(run))
    return [part for part in (*compared, *_findings(run), *limits, *accepted.sentences(run)) if part]


def _findings(run: Run) -> Iterator[str]:
    cells: dict[str, list[Cell]] = defaultdict(list)
    for cell in timed(run):
        cells[cell.key.target].append(cell)
    for target in list(cells)[:_TARGETS]:
        yield from tradeoff.sentences(run, target, cells[target])
    if len(cells) > _TARGETS:
        yield f"{len(cells) - _TARGETS} more targets were measured."
    if not cells and any(cell.verdict for cell in run.cells):
        yield "No time was measured on a real device: emulated times are not ranked."
    elif not cells:
        yield _scores_only(run)


def timed(run: Run) -> list[Cell]:
    """Return the cells that went well and whose times were measured on a real device."""
    emulated = {target.name for target in run.targets if target.emulated}
    return [
        cell
        for cell in run.candidates
        if cell.outcome is Outcome.OK and cell.value("latency_p50", "end_to_end") and cell.key.target not in emulated
    ]


def _scores_only(run: Run) -> str:
    scored = [(auc, cell) for cell in run.cells if (auc := cell.value("auc", "all")) is not None]
    if not scored:
        return "Nothing was measured."
    auc, cell = max(scored, key=lambda entry: entry[0])
    doubt = ", which is not shown to tell fakes from real faces" if learned(cell) is False else ""
    return f"No time was measured; the best AUC is {auc:.3f}, of {cell.key.variant}{doubt}."


def _quick(run: Run) -> str:
    if run.method.setting != "quick":
        return ""
    return "This was a quick run: good for finding mistakes, not for deciding."


def _budgets(run: Run) -> str:
    """Return the broken budgets, the first one in full, or how many are met; what is accepted is told elsewhere."""
    if not run.budgets:
        return ""
    broken = accepted.broken(run)
    if not broken:
        known = " and accepted" if budgets.of(run, Judgement.BROKEN) else ""
        return f"Budgets: {budgets.counts(run).replace(' broken', f' broken{known}')}."
    more = f"; {budgets.counts(run)} in all" if len(run.budgets) > 1 else ""
    return f"Budget broken: {budgets.sentence(run, broken[0]).replace(': broken: ', ': ')}{more}."


def _missing(run: Run) -> str:
    """Return how many cells are not ok, by outcome: "2 of 12 cells are not ok: 1 crashed, 1 timeout."."""
    outcomes = [cell.outcome for cell in run.cells if cell.outcome is not Outcome.OK]
    if not outcomes:
        return ""
    parts = [f"{outcomes.count(kind)} {kind}" for kind in Outcome if kind in outcomes]
    verb = "is" if len(outcomes) == 1 else "are"
    return f"{len(outcomes)} of {len(run.cells)} cells {verb} not ok: {', '.join(parts)}."
