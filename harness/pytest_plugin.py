"""The fixture `edgerig` of pytest: a test measures a model on a target, and requires budgets of it.

    def test_the_detector_is_fit_for_the_board(edgerig):
        edgerig("model.onnx", target="pi4", faces="faces/").require(p95_ms=33.3, auc=0.90, peak_mb=300)

Equal arguments are measured once a session. A budget that is broken, or cannot be held against anything, fails the
test; one that is undecided warns, fails or skips by the ini option `edgerig_undecided`. Where pytest-benchmark is at
work, the frame times are stored as its own. Nothing but pytest is imported before a test asks.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.api import BenchmarkRun
    from reports.records import BudgetCheck, Cell

UNDECIDED = ("warn", "fail", "skip")

_RUNS = pytest.StashKey[dict[str, "BenchmarkRun"]]()


class EdgerigUndecided(UserWarning):
    """A required budget is neither met nor broken for certain."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ini option."""
    text = f"what an undecided budget does to a test that requires it: {', '.join(UNDECIDED)}"
    parser.addini("edgerig_undecided", text, default=UNDECIDED[0])


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a wrong value of the ini option, and make room for the session's runs."""
    if config.getini("edgerig_undecided") not in UNDECIDED:
        raise pytest.UsageError(f"edgerig_undecided must be one of {', '.join(UNDECIDED)}.")
    config.stash[_RUNS] = {}


class Measured:
    """What was measured of a model, to require budgets of.

    Args:
        run: as `edgerig.benchmark` returns it.
        undecided: what an undecided budget does, one of UNDECIDED.
    """

    def __init__(self, run: BenchmarkRun, undecided: str = UNDECIDED[0]) -> None:
        self.run = run
        self._undecided = undecided

    def require(self, **limits: float) -> Measured:
        """Fail, warn or skip where a budget is not met; returns itself, so that more can be required.

        Args:
            limits: by the names of budgets, e.g. p95_ms=33.3, auc=.9; see docs/budgets.md.
        """
        from harness.planning import limits as known  # noqa: PLC0415 - see the module's docstring
        from reports.records import Judgement  # noqa: PLC0415

        _told(lambda: known.check(limits, (), "require"))
        checks = self._checks(limits)
        bad = [check for check in checks if check.verdict in (Judgement.BROKEN, Judgement.NOT_MEASURED)]
        lost = [_lost(cell) for cell in self.run.record.candidates if cell.outcome != "ok"]
        if bad or lost:
            pytest.fail(self._sentences(bad, lost), pytrace=False)
        open_ = [check for check in checks if check.verdict is Judgement.UNDECIDED]
        if open_:
            self._leave_open(self._sentences(open_, []))
        return self

    def _checks(self, limits: dict[str, float]) -> list[BudgetCheck]:
        from reports import budgets  # noqa: PLC0415

        record = self.run.record
        cells = [cell for cell in record.candidates if cell.outcome == "ok"]
        return [budgets.check(record, cell, name, limit) for cell in cells for name, limit in limits.items()]

    def _sentences(self, checks: Sequence[BudgetCheck], lost: Sequence[str]) -> str:
        from reports import budgets  # noqa: PLC0415

        said = [
            budgets.sentence(self.run.record, check) + (f" -> {check.next_step}" if check.next_step else "")
            for check in checks
        ]
        return "\n".join([*lost, *said, f"report: {self.run.report}"])

    def _leave_open(self, text: str) -> None:
        if self._undecided == "fail":
            pytest.fail(text, pytrace=False)
        if self._undecided == "skip":
            pytest.skip(text)
        warnings.warn(EdgerigUndecided(text), stacklevel=3)


def _lost(cell: Cell) -> str:
    step = f" -> {cell.next_step}" if cell.next_step else ""
    return f"{cell.key}: {cell.outcome}: {cell.reason}{step}"


def _told(action: Callable[[], Any]) -> Any:
    """Do something; an error of edgerig's fails the test in its own words."""
    from edgerig.errors import EdgerigError  # noqa: PLC0415

    try:
        return action()
    except EdgerigError as error:
        pytest.fail(f"{error.message} {error.hint}".strip(), pytrace=False)


