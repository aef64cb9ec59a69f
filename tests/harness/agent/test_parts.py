"""The agent's parts that need no device, or a worse one than this."""

from __future__ import annotations

import ast
import hashlib
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edgerig.preprocess import resize
from harness.agent import frame, parent, protocol, vitals
from harness.agent.decoder import Decoder
from harness.agent.endings import Ending, explain_end, memory_left
from harness.agent.failures import LONGEST, explain, sentence
from harness.agent.identity import cpu_name
from harness.agent.protocol import Vital
from harness.agent.runtimes import ort
from harness.agent.spool import KEPT, Spool
from harness.agent.store import Store
from harness.agent.vitals import Vitals
from harness.agent.wire import GoneError, Wire
from harness.devices import pack

MEMBERS = sorted(name for name, data in pack.contents().items() if data)
MAY_IMPORT = {"harness", "edgerig", "numpy", "cv2", "onnxruntime", "ai_edge_litert", "tflite_runtime", "openvino"}


@pytest.mark.parametrize("member", MEMBERS)
def test_the_agent_is_good_for_python_3_8(member: str) -> None:
    tree = ast.parse(pack.contents()[member], feature_version=(3, 8))
    annotated = any(isinstance(node, ast.AnnAssign | ast.arg) for node in ast.walk(tree))
    futures = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    assert futures or not annotated  # else "X | None" is evaluated


@pytest.mark.parametrize("member", MEMBERS)
def test_the_agent_imports_what_a_device_has(member: str) -> None:
    for node in ast.walk(ast.parse(pack.contents()[member])):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            assert name.split(".")[0] in MAY_IMPORT | sys.stdlib_module_names
            if name.split(".")[0] in {"harness", "edgerig"}:
                assert name.startswith(("harness.agent", "edgerig.preprocess"))


def test_low_memory_is_three_per_cent_or_64_mb() -> None:
    small = "MemTotal:  1000000 kB\nMemFree: 1 kB\nMemAvailable:    70000 kB\n"
    assert memory_left(small) == (70000, 65536)
    assert memory_left("MemTotal: 10000000 kB\nMemAvailable: 200000 kB\n") == (200000, 300000)
    assert memory_left("MemTotal: 10000000 kB\n") is None  # Linux before 3.14


@pytest.mark.parametrize(
    ("ending", "outcome", "reason"),
    [
        (Ending(-9, killed_for="memory"), "out-of-memory", "the device ran out of memory"),
        (Ending(-9, kernel_killed=True), "out-of-memory", "the kernel killed the child"),
        (Ending(-9), "crashed", "the child was ended by SIGKILL"),
        (Ending(128 + signal.SIGILL), "crashed", "the child was ended by SIGILL"),
        (Ending(1, stderr="OSError: [Errno 28] No space left on device"), "failed", "no space was left"),
        (Ending(None), "crashed", "the child ended with status None"),
    ],
)
def test_endings(ending: Ending, outcome: str, reason: str) -> None:
    told = explain_end(ending, "frames", 5.0)
    assert told[0] == outcome
    assert told[1].startswith(reason)
    assert told[1].endswith("the last phase was: frames")


def test_reasons_are_one_line_of_bounded_length() -> None:
    assert sentence("a\n  b\tc") == "a b c"
    assert len(sentence("word " * 1000)) == LONGEST
    assert sentence(KeyError("token")) == "'token' is missing"
    assert explain(MemoryError())[0] == "out-of-memory"
    assert explain(RuntimeError("std::bad_alloc"))[0] == "out-of-memory"
    assert explain(OSError(12, "Cannot allocate memory"))[0] == "out-of-memory"
    assert explain(ValueError("x")) == ("failed", "ValueError: x")


def test_cpu_names() -> None:
    assert cpu_name("processor: 0\nmodel name\t: AMD EPYC\nmodel name\t: AMD EPYC\n") == "AMD EPYC"
    assert cpu_name("CPU part\t: 0xd08\n") == "Cortex-A72"
    assert cpu_name("CPU part\t: 0xd03\nCPU part\t: 0xd03\nCPU part\t: 0xfff\n") == "Cortex-A53 + ARM part 0xfff"
    assert cpu_name("CPU implementer\t: 0x46\nCPU part\t: 0x001\n") == "A64FX"
    assert cpu_name("CPU implementer\t: 0x51\nCPU part\t: 0xd03\n") == "ARM part 0xd03 of 0x51"
    assert cpu_name("") is None


def test_providers_by_short_name() -> None:
    available = ["XnnpackExecutionProvider", "CPUExecutionProvider"]
    assert ort.resolve("xnnpack", available) == "XnnpackExecutionProvider"
    assert ort.resolve("CpuExecutionProvider", available) == "CPUExecutionProvider"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (
            "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model from /a/b.onnx failed:Protobuf parsing failed.",
            "Protobuf parsing failed",
        ),
        (
            "[ONNXRuntimeError] : 1 : FAIL : Load model from /m.onnx failed:/src/core/graph/model.cc:256 "
            "onnxruntime::Model::Model(onnx::ModelProto&&, const PathString&) Unsupported model IR version: 99, "
            "max supported IR version: 13\n",
            "Unsupported model IR version: 99, max supported IR version: 13",
        ),
    ],
)
def test_what_onnxruntime_says_without_its_sources(said: str, kept: str) -> None:
    assert ort.said(RuntimeError(said)) == kept


