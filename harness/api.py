"""The same from Python: `edgerig.benchmark`, `edgerig.load_run`, `edgerig.pick`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from edgerig import toml
from edgerig.errors import ConfigError
from harness import config, progress, state, workflow
from harness.config import RunTable
from harness.findings import choosing, collect, sidebyside
from harness.planning import prepare
from harness.progress import Progress
from reports import text
from reports.across import Across
from reports.deployment import Deployment
from reports.records import Run

Paths = str | Path | Sequence[str | Path]


class BenchmarkRun:
    """What a run learned; in a notebook it shows itself as a table.

    Attributes:
        record: everything, as typed records (`reports.records.Run`).
        folder: where report.html and the other files are.
    """

    def __init__(self, record: Run, folder: Path) -> None:
        self.record = record
        self.folder = folder
        self._cells, self._results = text.to_frames(record)

    @property
    def cells(self) -> pd.DataFrame:
        """A row a cell, as in cells.csv."""
        return self._cells

    @property
    def results(self) -> pd.DataFrame:
        """A row a figure, as in results.csv."""
        return self._results

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder / "report.html"

    def __repr__(self) -> str:
        return f"<run {self.record.id}: {len(self.record.cells)} cells, {self.record.headline}>"

    def _repr_html_(self) -> str:
        return text.notebook(self.record)


def benchmark(  # noqa: PLR0913 - the options of a command, by keyword
    variants: Paths | None = None,
    *,
    faces: str | Path | None = None,
    targets: Sequence[str] = ("x86",),
    runtimes: Sequence[str] = (),
    threads: Sequence[int] = (1,),
    setting: Literal["default", "quick", "full"] = "default",
    sample: int | None = None,
    seed: int = 0,
    budget_s: float = 60.0,
    out: str | Path = "runs",
    show_progress: bool = False,
    **more: Any,
) -> BenchmarkRun:
    """Measure variants on targets, as `edgerig run` does, and return what was learned.

    Args:
        variants: names, manifests, models with a manifest beside them, folders, or "shipped"; six of those by default.
        faces: folder or pack of faces; the shipped drawn faces by default.
        targets: names of targets, of edgerig.toml or shipped.
        runtimes: that of a variant's format by default.
        threads: thread counts.
        setting: "quick" is a look, not a measurement; "full" takes 60 s a round.
        sample: about so many faces for accuracy, stratified.
        seed: of the order of rounds and of the sample.
        budget_s: seconds of a cell's rounds after which it gets no more than the fewest.
        out: folder of runs; the run's own is made in it.
        show_progress: bars on stderr.
        more: other keys of [runs.NAME] in edgerig.toml.

    Raises:
        edgerig.errors.UserError: something that was asked for is not there or makes no sense.
    """
    words = () if variants is None else _words(variants)
    if variants is not None and not words:
        raise ConfigError("there are no variants to measure: the list is empty.", "None measures six that ship.")
    asked = {
        "variants": words,
        "faces": str(faces) if faces is not None else None,
        "targets": tuple(targets),
        "runtimes": tuple(runtimes),
        "threads": tuple(threads),
        "setting": setting,
        "sample": sample,
        "seed": seed,
        "budget_s": budget_s,
        **more,
    }
    table = toml.validated(RunTable, asked, "edgerig.benchmark")
    planned = prepare.prepared(config.load(None), table, Path(out), argv=["edgerig.benchmark"])
    teller: Progress = progress.shown_on(progress.on_stderr()) if show_progress else progress.Silent()
    return BenchmarkRun(*workflow.start(planned, Path(out), teller))


def pick(run: BenchmarkRun | str | Path, *, targets: Sequence[str] = (), rank: str = "p50_ms") -> Deployment:
    """Return what to ship on each target, the content of choice.json.

    Args:
        run: a run, or what `load_run` takes.
        targets: those to choose for; all of the run by default.
        rank: the figure to rank by, the name of a budget.

    Raises:
        edgerig.errors.UserError: there is no such run, target or figure.
    """
    loaded = run if isinstance(run, BenchmarkRun) else load_run(run)
    return choosing.chosen(loaded.record, rank, tuple(targets))


def _words(variants: Paths) -> tuple[str, ...]:
    return (str(variants),) if isinstance(variants, str | Path) else tuple(str(entry) for entry in variants)


def load_run(path: str | Path, runs: str | Path = "runs") -> BenchmarkRun:
    """Return a run that was measured before.

    Args:
        path: its folder, its id, the beginning of its id, or "latest".
        runs: the folder of runs, for ids.

    Raises:
        edgerig.errors.RunError: there is no such run, or it is damaged.
    """
    folder = workflow.find_run(Path(runs), str(path))
    return BenchmarkRun(collect.collect(state.read(folder), folder), folder)


def compare(
    candidate: str | Path, baseline: str | Path, *, allow: Sequence[str] = (), runs: str | Path = "runs"
) -> Across:
    """Return two runs side by side, as `edgerig compare` does: what is seen, no decision.

    Args:
        candidate: folder, id, beginning of an id, or "latest" of the run that is asked about.
        baseline: the same of the other one.
        allow: keys of the fingerprint that may differ.
        runs: the folder of runs, for ids.

    Raises:
        edgerig.errors.ConfigError: the runs are unlike in a key that is not allowed.
        edgerig.errors.RunError: there is no such run, or they share no cell.
    """
    here, there = (workflow.find_run(Path(runs), str(name)) for name in (candidate, baseline))
    return sidebyside.compared(here, there, allow)
