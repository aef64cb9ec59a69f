"""Writing OpenVINO's .xml and .bin, from the ONNX file of the same net.

OpenVINO's own way from torch goes through `torch.jit.trace`, which torch has given up; from ONNX the graph is the one
that was held against the net already, quantization that was trained included.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from model_zoo.exporting.quiet import quiet
from model_zoo.manifest import Input


def openvino(package: str = "openvino") -> Any:
    """Import OpenVINO, or a package that is built upon it.

    openvino-telemetry, which comes with it, tells its maker over the network of each import and conversion, from
    forked processes, unless it is told not to by a file in the user's home; both packages do without it.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return importlib.import_module(package)


def read(source: Path, spec: Input) -> Any:
    """Return the model of an ONNX file for any number of pictures; raises ModelError where OpenVINO cannot."""
    with quiet(f"{source.stem} cannot be converted to OpenVINO"):
        model = openvino().Core().read_model(str(source))
        model.reshape([-1, 3, *spec.size])
        return model


def save(model: Any, path: Path, *, half: bool = False) -> None:
    """Write a model as .xml with its .bin beside it, the weights as float16 where `half`."""
    with quiet(f"{path.stem} cannot be written for OpenVINO"):
        openvino().save_model(model, str(path), compress_to_fp16=half)


def write(source: Path, spec: Input, path: Path) -> None:
    """Write the OpenVINO model of an ONNX file, float32."""
    save(read(source, spec), path)
