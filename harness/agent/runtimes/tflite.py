"""TensorFlow Lite: ai-edge-litert, or tflite-runtime where that is what the device has (32-bit ARM)."""

from __future__ import annotations

from typing import Any, Iterator, Sequence

try:
    import ai_edge_litert as package
    from ai_edge_litert import interpreter as binding

    BUILD = "ai-edge-litert"
except ModuleNotFoundError:
    import tflite_runtime as package
    from tflite_runtime import interpreter as binding

    BUILD = "tflite-runtime"

import numpy as np

from harness.agent.failures import FailedError, UnsupportedError, sentence
from harness.agent.protocol import Operator, Tensor
from harness.agent.runtimes import precision
from harness.agent.runtimes.base import Array, Infer, LoadRequest, Ran, Session

FORMATS = (".tflite",)
VERSION = str(getattr(package, "__version__", "unknown"))
NAME = f"{BUILD} {VERSION}"

_KERNELS = binding.OpResolverType
EXTERNAL = "delegate"
# Provider -> which kernels. "cpu" is what the build does by itself: XNNPACK where that takes the model.
PROVIDERS = {
    "cpu": _KERNELS.AUTO,
    "xnnpack": _KERNELS.AUTO,
    "builtin": _KERNELS.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    "reference": _KERNELS.BUILTIN_REF,
    # A second delegate would take what the first one leaves, and nothing would tell which of them ran what.
    EXTERNAL: _KERNELS.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
}


def load(request: LoadRequest) -> Session:
    """Load a model with the kernels or the delegate asked for."""
    asked = request.provider.lower()
    if asked not in PROVIDERS:
        raise UnsupportedError(f"{NAME} on this device has no provider {asked!r}; it has: {', '.join(PROVIDERS)}")
    delegates = [_delegate(request)] if asked == EXTERNAL else None
    if request.options and delegates is None:
        raise UnsupportedError(f"{NAME} has no options for the provider {asked!r}, only for {EXTERNAL!r}")
    try:
        interpreter = binding.Interpreter(
            model_path=str(request.model),
            num_threads=request.threads,
            experimental_delegates=delegates,
            experimental_op_resolver_type=PROVIDERS[asked],
        )
        _fit(interpreter, request)
        interpreter.allocate_tensors()
    except SystemError as error:
        # tflite-runtime 2.14 under numpy 2 imports well, and then this; what it means is said on stderr alone.
        told = f"{NAME} does not work with numpy {np.__version__} ({error.__cause__ or error}): install 'numpy<2'"
        raise UnsupportedError(told) from error
    except (ValueError, RuntimeError) as error:
        raise FailedError(f"{NAME} cannot load {request.model.name}: {sentence(error).rstrip('.')}") from error
    return TfliteSession(interpreter, request)


def _delegate(request: LoadRequest) -> Any:
    options = dict(request.options)
    library = options.pop("library", "")
    if not library:
        raise UnsupportedError(f"the provider {EXTERNAL!r} needs a library: {EXTERNAL}?library=/path/libname.so")
    try:
        return binding.load_delegate(library, options)
    except (OSError, ValueError, AttributeError) as error:
        raise UnsupportedError(f"{NAME} cannot load the delegate {library}: {sentence(error)}") from error


def _fit(interpreter: Any, request: LoadRequest) -> None:
    """Fix an input of any size to what is going to be fed; one that does not fit is told by the manifest's check."""
    inputs = interpreter.get_input_details()
    signature = [int(size) for size in inputs[0]["shape_signature"]] if len(inputs) == 1 else []
    wanted = request.shape or ()
    fits = len(signature) == len(wanted) and all(size in (-1, want) for size, want in zip(signature, wanted))
    if fits and -1 in signature:
        interpreter.resize_tensor_input(inputs[0]["index"], list(wanted))


