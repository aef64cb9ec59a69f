"""`report.html`: one file without scripts that opens offline, in light and dark, and prints.

The text is made by jinja2 with everything escaped, the charts by `reports.charts`; the page forbids itself to
load or to run anything. Nothing is computed here but shares of what was measured: intervals come with the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from reports import (
    accuracy_view,
    agreement,
    budgets,
    charts,
    choice,
    comparison_view,
    endurance,
    energy,
    engines,
    figures,
    instructions,
    nights,
    peers,
)
from reports.charts import Bar, Curve, Point, Style
from reports.headline import sentences
from reports.records import (
    PHASES,
    STAGES,
    BudgetCheck,
    Cell,
    Choice,
    Fingerprint,
    Judgement,
    Metric,
    OperatorTime,
    Outcome,
    Run,
    Target,
)
from reports.trust import counted

Frames = Callable[[str], NDArray[np.int64] | None]  # file name of a round's frames -> ns [n, 5], None: not there

_OPEN = 4  # charts of a section that are shown at once; the others are folded
_CURVES = 12  # in one chart: as many as there are colours
_OPERATORS = 15

_SIGNS = {
    "ok": "✓",
    "trusted": "✓",
    "noisy": "≈",
    "throttled": "▲",
    "under-sampled": "◔",
    "unwatched": "?",
    "emulated": "◇",
    "met": "✓",
    "undecided": "?",
    "not-measured": "–",
    "skipped": "–",
    "unsupported": "∅",
    "same": "=",
    "improvement": "↓",
    "regression": "✕",
    "slower, not confirmed": "▲",
}


def render(run: Run, frames: Frames | Path | None = None) -> str:
    """Return the report of a run as one HTML page; the same run gives the same bytes.

    Args:
        run: what was learned.
        frames: the run's folder, whose frames/ holds the frame times, or what returns them by file name;
            without them there is no chart of the distribution.
    """
    return environment().get_template("report.html").render(**_context(run, _reader(frames)))


def environment() -> jinja2.Environment:
    """Return what our pages are made with: everything is escaped, what is undefined is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": figures.number,
        "duration": figures.duration,
        "rate": figures.rate,
        "interval": figures.interval,
        "percent": figures.percent,
        "sign": lambda word: _SIGNS.get(str(word), "✕"),
        "tone": _tone,
        "moment": lambda text: text.replace("T", " ").replace("Z", " UTC").replace("+00:00", " UTC"),
        "millions": instructions.millions,
        "spread": instructions.spread,
        "difference": agreement.difference,
        "plain": lambda name: str(name).replace("_", " "),
    }
    return environment


def _tone(word: str) -> str:
    """Return how a label is coloured: good, mild, bad or plain."""
    if word in {"ok", "trusted", "met", "same", "improvement"}:
        return "good"
    if word in {"emulated", "skipped", "unsupported", "unwatched", "under-sampled", "not-measured"}:
        return "plain"
    return "mild" if word in {"noisy", "throttled", "undecided", "slower, not confirmed"} else "bad"


def _reader(frames: Frames | Path | None) -> Frames:
    if frames is None:
        return lambda _: None
    if isinstance(frames, Path):
        folder = frames / "frames"
        return lambda name: _load(folder / Path(name).name)
    return frames


