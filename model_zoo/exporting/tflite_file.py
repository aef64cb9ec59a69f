"""Writing TensorFlow Lite: float, channels last, one picture at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from model_zoo.exporting.quiet import quiet
from model_zoo.manifest import Input


def write(net: Any, spec: Input, path: Path) -> None:
    """Write a torch module in eval mode, input [n, 3, height, width], as a .tflite with input [1, height, width, 3].

    Raises:
        ModelError: the exporter cannot take it.
    """
    with quiet(f"{path.stem} cannot be exported to TensorFlow Lite"):
        import litert_torch  # noqa: PLC0415 - seconds, and it says much when it is imported

        turned = litert_torch.to_channel_last_io(net, args=[0]).eval()
        litert_torch.convert(turned, (torch.zeros(1, *spec.size, 3),)).export(str(path))


def described(path: Path, spec: Input) -> tuple[Input, dict[str, Any]]:
    """Return what a .tflite is fed, and [output] of its manifest; whole numbers have a scale and a zero point.

    Args:
        path: of the file.
        spec: how the net that it was made from wants its pictures.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType  # noqa: PLC0415 - an extra

    net = Interpreter(
        model_path=str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    fed, answered = net.get_input_details()[0], net.get_output_details()[0]
    levels = {"layout": "NHWC", "dtype": np.dtype(fed["dtype"]).name, **_levels(fed)}
    return spec.model_copy(update=levels), {"kind": "logits", "index": 1, **_levels(answered)}


def _levels(tensor: Any) -> dict[str, Any]:
    scale, zero_point = tensor["quantization"]
    return {"scale": float(scale), "zero_point": int(zero_point)} if scale else {}
