"""What a runtime has to offer: a module with FORMATS and `load`, and a session that runs one frame."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Protocol, Sequence

from harness.agent.failures import UnsupportedError
from harness.agent.protocol import Operator, Tensor

Array = Any
Infer = Callable[[], Sequence[Array]]


@dataclass(frozen=True)
class LoadRequest:
    """What to load, and how.

    Attributes:
        model: the main file; others of the same model lie beside it.
        provider: execution provider or delegate, in the runtime's own word or a short one.
        threads: that one inference may use.
        options: the provider's.
        profile: per-operator times are wanted.
        scratch: a folder for what the runtime has to write.
        shape: of the input that is going to be fed, None where that is not known yet; a model that takes any shape is
            fixed to it where the runtime is faster so.
        allow_fallback: something else than what was asked for may run.
        engines: folder of what the provider compiles the model into, None for one that compiles nothing.
    """

    model: Path
    provider: str = "cpu"
    threads: int = 1
    options: dict[str, str] = field(default_factory=dict)
    profile: bool = False
    scratch: Path = Path()
    shape: tuple[int, ...] | None = None
    allow_fallback: bool = False
    engines: Path | None = None


@dataclass(frozen=True)
class Ran:
    """What really runs, asked of the runtime.

    Attributes:
        facts: runtime_version, runtime_build, provider, precision, threads, threads_asked.
        fallback: "", or a sentence that says what runs instead of what was asked for.
    """

    facts: dict[str, str]
    fallback: str = ""


class Session(ABC):
    """A loaded model.

    Attributes:
        inputs: its inputs.
        outputs: its outputs; the first one is the answer, and who wants another puts it there before `bind`.
    """

    inputs: list[Tensor]
    outputs: list[Tensor]

    @abstractmethod
    def ran(self) -> Ran:
        """Return what really runs; asked once, when the clock of loading has stopped."""

    @abstractmethod
    def bind(self, tensor: Array) -> Infer:
        """Return what runs the model once on the content that `tensor` then has, and returns the first of `outputs`.

        The call is what the clock times as inference, so all that can be prepared is prepared here. The array
        is the same for all frames.
        """

    def operators(self, warmup: int) -> list[Operator]:
        """Return per-operator times of the frames run so far, without the first `warmup`; ends the profile."""
        raise UnsupportedError("this runtime cannot tell the time of single operators")


class Runtime(Protocol):
    """A module of this package."""

    FORMATS: tuple[str, ...]  # endings of the main model file

    def load(self, request: LoadRequest) -> Session:
        """Load a model; raises OutcomeError, or whatever the runtime raises."""
