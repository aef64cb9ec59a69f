"""The runtimes of devices, for real: the same net in ONNX, TensorFlow Lite and OpenVINO, and what really ran."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from harness.agent.protocol import JobResult, StoredFile
from harness.agent.runtimes import onnx_types, precision
from model_zoo import manifest, select
from tests.harness.agent.client import SMALL, Client
from tests.harness.agent.conftest import JobMaker, Pictures
from tests.support import models, openvino, tflite
from tests.support.faces import FAKE_RED

Trial = Callable[..., JobResult]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the same net in every format, which a high answer of means "real"; 8x8 pixels."""
    folder = tmp_path_factory.mktemp("zoo")
    made = {
        "onnx": models.keras_model(folder, "plain", size=8),
        "float": tflite.tflite_model(folder, "float", size=8),
        "int8": tflite.tflite_model(folder, "int8", quantized=True, size=8),
        "mixed": tflite.tflite_model(folder, "mixed", mixed=True, size=8),
        "any": tflite.of_any_size(tflite.tflite_model(folder, "any", size=8)),
    }
    irs = {name: openvino.openvino_model(made["onnx"], half=name == "half") for name in ("ir", "half")}
    return {**made, **irs}


@pytest.fixture
def trial(shared: Client, job_for: JobMaker, zoo: dict[str, Path]) -> Trial:
    """Return what has an agent do a job with one of the nets, fed and read as its manifest says."""

    def run(name: str, kind: str, runtime: str, **fields: Any) -> JobResult:
        variant = manifest.load(zoo[name].with_suffix(".toml"))
        names = [f"model{variant.path.suffix}", *(path.name for path in variant.files[1:])]
        files = [
            StoredFile(file, shared.put(path.read_bytes())) for file, path in zip(names, variant.files, strict=True)
        ]
        specs = {"input": variant.manifest.input.spec(), "output": variant.output_spec()}
        job = job_for(shared, kind, files[0], runtime=runtime, **{**specs, **fields})
        return shared.run(replace(job, model=files))

    return run


def expected(pictures: Pictures) -> list[float]:
    """Return what numpy makes of the net: see `tests.support.models`."""
    reds = np.array([picture[:, :, 2].mean() for picture in pictures])
    real = 4.0 / 30**2 * (reds - FAKE_RED) ** 2 - 4.0
    return [float(1 - 1 / (1 + np.exp(-logit))) for logit in real]


@pytest.mark.parametrize(
    ("name", "runtime", "tolerance"),
    [
        ("onnx", "onnxruntime", 1e-5),
        ("float", "tflite", 1e-5),
        ("any", "tflite", 1e-5),
        ("int8", "tflite", 0.02),
        ("ir", "openvino", 1e-5),
        ("onnx", "openvino", 1e-5),
        ("int8", "openvino", 0.02),
    ],
)
def test_every_runtime_scores_as_numpy_does(
    trial: Trial, shared: Client, pictures: Pictures, name: str, runtime: str, tolerance: float
) -> None:
    result = trial(name, "accuracy", runtime)
    assert (result.outcome, result.reason) == ("ok", "")
    scores = np.load(shared.root / "spool" / result.token / "scores.npy")
    np.testing.assert_allclose(scores, expected(pictures), atol=tolerance)


@pytest.mark.parametrize(
    ("name", "runtime", "provider", "runs", "numbers"),
    [
        ("onnx", "onnxruntime", "cpu", "CPUExecutionProvider", "float32"),
        ("float", "tflite", "cpu", "XNNPACK", "float32"),
        ("int8", "tflite", "xnnpack", "XNNPACK", "int8"),
        ("mixed", "tflite", "cpu", "XNNPACK, CPU", "float32"),
        ("float", "tflite", "reference", "CPU", "float32"),
        ("int8", "tflite", "builtin", "CPU", "int8"),
        ("ir", "openvino", "cpu", "CPU", "float32"),
        ("half", "openvino", "cpu", "CPU", "float32"),  # weights in float16 are no computing in float16
        ("int8", "openvino", "CPU", "CPU", "int8"),
    ],
)
def test_what_really_ran_is_asked_of_the_runtime(
    trial: Trial, name: str, runtime: str, provider: str, runs: str, numbers: str
) -> None:
    result = trial(name, "check", runtime, provider=provider)
    assert (result.outcome, result.reason) == ("ok", "")
    told = (result.facts["provider"], result.facts["precision"], result.facts["threads"])
    assert told == (runs, numbers, "1")
    assert result.facts["runtime_version"][0].isdigit()


