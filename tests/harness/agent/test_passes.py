from __future__ import annotations

import hashlib
import json
import math
import os
import sys
from dataclasses import replace

import numpy as np
import pytest

from edgerig.preprocess import OutputSpec
from harness.agent.protocol import PHASES, Job, JobResult, StoredFile, Tensor
from tests.harness.agent.client import Client
from tests.harness.agent.conftest import PICTURES, JobMaker, Pictures

LOGITS = OutputSpec("logits", index=1)
RAW = [f"{number}.npy" for number in range(PICTURES)]


@pytest.fixture
def net(shared: Client, onnx_model: bytes) -> StoredFile:
    return StoredFile("model.onnx", shared.put(onnx_model))


def good(client: Client, job: Job) -> JobResult:
    result = client.run(job)
    assert (result.outcome, result.reason) == ("ok", "")
    assert result.token == job.token
    for entry in result.arrays:
        data = (client.root / "spool" / job.token / entry.name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == entry.sha256
    return result


def test_inspect_describes_the_tensors(shared: Client, net: StoredFile, job_for: JobMaker) -> None:
    job = job_for(shared, "inspect", net, runtime="onnxruntime", input=None, output=None, faces=None, images=[])
    result = good(shared, job)
    assert result.inputs == [Tensor("x", [None, 3, 8, 8], "float32")]
    assert result.outputs == [Tensor("y", [None, 2], "float32")]
    assert result.facts["provider"] == "CPUExecutionProvider"
    assert result.facts["threads"] == "1"
    assert set(result.times_ns) == {"import", "load"}


def test_check_runs_one_frame(shared: Client, net: StoredFile, job_for: JobMaker) -> None:
    result = good(shared, job_for(shared, "check", net, runtime="onnxruntime", output=LOGITS))
    assert result.times_ns["first_frame"] > 0
    assert result.facts["decoder"].startswith("opencv ")


def test_accuracy_with_onnxruntime(shared: Client, net: StoredFile, job_for: JobMaker, pictures: Pictures) -> None:
    job = job_for(shared, "accuracy", net, runtime="onnxruntime", output=LOGITS)
    result = good(shared, job)
    logits = [4 * picture[:, :, 2].mean() / 255 - 2 for picture in pictures]  # red is the first channel of RGB
    outputs, scores = shared.array(job, "outputs.npy"), shared.array(job, "scores.npy")
    assert (outputs.dtype, scores.dtype) == (np.float32, np.float64)
    np.testing.assert_allclose(outputs, [[0, logit] for logit in logits], atol=1e-5)
    np.testing.assert_allclose(scores, [1 / (1 + math.exp(-logit)) for logit in logits], atol=1e-5)
    digest = hashlib.sha256(b"".join(b"8 8 3\n" + picture.tobytes() for picture in pictures))
    assert result.pixels_sha256 == digest.hexdigest()


def test_raw_pixels_are_the_same_pictures(shared: Client, net: StoredFile, job_for: JobMaker) -> None:
    encoded = job_for(shared, "accuracy", net, runtime="onnxruntime", output=LOGITS)
    raw = replace(encoded, token=f"{encoded.token}-raw", images=RAW)
    first, second = good(shared, encoded), good(shared, raw)
    assert first.pixels_sha256 == second.pixels_sha256
    assert second.facts["decoder"] == "none"
    np.testing.assert_array_equal(shared.array(encoded, "scores.npy"), shared.array(raw, "scores.npy"))


def test_latency_with_onnxruntime(shared: Client, net: StoredFile, job_for: JobMaker) -> None:
    job = job_for(shared, "latency", net, runtime="onnxruntime", output=LOGITS)
    result = good(shared, job)
    frames = shared.array(job, "frames.npy")
    assert (frames.dtype, frames.shape, result.warmup) == (np.int64, (3 + 8, 5), 3)
    assert (frames > 0).all()
    np.testing.assert_array_equal(frames[:, :4].sum(axis=1), frames[:, 4])
    assert result.times_ns["first_frame"] == frames[0, 4]


def test_latency_is_what_the_script_says(shared: Client, job_for: JobMaker) -> None:
    script = shared.put_script(latency_ms=[1, 4, 2])
    job = job_for(shared, "latency", script, images=RAW)
    result = good(shared, job)
    frames = shared.array(job, "frames.npy")
    inference = frames[:, 2] / 1e6
    expected = np.resize([1, 4, 2], 11)
    assert (inference >= expected).all()
    assert np.median(inference - expected) < 0.2
    assert (frames[:, 0] == -1).all()  # raw pixels are not decoded
    np.testing.assert_array_equal(frames[:, 1:4].sum(axis=1), frames[:, 4])
    assert result.warmup == 3


def test_latency_goes_on_until_the_seconds_are_over(shared: Client, job_for: JobMaker) -> None:
    script = shared.put_script(latency_ms=5)
    job = job_for(shared, "latency", script, warmup_s=0.1, min_s=0.2)
    warmup = good(shared, job).warmup
    frames = shared.array(job, "frames.npy")
    assert frames[1:warmup, 4].sum() >= 0.09e9
    assert frames[warmup:, 4].sum() >= 0.19e9


def test_many_fast_frames_need_more_than_one_chunk(shared: Client, job_for: JobMaker) -> None:
    job = job_for(shared, "latency", shared.put_script(), images=RAW, min_frames=10_000)
    good(shared, job)
    frames = shared.array(job, "frames.npy")
    assert len(frames) == 10_003
    assert (frames[:, 4] > 0).all()


def test_pictures_are_fed_in_order(shared: Client, job_for: JobMaker, pictures: Pictures) -> None:
    script = shared.put_script(scores={"mode": "mean"})
    job = job_for(shared, "accuracy", script, images=["3.png", "0.png", "3.png"])
    good(shared, job)
    means = [pictures[number].mean() / 255 for number in (3, 0, 3)]
    np.testing.assert_allclose(shared.array(job, "scores.npy"), means, atol=1e-6)


def test_scores_that_are_no_numbers_are_kept_as_they_are(shared: Client, job_for: JobMaker) -> None:
    script = shared.put_script(scores=[0.25, "nan", "inf"])
    job = job_for(shared, "accuracy", script, images=RAW[:3])
    good(shared, job)
    np.testing.assert_array_equal(shared.array(job, "scores.npy"), [0.25, np.nan, np.inf])


def test_memory_by_phase(shared: Client, net: StoredFile, job_for: JobMaker) -> None:
    result = good(shared, job_for(shared, "memory", net, runtime="onnxruntime", output=LOGITS))
    assert tuple(result.memory_mb) == PHASES
    peaks = [result.memory_mb[phase]["vm_hwm"] for phase in PHASES]
    assert peaks == sorted(peaks)
    assert peaks[1] > peaks[0] + 1  # MiB: a runtime is not nothing


def test_profile_names_the_operators(shared: Client, net: StoredFile, job_for: JobMaker) -> None:
    job = job_for(shared, "profile", net, runtime="onnxruntime", output=LOGITS)
    rows = good(shared, job).operators
    assert {row.type for row in rows} >= {"GlobalAveragePool"}
    assert all(row.calls_per_frame == 1 for row in rows)
    assert all(row.ms_per_frame < 5 for row in rows)
    assert not list((shared.root / "spool" / job.token).glob("*profile*"))


def test_affinity_is_kept(shared: Client, job_for: JobMaker) -> None:
    processor = max(os.sched_getaffinity(0))
    result = good(shared, job_for(shared, "check", shared.put_script(), affinity=[processor]))
    assert result.facts["affinity"] == str(processor)


def test_the_child_is_started_by_the_command_of_the_job(shared: Client, job_for: JobMaker) -> None:
    job = job_for(shared, "check", shared.put_script(), command=["env", "OPENBLAS_NUM_THREADS=3", sys.executable])
    good(shared, job)


def test_the_spool_keeps_what_is_needed(shared: Client, job_for: JobMaker) -> None:
    job = job_for(shared, "accuracy", shared.put_script())
    good(shared, job)
    folder = shared.root / "spool" / job.token
    assert {path.name for path in folder.iterdir()} == {"job.json", "result.json", "scores.npy", "outputs.npy"}
    assert json.loads((folder / "job.json").read_text())["token"] == job.token
