"""Figures as people read them: enough digits and no more, "–" where nothing was measured."""

from __future__ import annotations

from collections.abc import Iterator

from reports.records import Cell, Metric, Outcome, Run
from reports.trust import half_width

NONE = "–"


def duration(seconds: float) -> str:
    """Return seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with so many significant digits, not in scientific form: 1.23, 45.6, 1,234."""
    if value is None:
        return NONE
    if value == 0 or not 1e-6 <= abs(value) < 1e9:
        return f"{value:.{digits}g}"
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])  # after rounding: 9.996 is 10.0
    return f"{value:,.{max(0, digits - 1 - exponent)}f}"


def latency(cell: Cell) -> str:
    """Return the end-to-end p50 in ms with its relative half-width: "1.23 ± 0.8 %"."""
    metric = cell.metric("latency_p50", "end_to_end")
    width = half_width(metric)
    value = number(metric.value) if metric else NONE
    return value if width is None else f"{value} ± {percent(width)}"


def percent(share: float) -> str:
    """Return a share with two significant digits: "0.84 %", "12 %"."""
    return f"{number(100 * share, 2)} %"


def rate(metric: Metric | None, digits: int = 3) -> str:
    """Return a rate in [0, 1] with so many digits after the point."""
    return NONE if metric is None or metric.value is None else f"{metric.value:.{digits}f}"


def interval(metric: Metric | None, digits: int | None = None) -> str:
    """Return both ends of an interval, "" without one; digits after the point, or three significant."""
    if metric is None or metric.ci_low is None or metric.ci_high is None:
        return ""
    ends = (metric.ci_low, metric.ci_high)
    low, high = (number(end) if digits is None else f"{end:.{digits}f}" for end in ends)
    return f"{low} to {high}"


def memory(cell: Cell) -> str:
    """Return the peak resident memory in MiB."""
    return number(cell.value("vm_hwm_mb", "all"))


def megabytes(run: Run, cell: Cell) -> str:
    """Return the size of a cell's model file in MB (1e6 bytes)."""
    sizes = {variant.name: variant.bytes for variant in run.variants}
    return number(sizes[cell.key.variant] / 1e6) if cell.key.variant in sizes else NONE


def packed(run: Run) -> bool:
    """Return whether any variant has a packed size, which then is a column of its own."""
    return any(variant.packed_bytes is not None for variant in run.variants)


def packed_megabytes(run: Run, cell: Cell) -> str:
    """Return the size of a cell's weights in as few bits as each has, in MB (1e6 bytes): storage, not what ran."""
    sizes = {variant.name: variant.packed_bytes for variant in run.variants}
    size = sizes.get(cell.key.variant)
    return NONE if size is None else number(size / 1e6)


def notes(run: Run) -> Iterator[str]:
    """Yield what a reader must know of each target."""
    for target in run.targets:
        yield from (f"{target.name}: {note}" for note in target.notes)


def standing(cell: Cell) -> str:
    """Return the outcome where it is not ok, else the trust in the times: one word."""
    if cell.outcome is not Outcome.OK or cell.verdict is None:
        return str(cell.outcome)
    return str(cell.verdict.trust)
