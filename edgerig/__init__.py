"""Which compressed variant of a face model to ship on which device, with numbers that hold.

    import edgerig

    run = edgerig.benchmark("models/", faces="faces/", targets=["x86"])
    run.cells, run.results          # pandas data frames
    edgerig.load_run("latest")
    edgerig.compare("runs/b", "runs/a")  # two runs side by side
    edgerig.pick(run)               # what to ship on each target

This package is also the floor that the others stand on (errors, deadlines, files, preprocess, metrics). It imports
nothing above itself: the names below are loaded when they are first asked for (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.api import BenchmarkRun, benchmark, compare, load_run, pick

__all__ = ["BenchmarkRun", "benchmark", "compare", "load_run", "pick"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("harness.api"), name)
    raise AttributeError(f"module 'edgerig' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