def _load(path: Path) -> NDArray[np.int64] | None:
    """Return an array of frame times, None where the file is missing or none of ours."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return array.astype(np.int64) if array.ndim == 2 and array.shape[1] == len(STAGES) else None


def _context(run: Run, frames: Frames) -> dict[str, object]:
    looks = {variant.name: Style(place) for place, variant in enumerate(run.variants)}
    groups = _groups(run, looks)
    settings = _settings(run)
    real = {target.name for target in run.targets if not target.emulated}
    return {
        "run": run,
        "headline": _headline(run),
        "notes": list(_notes(run)),
        "night": nights.sentence(run.night) if run.night else "",
        "style": Markup(asset("report.css")),  # noqa: S704  a file of ours
        "real": [group for group in groups if not group.target.emulated],
        "emulated": [group for group in groups if group.target.emulated],
        "legend": _legend(run, looks, settings),
        "distribution": list(_distributions(settings, looks, frames)),
        "stages": list(_stages(settings)),
        "budgets": _budgets(run),
        "choices": _choices(run, looks),
        "budget_counts": budgets.counts(run),
        "trade": list(_trades(run, settings, looks)),
        "stage_colours": charts.STAGE_COLOURS,
        "accuracy": accuracy_view.view(run),
        "comparisons": comparison_view.rows(run),
        "margin": run.gates.margin,
        "against": comparison_view.against(run),
        "agreement": agreement.by_kind(run),
        "engines": engines.sentences(run),
        "energy": [(cell, energy.measured_by(cell.rounds)) for cell in run.cells if cell.metric("energy_j", "all")],
        "endurance": endurance.sentences(run),
        "courses": list(_courses(run, looks)),
        "memory": _memory(run),
        "phases": PHASES,
        "conditions": _conditions(run),
        "profiles": [_profile(cell) for cell in run.cells if cell.operators and cell.key.target in real],
        "fingerprints": _fingerprints(run),
        "peers": peers.beside(run),
        "authors": [(variant, figure) for variant in run.variants for figure in variant.authors],
        "open": _OPEN,
    }


def _headline(run: Run) -> list[str]:
    """Return the headline that the run came with, its first sentence apart where it is one of ours."""
    ours = sentences(run)
    return ours if run.headline in {"", " ".join(ours)} else [run.headline]


def asset(name: str) -> str:
    """Return a file of ours that goes into pages as it is."""
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


def _notes(run: Run) -> Iterator[str]:
    """Yield what a reader must know before any figure."""
    if run.method.setting == "quick":
        yield "Quick run: few rounds and frames, good for finding mistakes, not for deciding."
    if run.finished is None:
        yield "This run was interrupted, or is still under way: some cells are missing."
    if run.faces.synthetic:
        yield "The faces are drawn, not photographed: accuracy says how variants differ, not how good they are."
    if any(target.emulated for target in run.targets):
        yield "Emulated targets stand apart: their times are those of an emulator and are neither ranked nor drawn."
    yield from figures.notes(run)
    for target in run.targets:
        if target.outcome is not Outcome.OK:
            yield f"Target {target.name}: {target.outcome}" + (f", {target.reason}" if target.reason else "")


# --- the table ---


@dataclass(frozen=True)
class Row:
    """A cell as a row of the big table."""

    cell: Cell
    techniques: str
    look: Style | None
    megabytes: float | None
    p50: Metric | None
    share: float  # of the slowest p50 of the group, for the bar
    standing: str
    why: str
    step: str


@dataclass(frozen=True)
class Group:
    """The rows of a target."""

    target: Target
    rows: list[Row] = field(default_factory=list)


def _groups(run: Run, looks: dict[str, Style]) -> list[Group]:
    known = {target.name: target for target in run.targets}
    groups = {name: Group(target) for name, target in known.items()}
    emulated = {target.name for target in run.targets if target.emulated}
    slowest: dict[str, float] = {}
    for cell in run.cells:
        name = cell.key.target
        slowest[name] = max(slowest.get(name, 0.0), cell.value("latency_p50", "end_to_end") or 0.0)
    for cell in sorted(run.cells, key=lambda cell: _order(cell, cell.key.target in emulated)):
        if cell.key.target in groups:
            groups[cell.key.target].rows.append(_row(run, cell, looks, slowest[cell.key.target]))
    return [group for group in groups.values() if group.rows]


def _order(cell: Cell, emulated: bool = False) -> tuple[int, float, str]:
    """Return the place of a cell: by threads, then by time, or by name where the time is an emulator's."""
    if emulated:
        return cell.key.threads, 0.0, cell.key.variant
    return cell.key.threads, cell.value("latency_p50", "end_to_end") or float("inf"), cell.key.variant