class TfliteSession(Session):
    """A model, loaded."""

    def __init__(self, interpreter: Any, request: LoadRequest) -> None:
        self._interpreter = interpreter
        self._request = request
        self.inputs = [_tensor(entry) for entry in interpreter.get_input_details()]
        self.outputs = [_tensor(entry) for entry in interpreter.get_output_details()]

    def bind(self, tensor: Array) -> Infer:
        """Return what copies the tensor in, runs the model and copies the answer out, as applications do."""
        source = self._interpreter.get_input_details()[0]["index"]
        answers = {entry["name"]: entry["index"] for entry in self._interpreter.get_output_details()}
        answer = answers[self.outputs[0].name]
        feed, invoke, fetch = self._interpreter.set_tensor, self._interpreter.invoke, self._interpreter.get_tensor

        def infer() -> Sequence[Array]:
            feed(source, tensor)
            invoke()
            return [fetch(answer)]

        return infer

    def ran(self) -> Ran:
        """Return what runs, read from the graph as the interpreter changed it."""
        operators = [entry for entry in self._interpreter._get_ops_details() if entry["op_name"] != "DELEGATE"]
        delegated = set(self._delegated())
        provider, fallback = self._provider(len(delegated), len(operators))
        facts = {
            "runtime_version": VERSION,
            "runtime_build": BUILD,
            "provider": provider,
            "precision": self._precision(operators),
            "threads": str(self._request.threads),  # the interpreter takes them and does not tell
            "threads_asked": str(self._request.threads),
        }
        return Ran(facts, fallback)

    def _provider(self, delegated: int, operators: int) -> tuple[str, str]:
        asked = self._request.provider.lower()
        name = self._request.options["library"] if asked == EXTERNAL else "XNNPACK"
        runs = [name] * (delegated > 0) + ["CPU"] * (delegated < operators)
        provider = ", ".join(runs)
        if asked not in ("xnnpack", EXTERNAL) or delegated == operators:
            return provider, ""
        told = f"{delegated} of {operators} operators run with it, the others on the CPU's own kernels"
        return provider, f"{NAME} was asked for {name}: {told}"

    def _delegated(self) -> Iterator[int]:
        """Yield the operators that a delegate took: those between what its node is fed and what it answers.

        The interpreter keeps the operators that it replaced in its list, and puts the delegate's node behind them.
        """
        entries = self._interpreter._get_ops_details()
        maker = {
            int(tensor): entry for entry in entries if entry["op_name"] != "DELEGATE" for tensor in entry["outputs"]
        }
        for node in (entry for entry in entries if entry["op_name"] == "DELEGATE"):
            fed, open_, seen = set(map(int, node["inputs"])), list(map(int, node["outputs"])), set()
            while open_:
                entry = maker.get(open_.pop())
                if entry is not None and entry["index"] not in seen:
                    seen.add(entry["index"])
                    open_.extend(int(tensor) for tensor in entry["inputs"] if int(tensor) not in fed)
            yield from seen

    def _precision(self, operators: Sequence[Any]) -> str:
        types = {int(entry["index"]): np.dtype(entry["dtype"]).name for entry in self._interpreter.get_tensor_details()}
        answers = {types.get(int(tensor), "") for entry in operators for tensor in entry["outputs"]}
        held = set(types.values()) - answers
        return precision.told(answers, held)

    def operators(self, warmup: int) -> list[Operator]:
        """Raise UnsupportedError: the profiler is in the library, but the binding has no way to it."""
        raise UnsupportedError(f"{NAME}'s Python binding cannot tell the time of single operators")


def _tensor(entry: Any) -> Tensor:
    shape = [None if size < 0 else int(size) for size in entry["shape_signature"]]
    levels = entry["quantization_parameters"]
    dtype = np.dtype(entry["dtype"]).name
    if not dtype.startswith(("int", "uint")) or len(levels["scales"]) != 1:
        return Tensor(entry["name"], shape, dtype)
    return Tensor(entry["name"], shape, dtype, float(levels["scales"][0]), int(levels["zero_points"][0]))
