"""The fixture `edgerig` in somebody's test suite: what passes, fails, warns, and what pytest-benchmark stores."""

from __future__ import annotations

import json
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest

from harness.api import BenchmarkRun
from harness.pytest_plugin import EdgerigUndecided, Measured
from reports.records import Run
from tests.reports import synthetic
from tests.support import models
from tests.test_architecture import loaded_by

ROOT = Path(__file__).parents[2]
FP32 = "mobilenetv3-small-fp32"

SUITE = """
import numpy as np

KEYS = dict(faces={faces!r}, setting="quick")

def test_real(edgerig):
    measured = edgerig("onnx/teacher.onnx", **KEYS)
    assert measured.require(p50_ms=10_000, size_mb=1).require(auc=.6) is measured
    assert measured.run.record.cells[0].key.runtime == "onnxruntime"
    rounds = measured.run.record.cells[0].rounds
    used = [entry for entry in rounds if not entry.tainted] or rounds
    frames = [np.load(measured.run.folder / "frames" / entry.frames)[entry.warmup:, -1] for entry in used]
    np.save("frames.npy", np.concatenate(frames))

def test_real_again_is_not_measured_again(edgerig):
    first, second = edgerig("onnx/teacher.onnx", **KEYS), edgerig("onnx/teacher.onnx", **KEYS)
    assert first.run is second.run
    assert len(list(first.run.folder.parent.iterdir())) == 1

def test_broken(edgerig):
    edgerig("onnx/teacher.onnx", **KEYS).require(size_mb=1e-6, auc=.5)

def test_not_there(edgerig):
    edgerig("onnx/teacher.onnx", **KEYS).require(energy_j=1)

def test_misspelt(edgerig):
    edgerig("onnx/teacher.onnx", **KEYS).require(p95=3)

def test_no_model(edgerig):
    edgerig("nothing.onnx", **KEYS)

def test_crashed(edgerig):
    edgerig("null/crashing.null", **KEYS).require(size_mb=1)

def test_own_benchmark(edgerig, benchmark):
    assert benchmark(lambda: edgerig("onnx/teacher.onnx", **KEYS).run).record.cells
"""


@pytest.fixture
def plugin(pytester: pytest.Pytester) -> tuple[str, ...]:
    """Return what loads the plugin into an inner pytest, where it is not installed already."""
    return () if entry_points(group="pytest11", name="edgerig") else ("-p", "harness.pytest_plugin")


def test_a_suite_measures_requires_and_stores(pytester: pytest.Pytester, plugin: tuple[str, ...], faces: Path) -> None:
    models.onnx_model(pytester.path / "onnx", "teacher")
    models.crashing_model(pytester.path / "null")
    pytester.makepyfile(SUITE.format(faces=str(faces)))
    done = pytester.runpytest_inprocess(*plugin, "-p", "no:timeout", "--benchmark-json=stored.json")
    done.assert_outcomes(passed=3, failed=5)
    said = done.stdout.str()
    assert "size_mb of teacher on x86, onnxruntime cpu, 1 thread: broken: " in said
    assert "at most 1e-06 MB" in said
    assert "auc of" not in said  # it was met
    assert "energy_j of teacher on x86, onnxruntime cpu, 1 thread: not measured: " in said
    assert "unknown budget 'p95'. Did you mean 'p95_ms'?" in said
    assert "nothing.onnx" in said
    assert "crashing on x86, null cpu, 1 thread: crashed: " in said
    assert "report.html" in said
    _stored_as_frames(pytester.path / "stored.json")


def _stored_as_frames(path: Path) -> None:
    """Hold what pytest-benchmark stored against the run's own frames."""
    stored = {entry["name"]: entry for entry in json.loads(path.read_text())["benchmarks"]}
    assert {"test_real", "test_own_benchmark"} <= stored.keys()
    entry = stored["test_real"]
    figures = entry["extra_info"]["edgerig"][0]
    assert (figures["variant"], figures["runtime"]) == ("teacher", "onnxruntime")
    times = np.asarray(entry["stats"]["data"])
    assert len(times) >= 2 * 16  # a quick run has two rounds of as many frames
    assert times == pytest.approx(np.load(path.with_name("frames.npy")) / 1e9, abs=1e-9)
    assert "edgerig" in stored["test_own_benchmark"]["extra_info"]


def measured(run: Run, tmp_path: Path, undecided: str = "warn") -> Measured:
    """Return one good cell of the drawn run, ready to be required of."""
    cell = next(cell for cell in run.cells if cell.key.variant == FP32)
    return Measured(BenchmarkRun(run.model_copy(update={"cells": (cell,)}), tmp_path), undecided)


@pytest.fixture(scope="module")
def run() -> Run:
    return synthetic.a_run()[0]


def test_an_undecided_budget_warns_fails_or_skips(run: Run, tmp_path: Path) -> None:
    near = run.cells[0].value("auc", "all")
    assert near is not None
    with pytest.warns(EdgerigUndecided, match=r"auc of .*: undecided: .* faces instead of 400"):
        measured(run, tmp_path).require(auc=near - 0.001)
    with pytest.raises(pytest.fail.Exception, match="undecided"):
        measured(run, tmp_path, "fail").require(auc=near - 0.001)
    with pytest.raises(pytest.skip.Exception, match="undecided"):
        measured(run, tmp_path, "skip").require(auc=near - 0.001)


def test_a_broken_budget_fails_before_an_undecided_one_warns(run: Run, tmp_path: Path) -> None:
    near = run.cells[0].value("auc", "all")
    assert near is not None
    with pytest.raises(pytest.fail.Exception, match=r"p50_ms of .* at most 0\.1 ms"):
        measured(run, tmp_path).require(auc=near, p50_ms=0.1)


def test_a_wrong_ini_option_is_refused(pytester: pytest.Pytester, plugin: tuple[str, ...]) -> None:
    done = pytester.runpytest_inprocess(*plugin, "-o", "edgerig_undecided=ignore")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["*edgerig_undecided must be one of warn, fail, skip.*"])


def test_the_plugin_is_announced_and_light() -> None:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    assert table == {"edgerig": "harness.pytest_plugin"}
    heavy = {"numpy", "pydantic", "pandas", "onnxruntime", "paramiko", "scipy", "reports", "targets"}
    assert loaded_by("import harness.pytest_plugin") & heavy == set()