def _row(run: Run, cell: Cell, looks: dict[str, Style], slowest: float) -> Row:
    variant = next((one for one in run.variants if one.name == cell.key.variant), None)
    p50 = cell.metric("latency_p50", "end_to_end")
    failed = cell.outcome is not Outcome.OK
    verdict = cell.verdict
    return Row(
        cell=cell,
        techniques=", ".join(variant.techniques) if variant else "",
        look=looks.get(cell.key.variant),
        megabytes=variant.bytes / 1e6 if variant else None,
        p50=p50,
        share=(p50.value or 0.0) / slowest if p50 and slowest else 0.0,
        standing=figures.standing(cell),
        why=cell.reason if failed or verdict is None else verdict.reason,
        step=cell.next_step or ("" if failed or verdict is None else verdict.next_step),
    )


# --- the charts ---


@dataclass(frozen=True)
class Chart:
    """A drawn chart, and what it is of."""

    title: str
    svg: Markup
    note: str = ""


Settings = dict[str, list[Cell]]  # "x86, 1 thread" -> timed cells of real targets, fastest first


def _settings(run: Run) -> Settings:
    """Return the cells whose times may stand in one chart: one real target, one number of threads."""
    real = {target.name for target in run.targets if not target.emulated}
    settings: Settings = {}
    for cell in sorted(run.cells, key=_order):
        if cell.key.target in real and cell.value("latency_p50", "end_to_end"):
            plural = "s" if cell.key.threads != 1 else ""
            settings.setdefault(f"{cell.key.target}, {cell.key.threads} thread{plural}", []).append(cell)
    order = [target.name for target in run.targets]
    return dict(sorted(settings.items(), key=lambda item: order.index(item[1][0].key.target)))


def _legend(run: Run, looks: dict[str, Style], settings: Settings) -> list[tuple[str, Markup]]:
    drawn = {cell.key.variant for cells in settings.values() for cell in cells}
    return [
        (variant.name, Markup(charts.swatch(looks[variant.name], f"key{place}")))  # noqa: S704  made by charts
        for place, variant in enumerate(run.variants)
        if variant.name in drawn
    ]


def _distributions(settings: Settings, looks: dict[str, Style], frames: Frames) -> Iterator[Chart]:
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


def _stages(settings: Settings) -> Iterator[Chart]:
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


def _trades(run: Run, settings: Settings, looks: dict[str, Style]) -> Iterator[Chart]:
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


def _courses(run: Run, looks: dict[str, Style]) -> Iterator[Chart]:
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


# --- budgets ---


@dataclass(frozen=True)
class Held:
    """A budget held against a cell, as a row."""

    check: BudgetCheck
    cell: Cell
    limit: str
    value: str
    interval: str


def _budgets(run: Run) -> list[Held]:
    """Return the checks, broken ones first, met ones last."""
    cells = {cell.id: cell for cell in run.cells}
    order = (Judgement.BROKEN, Judgement.UNDECIDED, Judgement.NOT_MEASURED, Judgement.MET)
    checks = sorted(run.budgets, key=lambda check: order.index(check.verdict))
    return [_held(check, cells[check.cell]) for check in checks]


def _held(check: BudgetCheck, cell: Cell) -> Held:
    value, _, interval = budgets.measured(check).partition(" (")
    return Held(check, cell, budgets.limit_of(check), value, interval.rstrip(")"))


# --- the choice ---


@dataclass(frozen=True)
class Chosen:
    """What to ship on a target, and the cells that no other beats there."""

    choice: Choice
    sentence: str
    front: list[Row]
    left_out: list[tuple[str, str]]


