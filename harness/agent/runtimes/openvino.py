"""OpenVINO: its own .xml with .bin beside it, and ONNX and TensorFlow Lite models as they are."""

from __future__ import annotations

import importlib
import re
import sys
from collections import defaultdict
from typing import Any, Sequence

from harness.agent.failures import FailedError, UnsupportedError, sentence
from harness.agent.protocol import Operator, Tensor
from harness.agent.runtimes import precision
from harness.agent.runtimes.base import Array, Infer, LoadRequest, Ran, Session


def _untold() -> Any:
    """Import OpenVINO without openvino-telemetry.

    pip brings it along, and it tells its maker of each import over the network, from a process of its own, beside what
    is measured. OpenVINO does without it where it cannot be imported.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return importlib.import_module("openvino")


openvino = _untold()

FORMATS = (".xml", ".onnx", ".tflite")
BUILD = str(openvino.__version__)
VERSION = BUILD.partition("-")[0]
NAME = f"openvino {VERSION}"

PRECISION, THREADS = "INFERENCE_PRECISION_HINT", "INFERENCE_NUM_THREADS"
# "Exception from src/inference/src/cpp/core.cpp:117:" and the like, of which one error has several.
NOISE = re.compile(r"(?:Exception from|Check .*? failed at) \S+:\d+:?|^\s*RuntimeError:")
# What moves or holds numbers, and computes with none.
NO_ARITHMETIC = frozenset(
    {"Const", "Input", "Output", "Reorder", "Reshape", "ShapeOf", "Convert", "Transpose", "Gather"}
)


def load(request: LoadRequest) -> Session:
    """Load a model for the device asked for, in float32 unless another precision is asked for."""
    core = openvino.Core()
    device = resolve(request.provider, core.available_devices)
    config = _config(request, core.get_property(device, "SUPPORTED_PROPERTIES"))
    try:
        model = core.read_model(str(request.model), *_weights(request))
        _fit(model, request)
        compiled = core.compile_model(model, device, config)
    except Exception as error:
        if "bad_alloc" in str(error) or isinstance(error, MemoryError):
            raise
        if "Unsupported property" in str(error):
            raise UnsupportedError(f"{NAME}: {said(error)}") from error
        raise FailedError(f"{NAME} cannot load {request.model.name}: {said(error)}") from error
    return OpenvinoSession(compiled, device, config, request)


def resolve(asked: str, available: Sequence[str]) -> str:
    """Return a device that was named in any case; those that choose among devices, e.g. AUTO, are none."""
    names = {name.lower(): name for name in available}
    if asked.lower() not in names:
        raise UnsupportedError(f"{NAME} on this device has no device {asked!r}; it has: {', '.join(names)}")
    return names[asked.lower()]


def said(error: Exception) -> str:
    """Return what OpenVINO said, without its C++ source lines."""
    return sentence(NOISE.sub("", str(error)).strip().rstrip("."))


def _config(request: LoadRequest, supported: Sequence[str]) -> dict[str, str]:
    config = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        THREADS: str(request.threads),
        # By default a processor that has bfloat16 runs it, 1.4 to 1.8 times faster and with other scores.
        PRECISION: "f32",
        "PERF_COUNT": "YES" if request.profile else "NO",
    }
    known = {key: value for key, value in config.items() if key in supported}
    return {**known, **{key.upper(): value for key, value in request.options.items()}}


def _weights(request: LoadRequest) -> list[str]:
    """Return the file of weights, which keeps its name while the model has that of its job."""
    if request.model.suffix != ".xml":
        return []
    found = sorted(request.model.parent.glob("*.bin"))
    if len(found) != 1:
        raise FailedError(f"{request.model.name} needs one .bin file with its weights, and there are {len(found)}")
    return [str(found[0])]


def _fit(model: Any, request: LoadRequest) -> None:
    """Fix an input of any size to what is going to be fed; one that does not fit is told by the manifest's check."""
    if len(model.inputs) != 1 or request.shape is None or model.inputs[0].partial_shape.is_static:
        return
    if model.inputs[0].partial_shape.compatible(openvino.PartialShape(list(request.shape))):
        model.reshape(list(request.shape))


