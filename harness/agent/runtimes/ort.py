"""ONNX Runtime."""

from __future__ import annotations

import functools
import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import onnxruntime

from harness.agent.failures import FailedError, UnsupportedError, sentence
from harness.agent.protocol import Operator, Tensor
from harness.agent.runtimes import onnx_types, precision
from harness.agent.runtimes.base import Array, Infer, LoadRequest, Ran, Session

FORMATS = (".onnx", ".ort")
NAME = f"onnxruntime {onnxruntime.__version__}"
SUFFIX = "executionprovider"
CPU = "CPUExecutionProvider"

# Refuses a session of which the processor would run a part; 1.16 and newer, older ones take the entry and do nothing.
ONLY, REFUSED = "session.disable_cpu_ep_fallback", "assigned to the default CPU EP"
REFUSES = tuple(int(number) for number in re.findall(r"\d+", onnxruntime.__version__)[:2]) >= (1, 16)
TELL = "session.record_ep_graph_assignment_info"  # 1.24 and newer; older ones take the entry and do nothing

TYPES = {"float": "float32", "double": "float64"}  # the others are numpy's names

# "[ONNXRuntimeError] : 1 : FAIL : Load model from PATH failed:/src/model.cc:256 onnxruntime::Model(...) WHAT"
NOISE = (
    re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : "),
    re.compile(r"Load model from .*? failed:"),
    re.compile(r"\S+\.(?:cc|h|cpp|hpp):\d+ .*?\) (?=[A-Z])"),
)


def load(request: LoadRequest) -> Session:
    """Load an ONNX model with the provider asked for, and no other but the processor behind it."""
    provider = resolve(request.provider, onnxruntime.get_available_providers())
    # Warnings of a build's own (no GPU found, an unused initializer) are no failures: 3 is errors only.
    onnxruntime.set_default_logger_severity(3)
    try:
        session, alone = _opened(request, provider)
    except Exception as error:
        if "bad_alloc" in str(error) or isinstance(error, MemoryError):
            raise
        raise FailedError(f"{NAME} cannot load {request.model.name}: {said(error)}") from error
    return OrtSession(session, provider, alone, request)


def _opened(request: LoadRequest, provider: str) -> tuple[Any, bool]:
    """Return a session, and whether it is known that the provider runs all of it.

    A provider takes the operators that it can, and the processor silently takes the others. Only the session itself
    can be told not to allow that, and it does not say which operators they are: so they are asked for by a second one.
    """
    if provider == CPU:
        return _session(request, provider), True
    if REFUSES and not request.allow_fallback:
        try:
            return _session(request, provider, ONLY), True
        except Exception as error:
            if REFUSED not in str(error):
                raise
    return _session(request, provider, TELL), False


def _session(request: LoadRequest, provider: str, entry: str = "") -> Any:
    options = _options(request)
    if entry:
        options.add_session_config_entry(entry, "1")
        options.log_severity_level = 4  # a refusal is what is asked for, and no error
    own = {key: value for key, value in request.options.items() if not key.startswith("session.")}
    own.update(engine_options(provider, request.engines))
    return onnxruntime.InferenceSession(str(request.model), options, providers=[(provider, own)])


def engine_options(provider: str, engines: Path | None) -> dict[str, str]:
    """Return what has a provider keep its engines in a folder of ours; {} for one that has none.

    Source: onnxruntime.ai/docs/execution-providers/TensorRT-ExecutionProvider.html.
    """
    if engines is None or provider != "TensorrtExecutionProvider":
        return {}
    return {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(engines),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(engines),
    }


def resolve(asked: str, available: list[str]) -> str:
    """Return the full name of a provider that was named in any case, with or without "ExecutionProvider"."""
    short = {name.lower().replace(SUFFIX, ""): name for name in available}
    wanted = asked.lower().replace(SUFFIX, "")
    if wanted not in short:
        raise UnsupportedError(f"{NAME} on this device has no provider {asked!r}; it has: {', '.join(short)}")
    return short[wanted]


