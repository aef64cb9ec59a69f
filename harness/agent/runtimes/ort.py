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
from harness.agent.runtimes.base import Array, Infer, LoadRequest, Session

FORMATS = (".onnx", ".ort")
NAME = f"onnxruntime {onnxruntime.__version__}"
SUFFIX = "executionprovider"

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
    options = _options(request)
    own = {key: value for key, value in request.options.items() if not key.startswith("session.")}
    try:
        session = onnxruntime.InferenceSession(str(request.model), options, providers=[(provider, own)])
    except Exception as error:
        if "bad_alloc" in str(error) or isinstance(error, MemoryError):
            raise
        raise FailedError(f"{NAME} cannot load {request.model.name}: {said(error)}") from error
    return OrtSession(session, provider, request)


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

    def __init__(self, session: Any, provider: str, request: LoadRequest) -> None:
        self._session = session
        self.inputs = [_tensor(node) for node in session.get_inputs()]
        self.outputs = [_tensor(node) for node in session.get_outputs()]
        runs = session.get_providers()
        if runs[0] != provider:
            self.fallback = f"{NAME} was asked for {provider} and runs {', '.join(runs)}"
        self.facts = {
            "runtime_version": onnxruntime.__version__,
            "runtime_build": onnxruntime.get_build_info() if hasattr(onnxruntime, "get_build_info") else "",
            "provider": ", ".join(runs),
            "precision": "as modelled",
            "threads": str(session.get_session_options().intra_op_num_threads),
            "threads_asked": str(request.threads),
        }

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
