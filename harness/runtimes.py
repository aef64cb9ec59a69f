"""The table of runtimes: a new one is one row here and one file in the agent."""

from __future__ import annotations

from dataclasses import dataclass


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


def reading(model_format: str) -> list[str]:
    """Return the runtimes that read a format."""
    return [name for name, runtime in RUNTIMES.items() if model_format in runtime.formats]
