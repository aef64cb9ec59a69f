"""The runtimes that this agent can measure: one file each, and one row here."""

from __future__ import annotations

import importlib
import platform
from typing import cast

from harness.agent.failures import UnsupportedError
from harness.agent.runtimes.base import Runtime

# Name in a job -> module of this package. A module is imported only when a job asks for it.
TABLE = {
    "onnxruntime": "ort",
    "null": "null",
}


def runtime(name: str) -> Runtime:
    """Import a runtime; raises UnsupportedError where this agent or this device has none of that name."""
    if name not in TABLE:
        raise UnsupportedError(f"this agent knows no runtime {name[:40]!r}; it knows: {', '.join(TABLE)}")
    try:
        return cast("Runtime", importlib.import_module(f"{__name__}.{TABLE[name]}"))
    except ModuleNotFoundError as error:
        python = platform.python_version()
        raise UnsupportedError(f"{error.name} is not installed on this device for Python {python}") from error
    except ImportError as error:  # there, but for another numpy, libc or processor
        raise UnsupportedError(f"{name} cannot be imported on this device: {error}") from error
