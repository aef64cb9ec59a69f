"""The runtimes that this agent can measure: one file each, and one row here."""

from __future__ import annotations

import importlib
import platform
from typing import cast

from harness.agent.failures import UnsupportedError
from harness.agent.runtimes.base import Runtime

# Name in a job -> module of this package, and what to install. A module is imported only when a job asks for it.
TABLE = {
    "onnxruntime": ("ort", "onnxruntime"),
    "tflite": ("tflite", "ai-edge-litert, or tflite-runtime and 'numpy<2' on 32-bit ARM"),
    "openvino": ("openvino", "openvino"),
    "null": ("null", ""),
}


def runtime(name: str) -> Runtime:
    """Import a runtime; raises UnsupportedError where this agent or this device has none of that name."""
    if name not in TABLE:
        raise UnsupportedError(f"this agent knows no runtime {name[:40]!r}; it knows: {', '.join(TABLE)}")
    module, packages = TABLE[name]
    try:
        return cast("Runtime", importlib.import_module(f"{__name__}.{module}"))
    except ModuleNotFoundError as error:
        python = f"Python {platform.python_version()}"
        told = f"{name} is not installed on this device for {python} (it has no {error.name}): install {packages}"
        raise UnsupportedError(told) from error
    except ImportError as error:  # there, but for another numpy, libc or processor
        raise UnsupportedError(f"{name} cannot be imported on this device: {error}") from error
