"""Writing TensorFlow Lite: float, channels last, one picture at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