def _choices(run: Run, looks: dict[str, Style]) -> list[Chosen]:
    """Return the choices on real targets that have a choice: more than one cell, or a budget."""
    names = {cell.id: str(cell.key) for cell in run.cells}
    found = []
    for one in run.choices:
        cells = [cell for cell in run.candidates if cell.key.target == one.target]
        if not run.target(one.target).emulated and (len(cells) > 1 or run.budgets):
            front = [_row(run, run.cell(id), looks, 0.0) for id in one.front]
            left = [(names[entry.cell], entry.reason) for entry in one.left_out]
            found.append(Chosen(one, choice.sentence(run, one), front, left))
    return found


# --- memory, conditions, operators, fingerprints ---


def _memory(run: Run) -> list[tuple[Cell, float]]:
    """Return the cells whose memory was measured, with their share of the largest peak."""
    peaks = [(cell, peak) for cell in run.cells if (peak := cell.value("vm_hwm_mb", "all"))]
    largest = max((peak for _, peak in peaks), default=1.0)
    return [(cell, peak / largest) for cell, peak in peaks]


@dataclass(frozen=True)
class Conditions:
    """What could be read of a device while a cell was timed."""

    cell: Cell
    rounds: int
    counted: int
    clock: str
    temperature: str
    load: str
    left_out: str


def _conditions(run: Run) -> list[Conditions]:
    return [_condition(cell) for cell in run.cells if cell.rounds]


def _condition(cell: Cell) -> Conditions:
    seen = [vitals for entry in cell.rounds for vitals in entry.vitals]
    bad = [entry for entry in cell.rounds if entry.tainted or entry.outcome is not Outcome.OK]
    return Conditions(
        cell=cell,
        rounds=len(cell.rounds),
        counted=len(counted(cell.rounds)),
        clock=_span([v.clock_mhz for v in seen if v.clock_mhz is not None]),
        temperature=_span([v.temperature_c for v in seen if v.temperature_c is not None]),
        load=_span([v.load_1m for v in seen if v.load_1m is not None]),
        left_out="; ".join(sorted({entry.tainted or entry.reason or str(entry.outcome) for entry in bad})),
    )


def _span(values: Sequence[float]) -> str:
    if not values:
        return figures.NONE
    low, high = figures.number(min(values)), figures.number(max(values))
    return low if low == high else f"{low} to {high}"


@dataclass(frozen=True)
class Profile:
    """The operators of a cell that take most of its time, and each one's share of it."""

    cell: Cell
    total: float
    types: list[OperatorTime]
    nodes: list[OperatorTime]


def _profile(cell: Cell) -> Profile:
    types: dict[str, list[OperatorTime]] = {}
    for operator in cell.operators:
        types.setdefault(operator.type, []).append(operator)
    summed = [
        OperatorTime(
            type=name,
            node=f"{len(group)} nodes",
            ms_per_frame=sum(one.ms_per_frame for one in group),
            calls_per_frame=sum(one.calls_per_frame for one in group),
        )
        for name, group in types.items()
    ]
    total = sum(one.ms_per_frame for one in cell.operators)
    return Profile(cell, total, _slowest(summed), _slowest(cell.operators))


def _slowest(operators: Sequence[OperatorTime]) -> list[OperatorTime]:
    return sorted(operators, key=lambda one: -one.ms_per_frame)[:_OPERATORS]


@dataclass(frozen=True)
class Fingerprints:
    """What is the same in all cells, and what is not."""

    same: dict[str, object]
    differing: list[str]
    rows: list[tuple[Cell, list[object]]]


def _fingerprints(run: Run) -> Fingerprints:
    cells = [(cell, cell.fingerprint.model_dump()) for cell in run.cells if cell.fingerprint]
    values = {name: [content[name] for _, content in cells] for name in Fingerprint.model_fields} if cells else {}
    same = {name: found[0] for name, found in values.items() if len(set(found)) == 1}
    differing = [name for name in values if name not in same]
    return Fingerprints(same, differing, [(cell, [content[name] for name in differing]) for cell, content in cells])
