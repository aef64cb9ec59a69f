"""The table of runtimes: a new one is one row here and one file in the agent."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

from edgerig.errors import ConfigError


@dataclass(frozen=True)
class Runtime:
    """What the controller must know of a runtime to plan with it.

    Attributes:
        formats: model formats that it reads.
        packages: what to install on a device for it.
        providers: what it is asked for by default.
    """

    formats: tuple[str, ...]
    packages: tuple[str, ...]
    providers: tuple[str, ...] = ("cpu",)


RUNTIMES: dict[str, Runtime] = {
    "onnxruntime": Runtime(formats=("onnx",), packages=("onnxruntime",)),
    "null": Runtime(formats=("null",), packages=()),
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


def reading(model_format: str) -> list[str]:
    """Return the runtimes that read a format."""
    return [name for name, runtime in RUNTIMES.items() if model_format in runtime.formats]
