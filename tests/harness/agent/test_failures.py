from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgerig.preprocess import InputSpec, OutputSpec
from harness.agent.protocol import JobResult, StoredFile
from tests.harness.agent.client import SMALL, Client
from tests.harness.agent.conftest import JobMaker

LOGITS = OutputSpec("logits", index=1)


@pytest.mark.parametrize("at", ["load", "frame"])
@pytest.mark.parametrize(
    ("how", "outcome", "reason"),
    [
        ("segv", "crashed", "the child was ended by SIGSEGV"),
        ("abort", "crashed", "the child was ended by SIGABRT"),
        ("kill", "crashed", "the child was ended by SIGKILL"),
        ("exit", "crashed", "the child ended with status 7 and left no result"),
        ("raise", "failed", "RuntimeError: raised as the script says"),
        ("bad_alloc", "out-of-memory", "no memory was left to allocate"),
    ],
)
def test_a_child_that_fails(shared: Client, job_for: JobMaker, at: str, how: str, outcome: str, reason: str) -> None:
    script = shared.put_script(fail={"how": how, "at": at, "frame": 5})
    result = shared.run(job_for(shared, "latency", script))
    assert (result.outcome, result.reason[: len(reason)]) == (outcome, reason)
    assert shared.ask("hello").kind == "identity"


def test_the_last_phase_is_told(shared: Client, job_for: JobMaker) -> None:
    script = shared.put_script(fail={"how": "abort", "at": "frame", "frame": 5})
    assert shared.run(job_for(shared, "latency", script)).reason.endswith("the last phase was: frames")


def test_a_hanging_child_is_killed_at_its_deadline(shared: Client, job_for: JobMaker) -> None:
    script = shared.put_script(fail={"how": "hang", "at": "frame"})
    result = shared.run(job_for(shared, "latency", script, deadline_s=1.0))
    assert result.outcome == "timeout"
    assert result.reason.startswith("no end within 1 s")
    assert 1.0 <= result.seconds < 3.0


def test_a_child_above_its_memory_limit(shared: Client, job_for: JobMaker) -> None:
    script = shared.put_script(fail={"how": "oom", "at": "frame"})
    result = shared.run(job_for(shared, "latency", script, memory_limit_mb=768))
    assert (result.outcome, result.reason) == ("out-of-memory", "no memory was left to allocate")


def test_a_traceback_is_kept_for_who_asks(shared: Client, job_for: JobMaker) -> None:
    script = shared.put_script(fail={"how": "raise", "at": "load"})
    assert "Traceback" in shared.run(job_for(shared, "check", script)).stderr


def test_noise_on_stdout_does_not_reach_the_protocol(shared: Client, job_for: JobMaker) -> None:
    script = shared.put_script(fail={"how": "noise", "at": "frame"})
    result = shared.run(job_for(shared, "check", script))
    assert result.outcome == "ok"
    assert "noise from Python" in result.stderr
    assert '"kind":"result"' in result.stderr


@pytest.mark.parametrize(
    ("spec", "answer", "sentence"),
    [
        (
            InputSpec(224, 224, layout="NHWC"),
            LOGITS,
            "the manifest says NHWC 224x224 but the model's input 'x' is [?, 3, 8, 8]",
        ),
        (InputSpec(8, 9), LOGITS, "the manifest says NCHW 8x9 but the model's input 'x' is [?, 3, 8, 8]"),
        (
            replace(SMALL, dtype="uint8", scale=1 / 255),
            LOGITS,
            "the manifest says uint8 but the model's input 'x' is float32",
        ),
        (
            SMALL,
            OutputSpec("softmax", index=2),
            "the manifest says softmax with the positive class at index 2 but the model's output 'y' has 2 values",
        ),
    ],
)
def test_a_manifest_that_is_wrong(
    shared: Client, job_for: JobMaker, onnx_model: bytes, spec: InputSpec, answer: OutputSpec, sentence: str
) -> None:
    model = StoredFile("model.onnx", shared.put(onnx_model))
    for kind in ("check", "latency"):
        job = job_for(shared, kind, model, runtime="onnxruntime", input=spec, output=answer)
        result = shared.run(job)
        assert (result.outcome, result.reason) == ("failed", sentence)
        assert result.inputs  # what the model is, all the same


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda model: model[: len(model) // 2], "Protobuf parsing failed"),
        (lambda model: b"", "graph"),
        (lambda model: b"<html>not found</html>", "Protobuf parsing failed"),
    ],
)
def test_a_model_that_cannot_be_loaded(
    shared: Client, job_for: JobMaker, onnx_model: bytes, damage: Any, said: str
) -> None:
    model = StoredFile("model.onnx", shared.put(damage(onnx_model)))
    result = shared.run(job_for(shared, "inspect", model, runtime="onnxruntime"))
    assert result.outcome == "failed"
    assert result.reason.startswith("onnxruntime ")
    assert "cannot load model.onnx" in result.reason
    assert said in result.reason
    assert len(result.reason) < 120


def onnx_result(client: Client, job_for: JobMaker, model: bytes, **fields: Any) -> JobResult:
    stored = StoredFile("model.onnx", client.put(model))
    return client.run(job_for(client, "check", stored, runtime="onnxruntime", output=LOGITS, **fields))


def test_a_provider_that_is_not_there(shared: Client, job_for: JobMaker, onnx_model: bytes) -> None:
    result = onnx_result(shared, job_for, onnx_model, provider="cuda")
    assert result.outcome == "unsupported"
    assert "has no provider 'cuda'; it has: " in result.reason
    assert "cpu" in result.reason