@pytest.mark.parametrize(
    ("name", "runtime", "provider", "options", "says"),
    [
        ("onnx", "onnxruntime", "azure", {}, "runs CPUExecutionProvider: 5 of 5 operators run on the processor"),
        ("mixed", "tflite", "xnnpack", {}, "was asked for XNNPACK: 5 of 6 operators run with it"),
        ("ir", "openvino", "cpu", {"INFERENCE_NUM_THREADS": "4096"}, "was asked for 4096 threads and runs "),
    ],
)
def test_a_part_that_falls_back_is_a_failure_unless_allowed(
    trial: Trial, name: str, runtime: str, provider: str, options: dict[str, str], says: str
) -> None:
    refused = trial(name, "check", runtime, provider=provider, options=options)
    assert refused.outcome == "failed"
    assert says in refused.reason
    allowed = trial(name, "check", runtime, provider=provider, options=options, allow_fallback=True)
    assert allowed.outcome == "ok"
    assert allowed.facts["provider"].endswith(("CPU", "CPUExecutionProvider"))


def test_openvino_runs_float32_where_bfloat16_is_what_it_would_choose(trial: Trial) -> None:
    usual = trial("ir", "check", "openvino")
    assert usual.facts["precision"] == "float32"
    asked = trial("ir", "check", "openvino", options={"inference_precision_hint": "bf16"})
    if asked.outcome == "ok":  # on processors that have it
        assert "bfloat16" in asked.facts["precision"]
    else:
        assert "was asked for bfloat16 and runs float32" in asked.reason


@pytest.mark.parametrize(
    ("name", "runtime", "provider", "options", "says"),
    [
        ("onnx", "onnxruntime", "cuda", {}, "has no provider 'cuda'; it has: "),
        ("float", "tflite", "gpu", {}, "has no provider 'gpu'; it has: cpu, xnnpack, builtin, reference, delegate"),
        ("float", "tflite", "delegate", {}, "needs a library: delegate?library="),
        ("float", "tflite", "delegate", {"library": "libnone.so"}, "cannot load the delegate libnone.so: "),
        ("float", "tflite", "cpu", {"x": "1"}, "has no options for the provider 'cpu'"),
        ("ir", "openvino", "npu", {}, "has no device 'npu'; it has: "),
        ("ir", "openvino", "cpu", {"NO_SUCH": "1"}, "Unsupported property NO_SUCH by CPU plugin"),
        ("float", "onnxruntime", "cpu", {}, "onnxruntime reads .onnx and .ort, not model.tflite"),
    ],
)
def test_what_a_build_cannot_do_is_unsupported_with_the_reason(
    trial: Trial, name: str, runtime: str, provider: str, options: dict[str, str], says: str
) -> None:
    result = trial(name, "check", runtime, provider=provider, options=options)
    assert result.outcome == "unsupported", result.reason
    assert says in result.reason


def test_times_of_operators(trial: Trial) -> None:
    rows = trial("ir", "profile", "openvino").operators
    assert all(0 < row.calls_per_frame <= 1 for row in rows)
    assert sum(row.ms_per_frame for row in rows) > 0
    blind = trial("float", "profile", "tflite")
    assert (blind.outcome, "cannot tell the time of single operators" in blind.reason) == ("unsupported", True)


@pytest.mark.parametrize(("name", "runtime"), [("float", "tflite"), ("ir", "openvino")])
def test_a_file_that_is_no_model(
    shared: Client, job_for: JobMaker, zoo: dict[str, Path], name: str, runtime: str
) -> None:
    broken = [StoredFile(f"model{zoo[name].suffix}", shared.put(b"no model")), StoredFile("w.bin", shared.put(b"w"))]
    result = shared.run(replace(job_for(shared, "check", broken[0], runtime=runtime), model=broken))
    assert result.outcome == "failed"
    assert f"cannot load model{zoo[name].suffix}: " in result.reason
    assert "Exception from" not in result.reason


def test_weights_that_are_not_there_are_named(shared: Client, job_for: JobMaker, zoo: dict[str, Path]) -> None:
    alone = StoredFile("model.xml", shared.put(zoo["ir"].read_bytes()))
    result = shared.run(job_for(shared, "check", alone, runtime="openvino"))
    assert "model.xml needs one .bin file with its weights, and there are 0" in result.reason


# -- quantized tensors, and which output is the answer


def test_levels_are_told_by_the_model_where_the_manifest_is_silent(
    trial: Trial, zoo: dict[str, Path], shared: Client, pictures: Pictures
) -> None:
    spec = manifest.load(zoo["int8"].with_suffix(".toml")).output_spec()
    result = trial("int8", "accuracy", "tflite", output=replace(spec, scale=None, zero_point=0))
    scores = np.load(shared.root / "spool" / result.token / "scores.npy")
    np.testing.assert_allclose(scores, expected(pictures), atol=0.02)
    described = trial("int8", "inspect", "tflite")
    assert (described.inputs[0].dtype, described.inputs[0].zero_point) == ("int8", -128)
    assert described.inputs[0].scale == pytest.approx(1 / 255)


