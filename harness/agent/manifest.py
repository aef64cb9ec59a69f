"""Whether a manifest says what the model is: checked before the first frame, so that the reason is a sentence."""

from __future__ import annotations

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


def check_output(spec: OutputSpec, outputs: Sequence[Tensor]) -> None:
    """Raise FailedError where the model's first output cannot be read as `spec` says."""
    if not outputs:
        raise FailedError("the model has no output")
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


def _shape(tensor: Tensor) -> str:
    return "[" + ", ".join("?" if size is None else str(size) for size in tensor.shape) + "]"
