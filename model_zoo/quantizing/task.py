"""What is to be quantized: a float file, and what its format's tools need beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from model_zoo.ladder.fidelity import Faces


@dataclass(frozen=True)
class Task:
    """A float file that is to be quantized.

    Attributes:
        source: the float file.
        target: the new one, of the same suffix.
        prepare: returns `prepared`, which is made when it is first asked for.
        calibration: training faces as the source wants them.
        plain: the same faces as `prepared` wants them.
        bits: of weights, by their values, where a plan says them.
    """

    source: Path
    target: Path
    prepare: Callable[[], Path]
    calibration: Faces
    plain: Faces
    bits: Mapping[bytes, int] = field(default_factory=dict)

    @property
    def prepared(self) -> Path:
        """The ONNX file of the same net, made ready by `ladder.graph.prepared`.

        Its layers name those that stay in float, whatever the format.
        """
        return self.prepare()

    @property
    def tensors(self) -> Tensors:
        """The calibration faces, one at a time."""
        return Tensors(self.calibration)


@dataclass(frozen=True)
class Tensors:
    """Faces that can be gone through again and again, as the quantizers do."""

    faces: Faces
    wrapped: str = ""  # name of the model's argument, for tools that want one

    def __iter__(self) -> Iterator[NDArray[np.generic] | dict[str, Any]]:
        for tensor in self.faces.tensors():
            yield {self.wrapped: tensor} if self.wrapped else tensor

    def __len__(self) -> int:
        return len(self.faces.faces.faces)


class Quantizer(Protocol):
    """The tools of one format."""

    def static(self, task: Task, keep: tuple[str, ...] = ()) -> None:
        """Write int8 weights and activations; layers of `task.prepared` named in `keep` stay in float."""

    def dynamic(self, task: Task) -> None:
        """Write int8 weights; activations are rounded while it runs."""

    def weights(self, task: Task) -> None:
        """Write int8 weights that are turned back to float when they are used."""

    def half(self, task: Task) -> None:
        """Write float16."""
