"""The table of runtimes: a new one is one row here and one file in the agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from edgerig.errors import ConfigError


@dataclass(frozen=True)
class Runtime:
    """What the controller must know of a runtime to plan with it.

    Attributes:
        formats: model formats that it is measured with by default.
        also: formats that it reads as well, and is measured with where it is asked for: else every cell would double.
        packages: what to install on a device for it; a version that is asked for is that of the first one.
        elsewhere: the same for devices whose `uname -m` has other packages.
        modules: what its packages are called when they are imported.
        providers: what it is asked for by default.
        compiling: those that compile a model before its first frame, which takes them minutes.
    """

    formats: tuple[str, ...]
    packages: tuple[str, ...]
    also: tuple[str, ...] = ()
    elsewhere: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    providers: tuple[str, ...] = ("cpu",)
    compiling: tuple[str, ...] = ()

    def packages_on(self, machine: str, version: str = "") -> list[str]:
        """Return what pip is asked for, for a device with such an architecture and a version of the runtime."""
        packages = list(self.elsewhere.get(machine, self.packages))
        return [f"{packages[0]}=={version}", *packages[1:]] if packages and version else packages


# tflite-runtime has the only wheels for 32-bit ARM; they import under numpy 2, and then do not work.
_TFLITE_ARM = ("tflite-runtime", "numpy<2")

RUNTIMES: dict[str, Runtime] = {
    "onnxruntime": Runtime(
        formats=("onnx",), packages=("onnxruntime",), modules=("onnxruntime",), compiling=("tensorrt",)
    ),
    "tflite": Runtime(
        formats=("tflite",),
        packages=("ai-edge-litert",),
        elsewhere={"armv7l": _TFLITE_ARM, "armv6l": _TFLITE_ARM},
        modules=("ai_edge_litert", "tflite_runtime"),
    ),
    "openvino": Runtime(formats=("openvino",), packages=("openvino",), also=("onnx", "tflite"), modules=("openvino",)),
    "null": Runtime(formats=("null",), packages=(), compiling=("compiled",)),
}


@dataclass(frozen=True)
class Spec:
    """A runtime as a run names it: "onnxruntime", or "onnxruntime==1.23.2" for that version of it."""

    name: str
    version: str = ""


def runtime_of(spec: str) -> Spec:
    """Return the parts of a runtime's spec."""
    name, _, version = spec.partition("==")
    return Spec(name.strip(), version.strip())


def provider_of(spec: str) -> tuple[str, dict[str, str]]:
    """Return a provider and its options: "cpu?a=1&b=2" is ("cpu", {"a": "1", "b": "2"}).

    Raises ConfigError where an option has no "=".
    """
    name, _, query = spec.partition("?")
    try:
        return name, dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True)) if query else {}
    except ValueError as error:
        raise ConfigError(
            f"the provider '{spec}' is not read: {error}.", "Write cpu?option=value&other=value."
        ) from error


def compiles(runtime: str, provider: str) -> bool:
    """Whether a provider, as a run names it, compiles models for a while before their first frame."""
    plain = provider_of(provider)[0].lower().replace("executionprovider", "")
    return plain in RUNTIMES[runtime_of(runtime).name].compiling


def reading(model_format: str) -> list[str]:
    """Return the runtimes that a format is measured with by default."""
    return [name for name, runtime in RUNTIMES.items() if model_format in runtime.formats]


def reads(name: str, model_format: str) -> bool:
    """Whether a runtime reads a format, by default or where it is asked for."""
    return model_format in (*RUNTIMES[name].formats, *RUNTIMES[name].also)


def chosen(model_format: str, asked: Sequence[str], had: Sequence[str]) -> list[str]:
    """Return the runtimes, as a run names them, that a model of a format is measured with.

    Args:
        model_format: of the model.
        asked: what the run names; each that reads the format is used.
        had: what the target is said to have; of these, each that reads the format by default, else that reads it at
            all. Without any, each runtime that reads it by default.
    """
    if asked:
        return [spec for spec in dict.fromkeys(asked) if reads(runtime_of(spec).name, model_format)]
    default = [spec for spec in dict.fromkeys(had) if model_format in RUNTIMES[runtime_of(spec).name].formats]
    if default or not had:
        return default or reading(model_format)
    return [spec for spec in dict.fromkeys(had) if reads(runtime_of(spec).name, model_format)]