@pytest.fixture
def edgerig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Measured]:
    """Return what measures a model: edgerig(model, target="x86", faces=None, **keys of [runs.NAME]).require(...)."""
    runs, undecided = request.config.stash[_RUNS], str(request.config.getini("edgerig_undecided"))

    def measure(model: str | Path, *, target: str = "x86", faces: str | Path | None = None, **keys: Any) -> Measured:
        asked = {"targets": (target,), "faces": faces, **keys}
        name = _name(Path(model), asked)
        if name not in runs:
            from harness.api import benchmark  # noqa: PLC0415

            asked.setdefault("out", tmp_path_factory.mktemp("edgerig"))
            runs[name] = _told(lambda: benchmark(model, **asked))
        _store(request, runs[name])
        return Measured(runs[name], undecided)

    return measure


def _name(model: Path, asked: dict[str, Any]) -> str:
    """Return what tells two measurements apart: the arguments, and the model's own bytes."""
    from edgerig import digest  # noqa: PLC0415

    content = digest.of_file(model) if model.is_file() else ""
    return json.dumps([str(model.resolve()), content, asked], sort_keys=True, default=str)


# -- pytest-benchmark: only its fixture, its marker `timer` and its options are used, which it documents


def _store(request: pytest.FixtureRequest, run: BenchmarkRun) -> None:
    """Hand the frame times of a run's first cell to pytest-benchmark, figures of all cells beside them."""
    if not _benchmarking(request.config):
        return
    ours = "benchmark" not in request.fixturenames  # a test that asks for the fixture itself times something else
    times = _frames(run) if ours else []
    if times:
        request.node.add_marker(pytest.mark.benchmark(timer=_replayed(times)))
    benchmark = request.getfixturevalue("benchmark") if times or not ours else None
    if benchmark is None:
        return
    benchmark.extra_info.setdefault("edgerig", []).extend(_figures(run))
    if times and benchmark.stats is None:  # a fixture is used once a test; a second model stands in extra_info
        benchmark.pedantic(lambda: None, rounds=len(times), iterations=1)


def _benchmarking(config: pytest.Config) -> bool:
    on = config.pluginmanager.hasplugin("benchmark")
    off = config.getoption("benchmark_skip", False) or config.getoption("benchmark_disable", False)
    return on and not off


def _frames(run: BenchmarkRun) -> list[float]:
    """Return the counted end-to-end times of the first real cell in seconds, [] where there are none."""
    import numpy as np  # noqa: PLC0415

    from reports.trust import counted  # noqa: PLC0415

    record = run.record
    for cell in record.candidates:
        rounds = [entry for entry in counted(cell.rounds) if entry.frames]
        if rounds and not record.target(cell.key.target).emulated:
            files = [(run.folder / "frames" / str(entry.frames), entry.warmup) for entry in rounds]
            times = np.concatenate([np.load(path)[warmup:, -1] for path, warmup in files])
            return [float(value) / 1e9 for value in times]
    return []


def _replayed(times: Sequence[float]) -> Callable[[], float]:
    """Return a clock by which the n-th thing that is timed takes times[n]: it is read before and after each."""
    now, reads = 0.0, 0

    def edgerig_frames() -> float:
        nonlocal now, reads
        if reads % 2 and reads // 2 < len(times):
            now += times[reads // 2]
        reads += 1
        return now

    return edgerig_frames


def _figures(run: BenchmarkRun) -> list[dict[str, object]]:
    """Return the figures of each cell by the names of budgets."""
    from reports import budgets  # noqa: PLC0415

    record = run.record
    return [
        {
            **cell.key.model_dump(),
            "outcome": str(cell.outcome),
            "trust": str(cell.verdict.trust) if cell.verdict else None,
            "run": record.id,
            **{name: found.value for name in budgets.BUDGETS if (found := budgets.figure(record, cell, name))},
        }
        for cell in record.candidates
    ]