@pytest.mark.parametrize("provider", ["CPU", "cpuexecutionprovider", "CPUExecutionProvider"])
def test_a_provider_by_any_of_its_names(shared: Client, job_for: JobMaker, onnx_model: bytes, provider: str) -> None:
    assert onnx_result(shared, job_for, onnx_model, provider=provider).outcome == "ok"


def test_a_silent_fallback_is_a_failure_unless_allowed(shared: Client, job_for: JobMaker) -> None:
    script = shared.put_script(provider="cpu")
    refused = shared.run(job_for(shared, "check", script, provider="gpu"))
    assert (refused.outcome, refused.reason) == ("failed", "null was asked for gpu and runs cpu")
    allowed = shared.run(job_for(shared, "check", script, provider="gpu", allow_fallback=True))
    assert (allowed.outcome, allowed.facts["provider"]) == ("ok", "cpu")


def test_a_runtime_that_nobody_knows(shared: Client, job_for: JobMaker) -> None:
    result = shared.run(job_for(shared, "check", shared.put_script(), runtime="caffe"))
    assert result.outcome == "unsupported"
    assert "knows no runtime 'caffe'; it knows: onnxruntime" in result.reason


def test_a_runtime_that_is_not_installed(tmp_path: Path, job_for: JobMaker, onnx_model: bytes, faces: bytes) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise ModuleNotFoundError('no', name='onnxruntime')")
    client = Client(tmp_path, env={"PYTHONPATH": str(tmp_path)})
    client.ask("hello")
    result = onnx_result(client, job_for, onnx_model)
    client.close()
    python = platform.python_version()
    assert result.outcome == "unsupported"
    told = f"onnxruntime is not installed on this device for Python {python} (it has no onnxruntime)"
    assert result.reason == f"{told}: install onnxruntime"


def test_a_device_without_opencv(tmp_path: Path, job_for: JobMaker) -> None:
    (tmp_path / "cv2.py").write_text("raise ImportError('no libGL')")
    client = Client(tmp_path, env={"PYTHONPATH": str(tmp_path)})
    client.ask("hello")
    encoded = client.run(job_for(client, "check", client.put_script()))
    raw = client.run(job_for(client, "check", client.put_script(), images=["0.npy"]))
    client.close()
    assert encoded.outcome == "unsupported"
    assert "OpenCV is not installed on this device" in encoded.reason
    assert raw.outcome == "ok"
    assert raw.facts["resizer"].startswith("numpy")


def test_a_format_that_the_runtime_does_not_read(shared: Client, job_for: JobMaker) -> None:
    result = shared.run(job_for(shared, "inspect", shared.put_script(), runtime="onnxruntime"))
    assert result.outcome == "unsupported"
    assert "not model.null" in result.reason


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (["0.png", "bad.png"], "bad.png cannot be decoded by opencv"),
        (["bad.png", "bad.png"], "bad.png and 1 more cannot be decoded"),
        (["gone.png"], "the face set has no gone.png"),
        (["flat.npy"], "flat.npy is no array"),
        (["0.png", "0.npy"], "mixes raw and encoded"),
        ([], "names no pictures"),
    ],
)
def test_pictures_that_are_none(shared: Client, job_for: JobMaker, images: list[str], said: str) -> None:
    result = shared.run(job_for(shared, "accuracy", shared.put_script(), images=images))
    assert result.outcome == "failed"
    assert said in result.reason
    assert result.arrays == []
    assert result.bad_images == [name for name in images if name == "bad.png"]


def test_a_face_set_that_is_no_zip(shared: Client, job_for: JobMaker) -> None:
    result = shared.run(job_for(shared, "check", shared.put_script(), faces=shared.put(b"no zip")))
    assert result.outcome == "failed"
    assert "is no zip" in result.reason


@pytest.mark.parametrize(
    ("fields", "outcome", "said"),
    [
        ({"faces": "0" * 64}, "failed", "the face set 000000000000 is not on the device"),
        ({"command": ["no-such-python"]}, "unsupported", "no-such-python cannot be started on this device"),
        ({"affinity": [4000]}, "failed", "cannot be had"),
        ({"input": None}, "failed", "neither what to feed"),
    ],
)
def test_a_job_that_cannot_be_done(
    shared: Client, job_for: JobMaker, fields: dict[str, Any], outcome: str, said: str
) -> None:
    result = shared.run(job_for(shared, "check", shared.put_script(), **fields))
    assert result.outcome == outcome
    assert said in result.reason


def test_a_job_of_an_unknown_kind(shared: Client, job_for: JobMaker) -> None:
    assert shared.run(job_for(shared, "dance", shared.put_script())).outcome == "unsupported"


@pytest.mark.parametrize("name", ["../model.null", "", "..", "a/b.null", "a\0.null", "x" * 256])
def test_a_model_under_a_name_that_is_none(shared: Client, job_for: JobMaker, name: str) -> None:
    result = shared.run(job_for(shared, "check", replace(shared.put_script(), name=name)))
    assert result.outcome == "failed"
    assert "is no plain file name" in result.reason


def test_a_model_under_any_plain_name(shared: Client, job_for: JobMaker) -> None:
    model = replace(shared.put_script(), name="gesichter, größer (1).null")
    assert shared.run(job_for(shared, "check", model)).outcome == "ok"
