"""What the seconds of a run bought, in words: how well p50 is known, and the slow-down that would be found.

28 rounds in 60 s (budget 60 s): p50 known to ±0.80 %, asked ±1 %; a slow-down of 1.9 % would be found
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reports import figures
from reports.decide import Rule
from reports.figures import duration, percent
from reports.records import Cell, Method, Run, Trust
from reports.trust import counted, half_width

Shown = Callable[[float], str]


def detectable(cell: Cell) -> str:
    """Return the smallest slow-down that a comparison with rounds like a cell's would find: "1.9 %"."""
    change = _change(cell)
    return figures.NONE if change is None else percent(change)


def sentence(cell: Cell, method: Method) -> str:
    """Return what the rounds of a cell bought, "" where no time was measured.

    Args:
        cell: of a real device.
        method: how it was asked to be measured.
    """
    if not cell.rounds or cell.value("latency_p50", "end_to_end") is None:
        return ""
    used, seconds = len(counted(cell.rounds)), _seconds(cell)
    left_out = f", {used} of which count" if used != len(cell.rounds) else ""
    rounds = f"{len(cell.rounds)} round{'s' if len(cell.rounds) != 1 else ''}{left_out}"
    width = _width(cell)
    known = "p50 has no interval" if width is None else f"p50 known to ±{percent(width)}"
    return f"{rounds} in {duration(seconds)}{_budget(method)}: {known}{_asked(method)}; {_found(cell)}"


def sentences(run: Run) -> list[str]:
    """Return a sentence for each real target: of its only cell, or of all its cells together."""
    found = []
    for target in run.targets:
        cells = [cell for cell in run.candidates if cell.key.target == target.name and sentence(cell, run.method)]
        if target.emulated or not cells:
            continue
        told = sentence(cells[0], run.method) if len(cells) == 1 else _together(cells, run.method)
        found.append(f"{target.name}: {told}")
    return found


def _together(cells: Sequence[Cell], method: Method) -> str:
    rounds = _span([len(cell.rounds) for cell in cells], "{:.0f}".format)
    seconds = _span([_seconds(cell) for cell in cells], duration)
    widths = [width for cell in cells if (width := _width(cell)) is not None]
    known = f"p50 known to ±{_span(widths, percent)}" if widths else "p50 has no interval"
    good = sum(width <= method.half_width for width in widths)
    asked = f"{_asked(method)} and reached by {good} of {len(cells)} cells" if _asked(method) else ""
    return f"{rounds} rounds a cell in {seconds}{_budget(method)}: {known}{asked}; {_found_together(cells)}"


def _found(cell: Cell) -> str:
    change = _change(cell)
    return _TOO_FEW if change is None else f"a slow-down of {percent(change)} would be found"


def _found_together(cells: Sequence[Cell]) -> str:
    changes = [change for cell in cells if (change := _change(cell)) is not None]
    if not changes:
        return _TOO_FEW
    several = f" in {len(changes)} of them" if len(changes) < len(cells) else ""
    return f"a slow-down of {_span(changes, percent)} would be found{several}"


_TOO_FEW = f"too few rounds to find a slow-down, which takes {Rule().looks[0]}"


def _change(cell: Cell) -> float | None:
    if cell.verdict and cell.verdict.trust is Trust.EMULATED:
        return None
    return cell.value("min_detectable_change", "end_to_end")


def _width(cell: Cell) -> float | None:
    return half_width(cell.metric("latency_p50", "end_to_end"))


def _seconds(cell: Cell) -> float:
    """Return the seconds that a cell's rounds took, those that do not count included: they are paid as well."""
    return sum(entry.seconds for entry in cell.rounds)


def _asked(method: Method) -> str:
    return f", asked ±{100 * method.half_width:g} %" if _goes_on(method) else ""


def _budget(method: Method) -> str:
    return f" (budget {duration(method.budget_s)})" if _goes_on(method) else ""


def _goes_on(method: Method) -> bool:
    """Whether a width was asked for and a budget spent: a quick run takes its few rounds and ends."""
    return method.setting in ("default", "full")


def _span(values: Sequence[float], shown: Shown) -> str:
    """Return the least and the most of some values, one of them where both read the same; a unit stands once."""
    low, high = shown(min(values)), shown(max(values))
    unit = high.rpartition(" ")[2]
    return low if low == high else f"{low.removesuffix(f' {unit}')} to {high}"