class OpenvinoSession(Session):
    """A model, compiled."""

    def __init__(self, compiled: Any, device: str, config: dict[str, str], request: LoadRequest) -> None:
        self._compiled = compiled
        self._device = device
        self._config = config
        self._request = request
        self._runs: list[Any] = []
        self.inputs = [_tensor(port, number) for number, port in enumerate(compiled.inputs)]
        self.outputs = [_tensor(port, number) for number, port in enumerate(compiled.outputs)]

    def bind(self, tensor: Array) -> Infer:
        """Return a call of `InferRequest.infer` on the tensor's own memory."""
        request = self._compiled.create_infer_request()
        request.set_input_tensor(openvino.Tensor(tensor, shared_memory=True))
        ports = {_tensor(port, number).name: port for number, port in enumerate(self._compiled.outputs)}
        port = ports[self.outputs[0].name]

        def infer() -> Sequence[Array]:
            return [request.infer(share_outputs=True)[port]]

        def profiled() -> Sequence[Array]:
            answer = infer()
            self._runs.append(request.get_profiling_info())
            return answer

        return profiled if self._request.profile else infer

    def ran(self) -> Ran:
        """Return what runs, asked of the compiled model and the graph that it executes."""
        devices = ", ".join(self._compiled.get_property("EXECUTION_DEVICES"))
        numbers = precision.told(self._computed())
        threads = self._property(THREADS)
        facts = {
            "runtime_version": VERSION,
            "runtime_build": BUILD,
            "provider": devices,
            "precision": numbers,
            "threads": threads or str(self._request.threads),
            "threads_asked": str(self._request.threads),
        }
        return Ran(facts, self._fallback(devices, numbers, threads))

    def _fallback(self, devices: str, numbers: str, threads: str) -> str:
        if devices not in (self._device, f"{self._device}.0"):
            return f"{NAME} was asked for {self._device} and runs {devices}"
        asked = precision.WORDS.get(self._config.get(PRECISION, ""), "")
        hint = precision.WORDS.get(self._property(PRECISION), "")
        narrower = {"bfloat16", "float16"} - {asked}
        if asked and (hint != asked or narrower.intersection(numbers.split(", "))):
            return f"{NAME} was asked for {asked} and runs {numbers} (its hint says {hint or 'nothing'})"
        wanted = self._config.get(THREADS, threads)
        return f"{NAME} was asked for {wanted} threads and runs {threads}" if threads != wanted else ""

    def _property(self, name: str) -> str:
        """Return a property of the compiled model as text, "" where it has none of that name."""
        if name not in self._compiled.get_property("SUPPORTED_PROPERTIES"):
            return ""
        value = self._compiled.get_property(name)
        return str(value.get_type_name() if hasattr(value, "get_type_name") else value)

    def _computed(self) -> set[str]:
        """Return the types that the executed graph computes in.

        A convolution with weights in float16 says that its precision is f16, and the kernel that it runs that it is
        f32 ("brgconv_avx512_1x1_f32"): the kernel is right.
        """
        words = set()
        for operator in self._compiled.get_runtime_model().get_ops():
            layer, stated, kernel = (
                str(operator.get_rt_info()[key].astype(str))
                for key in ("layerType", "runtimePrecision", "primitiveType")
            )
            computes = kernel.rpartition("_")[2].lower()
            if layer not in NO_ARITHMETIC:
                words.add(computes if computes in precision.WORDS else stated)
        return words

    def operators(self, warmup: int) -> list[Operator]:
        """Return times per node of the graph that was executed, by OpenVINO's own counters."""
        counted = self._runs[warmup:]
        total: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
        # What took less than a microsecond says that it did not run.
        for row in (row for rows in counted for row in rows if str(row.status).endswith("EXECUTED")):
            sums = total[row.node_type, row.node_name]
            sums[0] += row.real_time.total_seconds() * 1000
            sums[1] += 1
        frames = len(counted)
        rows = [Operator(kind, node, ms / frames, calls / frames) for (kind, node), (ms, calls) in total.items()]
        return sorted(rows, key=lambda row: -row.ms_per_frame)


def _tensor(port: Any, number: int) -> Tensor:
    shape = [int(dim.get_length()) if dim.is_static else None for dim in port.partial_shape]
    names = sorted(port.get_names()) or [str(number)]
    kind = port.element_type.get_type_name()
    dtype = {"u8": "uint8", "i8": "int8"}.get(kind) or precision.WORDS.get(kind, kind)
    return Tensor(names[0], shape, dtype)
