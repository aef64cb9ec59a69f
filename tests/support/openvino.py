"""OpenVINO models, converted from ONNX ones by OpenVINO itself."""

from __future__ import annotations

import tomllib
from pathlib import Path

import openvino

from tests.support.models import write_manifest


def openvino_model(source: Path, half: bool = False) -> Path:
    """Write NAME-ir.xml with NAME-ir.bin beside an ONNX model, its manifest the same, and return the .xml.

    Args:
        source: the ONNX model.
        half: its weights are kept in float16, as OpenVINO does unless it is told not to; NAME-half.xml.
    """
    path = source.with_name(f"{source.stem}-{'half' if half else 'ir'}.xml")
    openvino.save_model(openvino.convert_model(source), path, compress_to_fp16=half)
    keys = tomllib.loads(source.with_suffix(".toml").read_text(encoding="utf-8"))
    write_manifest(path, **{**keys, "name": path.stem, "file": path.name})
    return path