@pytest.mark.parametrize("wrong", [{"scale": 0.5}, {"zero_point": 3}])
def test_levels_that_contradict_the_model_are_refused(
    trial: Trial, zoo: dict[str, Path], wrong: dict[str, Any]
) -> None:
    spec = manifest.load(zoo["int8"].with_suffix(".toml")).manifest.input.spec()
    result = trial("int8", "check", "tflite", input=replace(spec, **wrong))
    assert result.outcome == "failed"
    assert "but the model's input 'x' has 0.00392157 and -128" in result.reason


@pytest.fixture(scope="module")
def two_heads() -> bytes:
    """A net with two answers: the mean of its picture, and twice that; and a second version with two inputs."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Add", ["mean", "mean"], ["double"]),
    ]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("mean", "double")]
    fed = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    graph = helper.make_graph(nodes, "heads", [fed], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_an_output_is_chosen_by_name(
    shared: Client, job_for: JobMaker, two_heads: bytes, pictures: Pictures, runtime: str
) -> None:
    net = StoredFile("model.onnx", shared.put(two_heads))
    job = job_for(shared, "accuracy", net, runtime=runtime)
    assert job.output is not None
    for name, factor in (("", 1), ("double", 2)):
        asked = replace(job, token=f"{job.token}-{factor}", output=replace(job.output, name=name))
        assert shared.run(asked).outcome == "ok"
        means = [factor * picture.mean() / 255 for picture in pictures]
        np.testing.assert_allclose(shared.array(asked, "scores.npy"), means, atol=1e-5)
    absent = shared.run(replace(job, token=f"{job.token}-0", output=replace(job.output, name="none")))
    assert "the manifest says output 'none' but the model's outputs are 'mean', 'double'" in absent.reason


# -- tflite-runtime

# What tflite-runtime 2.14.0 does under numpy 2.4.6: it imports, and then this.
UNDER_NUMPY_2 = """
import enum
class OpResolverType(enum.Enum):
    AUTO = 0
    BUILTIN = 1
    BUILTIN_REF = 2
    BUILTIN_WITHOUT_DEFAULT_DELEGATES = 3
def Interpreter(**_):
    raise SystemError("returned a result with an exception set") from AttributeError("_ARRAY_API not found")
"""


def test_tflite_runtime_under_numpy_2_is_unsupported(tmp_path: Path, job_for: JobMaker, zoo: dict[str, Path]) -> None:
    (tmp_path / "ai_edge_litert.py").write_text("raise ModuleNotFoundError('no', name='ai_edge_litert')")
    (tmp_path / "tflite_runtime").mkdir()
    (tmp_path / "tflite_runtime" / "__init__.py").write_text("__version__ = '2.14.0'")
    (tmp_path / "tflite_runtime" / "interpreter.py").write_text(UNDER_NUMPY_2)
    client = Client(tmp_path, env={"PYTHONPATH": str(tmp_path)})
    client.ask("hello")
    stored = StoredFile("model.tflite", client.put(zoo["float"].read_bytes()))
    result = client.run(job_for(client, "check", stored, runtime="tflite", input=replace(SMALL, layout="NHWC")))
    client.close()
    assert result.outcome == "unsupported"
    told = f"tflite-runtime 2.14.0 does not work with numpy {np.__version__} (_ARRAY_API not found)"
    assert result.reason == f"{told}: install 'numpy<2'"


# -- in what numbers


def test_an_onnx_file_tells_its_numbers() -> None:
    for name, numbers in (("mobilenetv3-small-fp32", "float32"), ("mobilenetv3-small-int8", "float32, int8")):
        assert precision.told(onnx_types.of_file(select.SHIPPED / f"{name}.onnx")) == numbers
    assert onnx_types.of_file(Path("model.ort")) == set()


@pytest.mark.parametrize(
    ("computed", "held", "told"),
    [
        ({"float32", "int64"}, set(), "float32"),
        ({"bf16", "f32", "i32"}, set(), "float32, bfloat16"),
        ({"u8", "i8"}, {"float32"}, "int8"),
        ({"float32"}, {"int8", "int32"}, "float32, weights int8"),
        (set(), set(), "as modelled"),
    ],
)
def test_precision_in_one_vocabulary(computed: set[str], held: set[str], told: str) -> None:
    assert precision.told(computed, held) == told


def test_openvino_tells_its_maker_nothing() -> None:
    program = "import sys, harness.agent.runtimes.openvino; print(sys.modules['openvino_telemetry'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "None"
