"""What a model file says of itself, whatever its format."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelFacts:
    """Read from the file, not measured.

    Attributes:
        parameters: elements of the weights; scales and zero points are not counted.
        macs: multiply-accumulates of convolutions and products for one picture; None where shapes are unknown.
        techniques: "static int8 (QDQ)", "dynamic int8", "weights int8", "fp16", or nothing.
        beside: names of the files that hold its weights, where they are not in the file itself.
    """

    parameters: int
    macs: int | None
    techniques: tuple[str, ...]
    beside: tuple[str, ...] = ()