def test_a_profile_does_not_count_its_warmup() -> None:
    def frame_at(begin: int, took: int) -> list[dict[str, object]]:
        node = {"cat": "Node", "name": "conv_kernel_time", "ts": begin + 1, "dur": took, "args": {"op_name": "Conv"}}
        return [node, {"cat": "Session", "name": "model_run", "ts": begin, "dur": took + 2}]

    events = [*frame_at(0, 9000), *frame_at(10_000, 1000), *frame_at(20_000, 3000)]
    assert ort.aggregate(events, 1) == [protocol.Operator("Conv", "conv", 2.0, 1.0)]
    assert ort.aggregate(events, 3) == []


def test_durations_of_five_readings() -> None:
    ticks = np.array([[10, 11, 13, 16, 20]])
    assert frame.durations(ticks, raw=False).tolist() == [[1, 2, 3, 4, 10]]
    assert frame.durations(ticks, raw=True).tolist() == [[-1, 2, 3, 4, 9]]


def test_vitals_of_a_long_job_are_thinned_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temp").write_text("x" * 1000)
    monkeypatch.setattr(vitals, "MAX_BYTES", 20_000)
    sampled = Vitals([Vital("temp", file=str(tmp_path / "temp"))])
    sampled.sample("before")
    for _ in range(200):
        sampled.sample("during")
    sampled.sample("after")
    kept = sampled.samples
    assert len(kept) <= 20
    assert [kept[0]["when"], kept[-1]["when"]] == ["before", "after"]
    assert kept[-2]["seconds"] > 0


def test_what_disturbs_is_read_before_and_after_alone(tmp_path: Path) -> None:
    (tmp_path / "temp").write_text("1")
    sampled = Vitals([Vital("clock", file=str(tmp_path / "temp")), Vital("heat", command=["echo", "2"], during=False)])
    for when in ("before", "during", "after"):
        sampled.sample(when)
    assert [sorted(sample["texts"]) for sample in sampled.samples] == [["clock", "heat"], ["clock"], ["clock", "heat"]]


def test_a_command_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vitals, "COMMAND_S", 0.2)
    begin = time.monotonic()
    assert vitals.read(Vital("slow", command=["sh", "-c", "echo first; sleep 60 & sleep 60"])) == {"slow": "first\n"}
    assert time.monotonic() - begin < 5


def test_a_vital_that_is_a_pipe_or_a_folder_does_not_stop_the_job(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert vitals.read(Vital("pipe", file=str(tmp_path / "pipe"))) == {"pipe": ""}
    assert vitals.read(Vital("folder", file=str(tmp_path))) == {}
    assert vitals.read(Vital("nothing")) == {}


def test_results_that_nobody_fetches_do_not_fill_the_device(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for number in range(KEPT + 5):
        folder = spool.begin(protocol.Job(f"job-{number}", "check", [], "null"))
        os.utime(folder, (number, number))
    kept = {path.name for path in (tmp_path / "spool").iterdir()}
    assert len(kept) == KEPT
    assert f"job-{KEPT + 4}" in kept
    assert "job-0" not in kept


def test_lines_come_whole_however_they_are_cut() -> None:
    listen, write = os.pipe()
    wire = Wire(listen, write)
    os.write(write, b"one\ntw")
    assert wire.line() == b"one"
    os.write(write, b"o\n\nthree\nrest")
    assert [wire.line() for _ in range(3)] == [b"two", b"", b"three"]
    os.close(write)
    with pytest.raises(GoneError):
        wire.line()
    with pytest.raises(GoneError):
        wire.send("hello", 1)
    os.close(listen)


def test_a_child_is_killed_before_the_device_has_no_memory_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = b'{"fail": {"how": "hang", "at": "load"}}'
    digest = hashlib.sha256(script).hexdigest()
    store = Store(tmp_path)
    (tmp_path / "store" / digest).write_bytes(script)
    job = protocol.Job("job", "inspect", [protocol.StoredFile("model.null", digest)], "null")
    monkeypatch.setattr(parent, "memory_left", lambda meminfo: (1, 2))
    listen, write = os.pipe()
    folder = Spool(tmp_path).begin(job)
    result = parent.measure(job, folder, store, str(pack.build(tmp_path)), Wire(listen, write), 1)
    os.close(listen)
    os.close(write)
    assert result["outcome"] == "out-of-memory"
    assert result["reason"].startswith("the device ran out of memory")


def test_a_result_that_is_too_long_for_a_line_loses_what_can_be_missed() -> None:
    result = {"outcome": "ok", "vitals": ["x" * protocol.MAX_LINE], "operators": [1], "bad_images": []}
    assert parent._bounded(result) == {"outcome": "ok", "vitals": [], "operators": [1], "bad_images": []}


@pytest.mark.parametrize(("height", "width"), [(8, 40), (40, 8), (8, 8), (40, 40), (20, 20)])
@pytest.mark.parametrize("method", ["area", "linear"])
def test_opencv_resizes_as_numpy_does(height: int, width: int, method: str) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (20, 20, 3), np.uint8)
    resizer = Decoder(["x.png"]).resize
    assert resizer is not None
    difference = resizer(picture, height, width, method).astype(int) - resize(picture, height, width, method)
    assert np.abs(difference).max() <= 1
