"""`summary.md`: headline and table for a pull request or a job's summary page."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

from reports import agreement, bought, budgets, choice, comparison_view, energy, engines, figures, instructions, peers
from reports.headline import headline
from reports.nights import sentence
from reports.records import Cell, Judgement, Night, Run

_COLUMNS = (
    "variant",
    "target",
    "runtime",
    "threads",
    "p50 ms",
    "finds",
    "p95 ms",
    "peak MiB",
    "AUC",
    "size MB",
    "trust",
)


def files(run: Run, _folder: Path | None) -> dict[str, str]:
    """Return the summary in GitHub-flavoured Markdown."""
    return {"summary.md": "\n".join(_lines(run)) + "\n"}


def _lines(run: Run) -> Iterator[str]:
    yield f"**{_plain(run.headline or headline(run))}**"
    yield ""
    if run.night:
        yield from _night(run.night)
    packed = figures.packed(run)
    yield "| " + " | ".join([*_COLUMNS[:-1], *(["packed MB"] if packed else []), _COLUMNS[-1]]) + " |"
    yield "|---|---|---|" + "---:|" * (7 + packed) + "---|"
    for cell in run.cells:
        yield "| " + " | ".join(_row(run, cell)) + " |"
    yield from _comparisons(run)
    yield from _budgets(run)
    yield ""
    yield f"{_plain(run.name)}, {_plain(run.id)}, edgerig {_plain(run.edgerig)}. Intervals are 95 %."
    told = (bought, instructions, engines, energy, agreement, peers)
    for line in (*(line for about in told for line in about.sentences(run)), *figures.notes(run)):
        yield f"- {_plain(line)}"
    for line in run.warnings:
        yield f"- {_plain(line)}"


def _night(night: Night) -> Iterator[str]:
    yield f"**{_plain(sentence(night))}**"
    yield ""
    for finding in night.findings:
        yield f"- {finding.level}: {_plain(finding.text)}"
    yield ""


def _comparisons(run: Run) -> Iterator[str]:
    if run.comparisons:
        yield ""
        yield "| " + " | ".join(comparison_view.COLUMNS) + " |"
        yield "|" + "---|" * len(comparison_view.COLUMNS)
    for row in comparison_view.rows(run):
        yield "| " + " | ".join(_plain(text) for text in row.texts()) + " |"


def _budgets(run: Run) -> Iterator[str]:
    """Yield the budgets that are not met, a line each."""
    if run.budgets:
        yield ""
        yield f"**Budgets: {_plain(budgets.counts(run))}**"
        yield ""
    for check in run.budgets:
        if check.verdict is not Judgement.MET:
            step = f" → {check.next_step}" if check.next_step else ""
            yield f"- {_plain(budgets.sentence(run, check) + step)}"
    for line in choice.sentences(run) if run.budgets else []:
        yield f"- {_plain(line)}"


def _row(run: Run, cell: Cell) -> tuple[str, ...]:
    key = cell.key
    return (
        _plain(key.variant),
        _plain(key.target) + (" (emulated)" if run.target(key.target).emulated else ""),
        _plain(f"{key.runtime} {key.provider}"),
        str(key.threads),
        figures.latency(cell),
        bought.detectable(cell),
        figures.number(cell.value("latency_p95", "end_to_end")),
        figures.memory(cell),
        figures.rate(cell.metric("auc", "all")),
        figures.megabytes(run, cell),
        *([figures.packed_megabytes(run, cell)] if figures.packed(run) else []),
        _plain(figures.standing(cell)),
    )


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is: no markup, link, mention, table cell or line of its own."""
    one_line = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*_{}\[\]()#|~])", r"\\\1", one_line).replace("@", "@\u200b")
