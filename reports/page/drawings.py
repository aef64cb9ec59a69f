"""The charts of a report: which cells are drawn together, and what is written under each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from reports import charts
from reports.charts import Bar, Curve, Point, Style
from reports.page import cells as rows
from reports.records import STAGES, Cell, Metric, Run
from reports.trust import counted

Frames = Callable[[str], NDArray[np.int64] | None]  # file name of a round's frames -> ns [n, 5], None: not there

_CURVES = 12  # in one chart: as many as there are colours


@dataclass(frozen=True)
class Chart:
    """A drawn chart, and what it is of."""

    title: str
    svg: Markup
    note: str = ""


Settings = dict[str, list[Cell]]  # "x86, 1 thread" -> timed cells of real targets, fastest first


def settings(run: Run) -> Settings:
    """Return the cells whose times may stand in one chart: one real target, one number of threads."""
    real = {target.name for target in run.targets if not target.emulated}
    settings: Settings = {}
    for cell in sorted(run.cells, key=rows.order):
        if cell.key.target in real and cell.value("latency_p50", "end_to_end"):
            plural = "s" if cell.key.threads != 1 else ""
            settings.setdefault(f"{cell.key.target}, {cell.key.threads} thread{plural}", []).append(cell)
    order = [target.name for target in run.targets]
    return dict(sorted(settings.items(), key=lambda item: order.index(item[1][0].key.target)))


def legend(run: Run, looks: dict[str, Style], settings: Settings) -> list[tuple[str, Markup]]:
    """Return the variants that are drawn, each with its line and marker."""
    drawn = {cell.key.variant for cells in settings.values() for cell in cells}
    return [
        (variant.name, Markup(charts.swatch(looks[variant.name], f"key{place}")))  # noqa: S704  made by charts
        for place, variant in enumerate(run.variants)
        if variant.name in drawn
    ]


def distributions(settings: Settings, looks: dict[str, Style], frames: Frames) -> Iterator[Chart]:
    """Yield a chart a setting of how long frames took."""
    for place, (setting, cells) in enumerate(settings.items()):
        curves = [
            Curve(looks.get(cell.key.variant, Style(0)), times)
            for cell in cells
            if (times := _end_to_end(cell, frames)) is not None
        ]
        if curves:
            title = f"Distribution of frame times on {setting}"
            note = f"The {_CURVES} fastest of {len(curves)}." if len(curves) > _CURVES else ""
            yield _chart(setting, charts.ecdf(curves[:_CURVES], f"ecdf{place}", title), note)


def _end_to_end(cell: Cell, frames: Frames) -> NDArray[np.float64] | None:
    """Return the counted frame times of a cell in ms, None where none is there."""
    parts = []
    for entry in counted(cell.rounds):
        array = frames(entry.frames) if entry.frames else None
        if array is not None:
            parts.append(array[entry.warmup :, STAGES.index("end_to_end")] / 1e6)
    pooled = np.concatenate(parts) if parts else np.empty(0)
    return pooled if pooled.size else None


def stages(settings: Settings) -> Iterator[Chart]:
    """Yield a chart a setting of where the time goes."""
    for place, (setting, cells) in enumerate(settings.items()):
        names = _names(cells)
        bars = [
            Bar(
                name,
                {stage: ms for stage in STAGES[:-1] if (ms := cell.value("latency_p50", stage)) is not None},
                cell.value("latency_p50", "end_to_end") or 0.0,
            )
            for name, cell in zip(names, cells, strict=True)
        ]
        title = f"Where the time of a frame goes on {setting}"
        note = f"The {_CURVES} fastest of {len(bars)}." if len(bars) > _CURVES else ""
        yield _chart(setting, charts.stages(bars[:_CURVES], f"stages{place}", title), note)


def trades(run: Run, settings: Settings, looks: dict[str, Style]) -> Iterator[Chart]:
    """Yield AUC against latency, or accuracy where a face set of one class gives no AUC."""
    quality = "auc" if any(cell.value("auc", "all") is not None for cell in run.cells) else "accuracy"
    shown = "AUC" if quality == "auc" else quality
    sizes = {variant.name: variant.bytes / 1e6 for variant in run.variants}
    front = {id for one in run.choices for id in one.front}
    for place, (setting, cells) in enumerate(settings.items()):
        points = [
            Point(
                name,
                looks.get(cell.key.variant, Style(0)),
                ms,
                good,
                sizes.get(cell.key.variant, 1.0),
                cell.id in front,
            )
            for name, cell in zip(_names(cells), cells, strict=True)
            if (ms := _ends(cell.metric("latency_p50", "end_to_end"))) and (good := _ends(cell.metric(quality, "all")))
        ]
        if len(points) > 1:
            title = f"{shown} against latency on {setting}"
            note = f"The {_CURVES} fastest of {len(points)}." if len(points) > _CURVES else ""
            yield _chart(setting, charts.scatter(points[:_CURVES], f"trade{place}", title, shown), note)


def courses(run: Run, looks: dict[str, Style]) -> Iterator[Chart]:
    """Yield a chart a target of times under sustained load."""
    for target in run.targets:
        cells = [cell for cell in run.cells if cell.key.target == target.name and cell.sustained]
        lines = [_course(cell, looks) for cell in cells if cell.sustained and cell.sustained.course]
        if lines:
            title = f"Sustained load on {target.name}"
            note = ", ".join(_names([cell for cell in cells if cell.sustained and cell.sustained.course]))
            yield _chart(title, charts.courses(lines, f"course-{target.name}", title), note)


def _course(cell: Cell, looks: dict[str, Style]) -> charts.Course:
    assert cell.sustained is not None
    readings = [v for v in cell.sustained.vitals if v.when == "during" and v.temperature_c is not None]
    degrees = [(v.seconds, v.temperature_c) for v in readings if v.temperature_c is not None]
    return charts.Course(looks[cell.key.variant], cell.sustained.course, degrees)


def _chart(title: str, svg: str, note: str) -> Chart:
    return Chart(title, Markup(svg), note)  # noqa: S704  made by charts, which escapes all names


def _ends(metric: Metric | None) -> tuple[float, float, float] | None:
    """Return low, value and high; without an interval twice the value."""
    if metric is None or metric.value is None:
        return None
    low = metric.value if metric.ci_low is None else metric.ci_low
    high = metric.value if metric.ci_high is None else metric.ci_high
    return low, metric.value, high


def _names(cells: Sequence[Cell]) -> list[str]:
    """Return the variants' names, with the runtime where cells of several stand together."""
    several = len({(cell.key.runtime, cell.key.provider) for cell in cells}) > 1
    return [cell.key.variant + (f" ({cell.key.runtime} {cell.key.provider})" if several else "") for cell in cells]