def said(error: Exception) -> str:
    """Return what ONNX Runtime said, without its C++ source lines."""
    text = str(error)
    for noise in NOISE:
        text = noise.sub("", text)
    return sentence(text.strip().rstrip("."))


def _options(request: LoadRequest) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = request.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_profiling = request.profile
    options.profile_file_prefix = str(request.scratch / "profile")
    for key, value in request.options.items():
        if key.startswith("session."):
            options.add_session_config_entry(key, value)
    return options


class OrtSession(Session):
    """An ONNX model, loaded."""

    def __init__(self, session: Any, provider: str, alone: bool, request: LoadRequest) -> None:
        self._session = session
        self._provider = provider
        self._alone = alone
        self._request = request
        self.inputs = [_tensor(node) for node in session.get_inputs()]
        self.outputs = [_tensor(node) for node in session.get_outputs()]

    def ran(self) -> Ran:
        """Return what runs: the providers as the session says, the precision as the graph does."""
        runs, share = self._runs()
        facts = {
            "runtime_version": onnxruntime.__version__,
            "runtime_build": onnxruntime.get_build_info() if hasattr(onnxruntime, "get_build_info") else "",
            "provider": ", ".join(runs),
            "precision": precision.told(onnx_types.of_file(self._request.model)),
            "threads": str(self._session.get_session_options().intra_op_num_threads),
            "threads_asked": str(self._request.threads),
        }
        if self._alone or runs == [self._provider]:
            return Ran(facts)
        return Ran(facts, f"{NAME} was asked for {self._provider} and runs {', '.join(runs)}{share}")

    def _runs(self) -> tuple[list[str], str]:
        """Return the providers that run something, and how much the processor runs, where that can be asked."""
        if self._alone:
            return [self._provider], ""
        listed = list(self._session.get_providers())
        if not hasattr(self._session, "get_provider_graph_assignment_info"):
            return listed, ": the processor runs some or all of it"  # before 1.24 nothing tells how much
        counts = dict.fromkeys(listed, 0)
        for part in self._session.get_provider_graph_assignment_info():
            counts[part.ep_name] = counts.get(part.ep_name, 0) + len(part.get_nodes())
        share = f": {counts.get(CPU, 0)} of {sum(counts.values())} operators run on the processor"
        return [name for name, count in counts.items() if count], share

    def bind(self, tensor: Array) -> Infer:
        """Return a call of `InferenceSession.run` with everything prepared; a partial costs 50 ns."""
        feed = {self.inputs[0].name: tensor}
        return functools.partial(self._session.run, [self.outputs[0].name], feed)

    def operators(self, warmup: int) -> list[Operator]:
        """Return times per node, from the profile that ONNX Runtime writes."""
        path = Path(self._session.end_profiling())
        try:
            return aggregate(json.loads(path.read_text()), warmup)
        finally:
            path.unlink()


def aggregate(events: list[dict[str, Any]], warmup: int) -> list[Operator]:
    """Return one row per node of a profile, the slowest first; frames before number `warmup` do not count."""
    runs = sorted(event["ts"] for event in events if event.get("name") == "model_run")
    counted = runs[warmup:]
    if not counted:
        return []
    total: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for event in events:
        name = event.get("name", "")
        if event.get("cat") == "Node" and name.endswith("_kernel_time") and event["ts"] >= counted[0]:
            row = total[event["args"].get("op_name", ""), name[: -len("_kernel_time")]]
            row[0] += event["dur"] / 1000  # microseconds
            row[1] += 1
    frames = len(counted)
    rows = [Operator(kind, node, ms / frames, calls / frames) for (kind, node), (ms, calls) in total.items()]
    return sorted(rows, key=lambda row: -row.ms_per_frame)


def _tensor(node: Any) -> Tensor:
    kind = re.sub(r"^tensor\((.*)\)$", r"\1", node.type)
    shape = [size if isinstance(size, int) and size > 0 else None for size in node.shape or []]
    return Tensor(node.name, shape, TYPES.get(kind, kind))
