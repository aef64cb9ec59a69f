"""The chart of a trend: nights along, a figure up, gaps left open, changes of model, runtime and device marked."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from reports.charts import COLOURS, canvas
from reports.svg import INK, PAPER, inline
from reports.trends import Trend

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UNITS = {"p50_ms": "p50, ms", "p95_ms": "p95, ms", "peak_mb": "peak, MiB", "auc": "AUC", "size_mb": "model, MB"}
_LINE, _RED = COLOURS[0], COLOURS[6]


def draw(trend: Trend, name: str, title: str) -> str:
    """Return the chart of a trend, which has one value at least, as an <svg> element; `name` is unique in the page."""
    from matplotlib import dates as untyped  # noqa: PLC0415  see reports.charts

    dates: Any = untyped
    whens = dates.date2num([datetime.fromisoformat(value.started) for value in trend.values])
    with canvas(520, 200) as (figure, axes):
        _line(axes, whens, trend)
        _gaps(axes, whens, trend)
        _changes(axes, whens, trend)
        axes.set_xlim(whens[0] - 0.6, whens[-1] + 0.6)
        axes.set_ylim(*_room(trend))
        locator = dates.AutoDateLocator(minticks=2, maxticks=7)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
        axes.grid(visible=True)
        axes.set_ylabel(UNITS.get(trend.metric, trend.metric))
        return inline(figure, name, title)


def _line(axes: Axes, whens: Any, trend: Trend) -> None:
    values = _numbers([value.value for value in trend.values])
    low, high = (_numbers([getattr(value, end) for value in trend.values]) for end in ("low", "high"))
    axes.fill_between(*_broken(whens, low, high), color=_LINE, alpha=0.18, linewidth=0)
    axes.plot(*_broken(whens, values), color=_LINE, linewidth=1.4)
    bad = np.array([value.verdict == "regression" for value in trend.values])
    look: dict[str, Any] = {"linestyle": "none", "markeredgecolor": PAPER, "markeredgewidth": 0.6}
    axes.plot(whens[~bad], values[~bad], marker="o", markersize=5, color=_LINE, **look)
    axes.plot(whens[bad], values[bad], marker="D", markersize=7, color=_RED, **look)


def _broken(whens: Any, *lines: Any) -> list[Any]:
    """Return dates and lines with a break in the middle of each pause that is longer than the usual one."""
    pauses = np.diff(whens)
    usual = float(np.median(pauses)) if len(pauses) else 0.0
    places = np.flatnonzero(pauses > 1.75 * usual) + 1
    middle = (whens[places - 1] + whens[places]) / 2
    return [np.insert(whens, places, middle), *(np.insert(line, places, np.nan) for line in lines)]


def _numbers(values: list[float | None]) -> Any:
    """Return an array with NaN for None: matplotlib draws no line to or from it."""
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _gaps(axes: Axes, whens: Any, trend: Trend) -> None:
    missing = [when for when, value in zip(whens, trend.values, strict=True) if value.value is None]
    below = axes.get_xaxis_transform()
    axes.plot(missing, [0.03] * len(missing), marker="x", markersize=5, color=INK, linestyle="none", transform=below)


def _changes(axes: Axes, whens: Any, trend: Trend) -> None:
    for when, value in zip(whens, trend.values, strict=True):
        if value.changes:
            words = ", ".join(change.what for change in value.changes)
            axes.axvline(when, color=INK, alpha=0.35, linewidth=0.9, linestyle=(0, (3, 2)))
            axes.annotate(
                words,
                (when, 1),
                xycoords=axes.get_xaxis_transform(),
                xytext=(3, -10),
                textcoords="offset pixels",
                fontsize=9,
            )


def _room(trend: Trend) -> tuple[float, float]:
    """Return the range of the figure with all intervals; never so narrow that 1 % looks like a cliff."""
    ends = [end for value in trend.known for end in (value.low, value.value, value.high) if end is not None]
    low, high = min(ends), max(ends)
    spare = max(0.12 * (high - low), 0.02 * abs(high), 1e-9)
    return low - spare, high + spare
