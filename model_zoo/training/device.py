"""The device that a net is trained on, set so that the same seed gives the same net."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import torch

from edgerig.errors import ConfigError


def require(name: str) -> None:
    """Raise ConfigError where a device is not there."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("CUDA was asked for, and torch finds no CUDA device here.", "Leave out --device cuda.")


@contextlib.contextmanager
def deterministic(name: str) -> Iterator[Any]:
    """Give the device "cpu" or "cuda"; what is set for the while is put back. Raises ConfigError without CUDA."""
    require(name)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats itself only with it
    before, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    filled = torch.utils.deterministic.fill_uninitialized_memory
    torch.utils.deterministic.fill_uninitialized_memory = False  # it costs time, and nothing here reads such memory
    # A few of CUDA's ways back have no repeatable form, VGG's pooling for one: a warning says so.
    torch.use_deterministic_algorithms(True, warn_only=name == "cuda")
    # A core is left for the pictures: two threads that share one with their maker are slower than one.
    torch.set_num_threads(max(1, min(threads, len(os.sched_getaffinity(0)) - 1)))
    try:
        yield torch.device(name)
    finally:
        torch.use_deterministic_algorithms(before)
        torch.utils.deterministic.fill_uninitialized_memory = filled
        torch.set_num_threads(threads)
