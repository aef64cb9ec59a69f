"""Whether a manifest says what the model is: checked before the first frame, so that the reason is a sentence."""

from __future__ import annotations

from dataclasses import replace
from typing import Sequence

from harness.agent.failures import FailedError
from harness.agent.protocol import InputSpec, OutputSpec, Tensor


def check_input(spec: InputSpec, inputs: Sequence[Tensor]) -> None:
    """Raise FailedError where the model does not take what `spec` says."""
    if len(inputs) != 1:
        names = ", ".join(repr(tensor.name) for tensor in inputs)
        raise FailedError(f"the model has {len(inputs)} inputs ({names}), and a classifier of pictures has one")
    tensor = inputs[0]
    says = f"the manifest says {spec.layout} {spec.height}x{spec.width}"
    if len(tensor.shape) != len(spec.shape) or not all(
        size in (None, wanted) for size, wanted in zip(tensor.shape, spec.shape)
    ):
        raise FailedError(f"{says} but the model's input {tensor.name!r} is {_shape(tensor)}")
    if tensor.dtype != spec.dtype:
        raise FailedError(f"the manifest says {spec.dtype} but the model's input {tensor.name!r} is {tensor.dtype}")
    _check_levels(spec, tensor, "input")


def named_first(spec: OutputSpec, outputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the outputs, the one that the manifest names first; raises FailedError where there is none such."""
    if not outputs:
        raise FailedError("the model has no output")
    names = [tensor.name for tensor in outputs]
    if spec.name and spec.name not in names:
        known = ", ".join(map(repr, names))
        raise FailedError(f"the manifest says output {spec.name!r} but the model's outputs are {known}")
    return sorted(outputs, key=lambda tensor: bool(spec.name) and tensor.name != spec.name)


def real(spec: OutputSpec, output: Tensor) -> OutputSpec:
    """Return `spec` with the levels of a quantized output, where the manifest leaves them to the model."""
    if spec.scale is not None or output.scale is None:
        return spec
    return replace(spec, scale=output.scale, zero_point=output.zero_point)


def check_output(spec: OutputSpec, outputs: Sequence[Tensor]) -> None:
    """Raise FailedError where the model's first output cannot be read as `spec` says."""
    _check_levels(spec, outputs[0], "output")
    sizes = outputs[0].shape[1:] if len(outputs[0].shape) > 1 else outputs[0].shape
    count = 1
    for size in sizes:
        if size is None:
            return  # told by the first frame
        count *= size
    check_values(spec, outputs[0].name, count)


def check_values(spec: OutputSpec, name: str, count: int) -> None:
    """Raise FailedError where an answer of `count` values has none at the index of the positive class."""
    alone = spec.kind == "logits" and count == 1  # a sigmoid, whatever the index
    if not alone and not 0 <= spec.index < count:
        values = f"{count} value{'' if count == 1 else 's'}"
        raise FailedError(
            f"the manifest says {spec.kind} with the positive class at index {spec.index} "
            f"but the model's output {name!r} has {values}"
        )


def _check_levels(spec: InputSpec | OutputSpec, tensor: Tensor, what: str) -> None:
    """Raise FailedError where manifest and model both say what an integer stands for, and not the same."""
    if spec.scale is None or tensor.scale is None:
        return
    # The runtime keeps the scale as float32.
    if abs(spec.scale - tensor.scale) > 1e-5 * tensor.scale or spec.zero_point != tensor.zero_point:
        raise FailedError(
            f"the manifest says scale {spec.scale:g} and zero point {spec.zero_point} "
            f"but the model's {what} {tensor.name!r} has {tensor.scale:g} and {tensor.zero_point}"
        )


def _shape(tensor: Tensor) -> str:
    return "[" + ", ".join("?" if size is None else str(size) for size in tensor.shape) + "]"
