"""`history.html`: the trends of cells as one page without scripts, made as the report is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports import figures, html, trend_chart, trends
from reports.history import NightRow, Promotion
from reports.patterns import path
from reports.records import Acceptance
from reports.trends import Change, Trend

DRAWN = 60  # charts of a page: a chart takes .05 s and 10 kB
_OPEN = 12


@dataclass(frozen=True)
class Row:
    """A trend as a row of the table."""

    trend: Trend
    name: str
    last: str
    ratio: str
    changes: list[tuple[str, Change]]  # day, what changed
    last_gap: str


def render(
    found: Sequence[Trend], nights: Sequence[NightRow], accepted: Sequence[Acceptance], baselines: Sequence[Promotion]
) -> str:
    """Return the page; the same history gives the same bytes.

    Args:
        found: trends of one metric.
        nights: all that they are of, the oldest first.
        accepted: what was ever accepted.
        baselines: what was ever promoted.
    """
    ordered = sorted(found, key=lambda trend: -abs((trend.ratio or 1.0) - 1.0))
    return (
        html.environment()
        .get_template("history.html")
        .render(
            style=Markup(html.asset("report.css")),  # noqa: S704  a file of ours
            metric=found[0].metric if found else "",
            rows=[_row(trend) for trend in ordered],
            charts=list(_charts(ordered[:DRAWN])),
            open=_OPEN,
            left=max(0, len(ordered) - DRAWN),
            nights=list(reversed(nights)),
            accepted=[(path(entry.key), entry) for entry in accepted],
            baselines=list(baselines),
        )
    )


@dataclass(frozen=True)
class _Chart:
    title: str
    svg: Markup
    note: str


def _charts(found: Sequence[Trend]) -> Iterator[_Chart]:
    for place, trend in enumerate(found):
        if trend.known:
            name = path(trend.key)
            svg = trend_chart.draw(trend, f"trend{place}", f"{trend.metric} of {name} over the nights")
            note = f"{trend.job or 'no name'}: {len(trend.known)} nights, {_gaps(trend)}"
            yield _Chart(name, Markup(svg), note)  # noqa: S704  made by the chart, which escapes all names


def _gaps(trend: Trend) -> str:
    return f"{trend.gaps} gap{'' if trend.gaps == 1 else 's'}"


def _row(trend: Trend) -> Row:
    known = trend.known
    return Row(
        trend=trend,
        name=path(trend.key),
        last=figures.number(known[-1].value) if known else figures.NONE,
        ratio=trends.change(trend),
        changes=[(value.started[:10], entry) for value in trend.values for entry in value.changes],
        last_gap=next((f"{value.started[:10]} {value.why}" for value in reversed(trend.values) if value.why), ""),
    )
