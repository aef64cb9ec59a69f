"""`report.html`: one file without scripts that opens offline, in light and dark, and prints.

The text is made by jinja2 with everything escaped, the charts by `reports.charts`; the page forbids itself to
load or to run anything. Nothing is computed here but shares of what was measured: intervals come with the run.
"""

from __future__ import annotations

from collections.abc import Iterator
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
    comparison_view,
    endurance,
    energy,
    engines,
    figures,
    instructions,
    nights,
    peers,
)
from reports.charts import Style
from reports.headline import sentences
from reports.page import cells, drawings, sections, starting
from reports.page.drawings import Frames
from reports.records import (
    PHASES,
    STAGES,
    Outcome,
    Run,
)

_OPEN = 4  # charts of a section that are shown at once; the others are folded

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
        "areas": agreement.areas,
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
    groups = cells.groups(run, looks)
    settings = drawings.settings(run)
    real = {target.name for target in run.targets if not target.emulated}
    return {
        "run": run,
        "headline": _headline(run),
        "notes": list(_notes(run)),
        "night": nights.sentence(run.night) if run.night else "",
        "style": Markup(asset("report.css")),  # noqa: S704  a file of ours
        "real": [group for group in groups if not group.target.emulated],
        "packed": figures.packed(run),
        "emulated": [group for group in groups if group.target.emulated],
        "legend": drawings.legend(run, looks, settings),
        "distribution": list(drawings.distributions(settings, looks, frames)),
        "stages": list(drawings.stages(settings)),
        "budgets": sections.budgets(run),
        "choices": sections.choices(run, looks),
        "budget_counts": budgets.counts(run),
        "trade": list(drawings.trades(run, settings, looks)),
        "stage_colours": charts.STAGE_COLOURS,
        "accuracy": accuracy_view.view(run),
        "comparisons": comparison_view.rows(run),
        "margin": run.gates.margin,
        "against": comparison_view.against(run),
        "agreement": agreement.by_kind(run),
        "engines": engines.sentences(run),
        "energy": [(cell, energy.measured_by(cell.rounds)) for cell in run.cells if cell.metric("energy_j", "all")],
        "endurance": endurance.sentences(run),
        "courses": list(drawings.courses(run, looks)),
        "starts": starting.strips(run),
        "strip": starting.WIDTH,
        "memory": sections.memory(run),
        "phases": PHASES,
        "conditions": sections.conditions(run),
        "profiles": [sections.profile(cell) for cell in run.cells if cell.operators and cell.key.target in real],
        "fingerprints": sections.fingerprints(run),
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


# --- the charts ---


# --- budgets ---


# --- the choice ---


# --- memory, conditions, operators, fingerprints ---
