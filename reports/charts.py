"""The charts of a report, drawn by matplotlib; data in, one <svg> element out.

Whatever is called for is drawn the same every time: no date, no random id. matplotlib is loaded by the first
chart. Texts from outside are never parsed as mathematics.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reports.figures import number
from reports.svg import INK, PAPER, inline, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

# Twelve colours with a contrast of at least 3:1 on the light and on the dark page (a test measures it).
COLOURS = (
    *("#2f6fe0", "#d9601a", "#12916a", "#c2409c", "#a37c00", "#7f5cf0"),
    *("#d6404c", "#0d8fae", "#6d8a1f", "#a5683c", "#7d8590", "#d25f93"),
)
_DASHES: tuple[tuple[int, tuple[float, ...]], ...] = ((0, ()), (0, (5, 1.6)), (0, (1.4, 1.4)), (0, (6, 1.5, 1.4, 1.5)))
_MARKERS = "os^DvPX<>hp*"

STAGE_COLOURS = {
    "decode": "#7d8590",
    "preprocess": "#0d8fae",
    "inference": "#2f6fe0",
    "postprocess": "#d9601a",
}

_POINTS = 240  # of a curve: more cannot be seen

_RC: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "edgerig",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",  # ships with matplotlib, so that the layout is the same everywhere
    "font.size": 10.5,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "grid.alpha": 0.16,
    "grid.linewidth": 0.8,
    "xtick.major.size": 4.0,
    "ytick.major.size": 0.0,
} | dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color"), INK)


@dataclass(frozen=True)
class Style:
    """How a variant looks in all charts of a report, by its place among the variants."""

    place: int

    @property
    def colour(self) -> str:
        """One of COLOURS; the thirteenth variant shares it with the first and differs in dash and marker."""
        return COLOURS[self.place % len(COLOURS)]

    @property
    def dash(self) -> tuple[int, tuple[float, ...]]:
        """The line's pattern of strokes and gaps."""
        return _DASHES[(self.place + self.place // len(COLOURS)) % len(_DASHES)]

    @property
    def marker(self) -> str:
        """The shape of a point."""
        return _MARKERS[(self.place + self.place // len(COLOURS)) % len(_MARKERS)]


@dataclass(frozen=True)
class Curve:
    """Frame times of a cell in ms [n], at least one."""

    style: Style
    ms: Floats


@dataclass(frozen=True)
class Bar:
    """p50 of each stage of a cell in ms, and of the whole frame."""

    label: str
    stages: dict[str, float]
    total: float


@dataclass(frozen=True)
class Point:
    """A cell between latency in ms and quality in [0, 1], each with its interval, or twice its value."""

    label: str
    style: Style
    ms: tuple[float, float, float]  # low, value, high
    quality: tuple[float, float, float]
    megabytes: float
    front: bool = False  # no other cell beats it in all that is weighed


@contextmanager
def canvas(width: float, height: float) -> Iterator[tuple[Figure, Axes]]:
    """Yield a figure of so many pixels with one pair of axes; settings of the caller's matplotlib are kept."""
    import matplotlib as mpl  # noqa: PLC0415  half a second that only a drawn chart is worth
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")
        yield figure, figure.subplots()


def swatch(style: Style, name: str) -> str:
    """Return a variant's line and marker for a legend, 34 by 12 pixels."""
    with canvas(34, 12) as (figure, axes):
        figure.set_layout_engine("none")
        axes.set_position((0, 0, 1, 1))
        axes.axis("off")
        axes.set(xlim=(0, 34), ylim=(0, 12))
        axes.plot([1, 33], [6, 6], color=style.colour, linestyle=style.dash, linewidth=1.8)
        axes.plot([17], [6], **_marker(style, 6.0))
        return inline(figure, name, "")


def _marker(style: Style, size: float) -> dict[str, Any]:
    return {
        "marker": style.marker,
        "markersize": size,
        "markerfacecolor": style.colour,
        "markeredgecolor": PAPER,
        "markeredgewidth": 0.7,
        "linestyle": "none",
    }


def ecdf(curves: Sequence[Curve], name: str, title: str) -> str:
    """Return the share of frames that took at most so long; one marked at the median."""
    with canvas(520, 330) as (figure, axes):
        for curve in curves:
            share = np.linspace(0, 1, min(_POINTS, len(curve.ms)))
            axes.plot(
                np.quantile(curve.ms, share), share, color=curve.style.colour, linestyle=curve.style.dash, linewidth=1.7
            )
            axes.plot([np.quantile(curve.ms, 0.5)], [0.5], zorder=5, **_marker(curve.style, 7.0))
        low = min(float(curve.ms.min()) for curve in curves)
        high = max(float(np.quantile(curve.ms, 0.995)) for curve in curves)
        _scale(axes, low, high)
        axes.set_ylim(-0.015, 1.03)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 0.9, 1], ["0 %", "25 %", "p50", "75 %", "p90", "100 %"])
        axes.grid(visible=True)
        axes.set_xlabel("end-to-end time of a frame, ms")
        return inline(figure, name, title)


def _scale(axes: Axes, low: float, high: float) -> None:
    """Set the x axis to [low, high] and a margin, logarithmic where they are four times apart."""
    low, high = max(low, 1e-6), max(high, low * 1.02, 2e-6)
    logarithmic = high / low > 4
    margin = (high / low) ** 0.05 if logarithmic else 0.06 * (high - low)
    if logarithmic:
        axes.set_xscale("log")
        axes.set_xlim(low / margin, high * margin)
    else:
        axes.set_xlim(low - margin, high + margin)
    places = ticks(low, high, logarithmic)
    axes.set_xticks(places, [f"{place:,.6g}" for place in places])
    axes.set_xticks([], minor=True)


def ticks(low: float, high: float, logarithmic: bool) -> list[float]:
    """Return four to eight round numbers from low to high, fewer where there are none."""
    if not logarithmic:
        rough = (high - low) / 5
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough)
        return [step * count for count in range(math.ceil(low / step), math.floor(high / step) + 1)]
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        found = [factor * 10.0**decade for decade in decades for factor in factors]
        inside = [place for place in found if low <= place <= high]
        if len(inside) >= 4:
            break
    return inside[:: math.ceil(len(inside) / 8)]


def stages(bars: Sequence[Bar], name: str, title: str) -> str:
    """Return a stacked bar a cell: where the time of a frame goes."""
    with canvas(520, 62 + 37 * len(bars)) as (figure, axes):
        widest = max(max(bar.total, sum(bar.stages.values())) for bar in bars)
        for row, bar in enumerate(bars):
            left = 0.0
            for stage, ms in bar.stages.items():
                axes.barh(row, ms, 0.36, left, color=STAGE_COLOURS[stage], edgecolor=PAPER, linewidth=0.6)
                left += ms
            axes.text(left + widest * 0.012, row, f"{number(bar.total)} ms", va="center", fontsize=10)
            axes.text(0, row - 0.29, printable(bar.label), va="bottom", fontsize=10)
        axes.set(xlim=(0, widest * 1.16), ylim=(len(bars) - 0.6, -0.85))
        axes.set_yticks([])
        axes.grid(visible=True, axis="x")
        axes.set_xlabel("p50 of each stage, ms")
        return inline(figure, name, title)


def scatter(points: Sequence[Point], name: str, title: str, quality: str) -> str:
    """Return quality against latency, area by file size, whiskers for intervals, a line along the best ones."""
    with canvas(*SCATTER) as (figure, axes):
        _scale(axes, min(point.ms[0] for point in points), max(point.ms[2] for point in points))
        low, high = _room(points)
        axes.set_ylim(low, high)
        _draw_front(axes, points)
        for point in points:
            _draw_point(axes, point)
        axes.grid(visible=True)
        axes.set_xlabel("p50 of a frame, ms (less is better)")
        axes.set_ylabel(f"{quality} (more is better)")
        figure.draw_without_rendering()
        for label in place_labels(axes, points):
            _write_label(axes, label)
        return inline(figure, name, title)


@dataclass(frozen=True)
class Course:
    """Medians of a second over time: s [n], ms [n], and temperatures: s [m], °C [m]."""

    style: Style
    ms: Sequence[tuple[float, float]]
    degrees: Sequence[tuple[float, float]]


def courses(lines: Sequence[Course], name: str, title: str) -> str:
    """Return times over time, and below them the temperature where it was read."""
    with canvas(1080, 300) as (figure, axes):
        for line in lines:
            seconds, ms = zip(*line.ms, strict=True)
            axes.plot(seconds, ms, color=line.style.colour, linestyle=line.style.dash, linewidth=1.7)
        axes.set_ylim(0, 1.12 * max(ms for line in lines for _, ms in line.ms))
        axes.grid(visible=True)
        axes.set_xlabel("seconds without a pause")
        axes.set_ylabel("p50 of a frame, ms")
        if any(line.degrees for line in lines):
            _draw_degrees(axes, lines)
        return inline(figure, name, title)


def _draw_degrees(axes: Axes, lines: Sequence[Course]) -> None:
    """Draw temperatures as thin dots against an axis of their own."""
    other = axes.twinx()
    for line in lines:
        if line.degrees:
            seconds, degrees = zip(*line.degrees, strict=True)
            other.plot(seconds, degrees, ".", color=line.style.colour, markersize=2.5, alpha=0.6)
    other.set_ylabel("°C (dots)")
    other.spines["right"].set_visible(False)


SCATTER = (1080, 430)
LABEL_SIZE = 10


def _room(points: Sequence[Point]) -> tuple[float, float]:
    """Return the range of the quality axis: all whiskers and at least five points."""
    low, high = min(point.quality[0] for point in points), max(point.quality[2] for point in points)
    spare = max(0.12 * (high - low), (0.05 - (high - low)) / 2)
    return max(-0.02, low - spare), min(1.02, high + spare)


def _draw_point(axes: Axes, point: Point) -> None:
    (ms_low, ms, ms_high), (low, value, high) = point.ms, point.quality
    line: dict[str, Any] = {"color": point.style.colour, "linewidth": 1.1, "alpha": 0.9, "solid_capstyle": "butt"}
    axes.plot([ms_low, ms_high], [value, value], **line)
    axes.plot([ms, ms], [low, high], **line)
    axes.plot([ms], [value], zorder=5, **_marker(point.style, marker_size(point.megabytes)))
    if point.front:
        ring: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": INK, "markeredgewidth": 1.1}
        axes.plot([ms], [value], "o", markersize=ring_size(point), alpha=0.75, zorder=4, **ring)


def ring_size(point: Point) -> float:
    """Return the diameter in pixels of the ring round a point."""
    return marker_size(point.megabytes) + 7


def marker_size(megabytes: float) -> float:
    """Return the diameter of a marker in pixels: area grows with the file, from 6 to 22."""
    return float(np.clip(4.6 * math.sqrt(max(megabytes, 0.0)), 6, 22))


def _draw_front(axes: Axes, points: Sequence[Point]) -> None:
    front = best(points)
    if len(front) > 1:
        xs, ys = [point.ms[1] for point in front], [point.quality[1] for point in front]
        axes.step(xs, ys, where="post", color=INK, alpha=0.28, linewidth=1.2, linestyle=(0, (2, 2)))


def best(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other beats in both latency and quality, fastest first."""
    front: list[Point] = []
    for point in sorted(points, key=lambda one: (one.ms[1], -one.quality[1])):
        if not front or point.quality[1] > front[-1].quality[1]:
            front.append(point)
    return front


Box = tuple[float, float, float, float]  # left, bottom, right, top in pixels of the figure


@dataclass(frozen=True)
class Label:
    """A label: the room that it may take, and the point that it belongs to, in data and in pixels."""

    text: str
    point: tuple[float, float]
    pixel: tuple[float, float]
    box: Box
    far: bool  # so far from its point that a line has to join them


def _write_label(axes: Axes, label: Label) -> None:
    """Write a label into its box, on the side that is next to its point: the box may be wider than the text."""
    left, bottom, right, _ = label.box
    x, side = (left, "left") if left >= label.pixel[0] else (right, "right")
    if left < label.pixel[0] < right:
        x, side = (left + right) / 2, "center"
    line = {"arrowstyle": "-", "color": INK, "alpha": 0.35, "linewidth": 0.7}
    axes.annotate(
        label.text,
        label.point,
        xytext=(x, bottom),
        textcoords="figure pixels",
        fontsize=LABEL_SIZE,
        ha=side,
        va="bottom",
        annotation_clip=False,
        arrowprops=line if label.far else None,
    )


def place_labels(axes: Axes, points: Sequence[Point]) -> list[Label]:
    """Return a place for each label where it covers no other label, marker or whisker and stays inside the figure.

    Greedy, from the best candidate near its point to those further away; the width of a letter is taken as that
    of DejaVu Sans' average, which is wider than what browsers use. A label without any free place is put below
    all others of its column.
    """
    taken = [box for point in points for box in (_marker_box(axes, point), _whisker_box(axes, point))]
    labels = []
    for point in sorted(points, key=lambda one: -one.quality[1]):
        text = printable(point.label, 40)
        x, y = axes.transData.transform((point.ms[1], point.quality[1]))
        size = (0.62 * LABEL_SIZE * len(text) + 2, 1.25 * LABEL_SIZE)
        box, far = _free(float(x), float(y), marker_size(point.megabytes) / 2, size, taken)
        taken.append(box)
        labels.append(Label(text, (point.ms[1], point.quality[1]), (float(x), float(y)), box, far))
    return labels


def _marker_box(axes: Axes, point: Point) -> Box:
    x, y = axes.transData.transform((point.ms[1], point.quality[1]))
    reach = (ring_size(point) if point.front else marker_size(point.megabytes)) / 2
    return float(x) - reach, float(y) - reach, float(x) + reach, float(y) + reach


def _whisker_box(axes: Axes, point: Point) -> Box:
    x, low = axes.transData.transform((point.ms[1], point.quality[0]))
    _, high = axes.transData.transform((point.ms[1], point.quality[2]))
    return float(x) - 2, float(low), float(x) + 2, float(high)


def _free(x: float, y: float, reach: float, size: tuple[float, float], taken: Sequence[Box]) -> tuple[Box, bool]:
    """Return the first candidate box around (x, y) that meets nothing, and whether it is far from it."""
    for ring in range(14):
        for left, bottom in _around(x, y, reach + 4 + 12 * ring, size):
            box = (left, bottom, left + size[0], bottom + size[1])
            inside = box[0] >= 48 and box[2] <= SCATTER[0] and box[1] >= 44 and box[3] <= SCATTER[1]
            if inside and not any(overlap(box, other) for other in taken):
                return box, ring > 0
    lowest = min((other[1] for other in taken), default=y) - size[1]
    return (x, lowest, x + size[0], lowest + size[1]), True


def _around(x: float, y: float, away: float, size: tuple[float, float]) -> Iterator[tuple[float, float]]:
    """Yield lower left corners: right, left, above and below the point, then the corners."""
    width, height = size
    yield x + away, y - height / 2
    yield x - away - width, y - height / 2
    for up in (y + away, y - away - height):
        yield x - width / 2, up
        yield x + away / 2, up
        yield x - away / 2 - width, up


def overlap(one: Box, other: Box) -> bool:
    """Return whether two boxes share more than an edge."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
