"""Models that a provider compiles: built once, under a clock of their own, kept by all that they depend on."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from harness.agent import engines
from harness.agent.protocol import Job, JobResult, StoredFile
from harness.agent.runtimes import ort
from tests.harness.agent.client import SMALL, Client
from tests.harness.agent.conftest import JobMaker

BUILD_MS = 300


@pytest.fixture
def built(agent: Client, job_for: JobMaker) -> Job:
    """Return a job of a slow compiler."""
    script = agent.put_script(build_ms=BUILD_MS, scores=[0.5])
    return job_for(agent, "build", script, provider="compiled", engines=True, images=["0.png"])


def times(result: JobResult) -> tuple[float, float]:
    """Return the ms of building and of loading."""
    assert result.outcome == "ok", result.reason
    return result.times_ns.get("engine", -1) / 1e6, result.times_ns.get("load", 0) / 1e6


def test_an_engine_is_built_once_and_loading_is_not_building(agent: Client, built: Job, job_for: JobMaker) -> None:
    building, _ = times(agent.run(built))
    assert building >= BUILD_MS
    assert times(agent.run(replace(built, token="again")))[0] == 0
    _, loading = times(agent.run(replace(built, token="check", kind="check")))
    assert loading < BUILD_MS


def test_another_thread_count_has_the_same_engine_and_other_options_another(agent: Client, built: Job) -> None:
    agent.run(built)
    assert times(agent.run(replace(built, token="threads", threads=2)))[0] == 0
    assert times(agent.run(replace(built, token="options", options={"fp16": "1"})))[0] >= BUILD_MS


def test_an_engine_that_was_cut_off_is_built_again(agent: Client, built: Job) -> None:
    assert agent.run(replace(built, token="short", deadline_s=0.2)).outcome == "timeout"
    assert times(agent.run(built))[0] >= BUILD_MS


def test_a_build_that_fails_leaves_no_engine(agent: Client, job_for: JobMaker) -> None:
    script = agent.put_script(build_ms=1, fail={"how": "raise", "at": "frame"})
    job = job_for(agent, "build", script, provider="compiled", engines=True, images=["0.png"])
    assert agent.run(job).outcome == "failed"
    assert list(agent.root.glob("engines/*/whole")) == []


def job(**changes: object) -> Job:
    return replace(Job("t", "build", [StoredFile("model.onnx", "a" * 64)], "onnxruntime", "tensorrt"), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [{"model": [StoredFile("model.onnx", "b" * 64)]}, {"options": {"x": "1"}}, {"provider": "cuda"}, {"input": SMALL}],
    ids=["model", "options", "provider", "input"],
)
def test_an_engine_is_known_by_all_that_it_depends_on(tmp_path: Path, changes: dict[str, object]) -> None:
    one = engines.folder(job(), tmp_path, "onnxruntime 1.23.2")
    assert engines.folder(job(threads=4, token="u", kind="check"), tmp_path, "onnxruntime 1.23.2") == one
    assert engines.folder(job(**changes), tmp_path, "onnxruntime 1.23.2") != one
    assert engines.folder(job(), tmp_path, "onnxruntime 1.23.3") != one


def test_engines_that_were_not_used_for_the_longest_time_go(tmp_path: Path) -> None:
    paths = [tmp_path / "engines" / str(number) for number in range(engines.KEPT + 3)]
    for number, path in enumerate(paths[:-1]):
        path.mkdir(parents=True)
        engines.end(path)
        os.utime(path / "whole", (number, number))
    assert engines.whole(paths[0])  # used now
    engines.begin(paths[-1])
    left = {path.name for path in paths[0].parent.iterdir()}
    assert (len(left), {"0", paths[-1].name} <= left, "1" in left) == (engines.KEPT, True, False)


def test_tensorrt_is_told_where_engines_are(tmp_path: Path) -> None:
    options = ort.engine_options("TensorrtExecutionProvider", tmp_path)
    assert options["trt_engine_cache_enable"] == options["trt_timing_cache_enable"] == "1"
    assert options["trt_engine_cache_path"] == options["trt_timing_cache_path"] == str(tmp_path)
    assert ort.engine_options("CPUExecutionProvider", tmp_path) == {}
    assert ort.engine_options("TensorrtExecutionProvider", None) == {}
