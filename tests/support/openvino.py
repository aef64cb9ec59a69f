"""OpenVINO models, converted from ONNX ones by OpenVINO itself."""

from __future__ import annotations

import tomllib
from pathlib import Path

import openvino

from tests.support.models import write_manifest


def openvino_model(source: Path) -> Path:
    """Write NAME-ir.xml with NAME-ir.bin beside an ONNX model, its manifest the same, and return the .xml."""
    path = source.with_name(f"{source.stem}-ir.xml")
    openvino.save_model(openvino.convert_model(source), path, compress_to_fp16=False)
    keys = tomllib.loads(source.with_suffix(".toml").read_text(encoding="utf-8"))
    write_manifest(path, **{**keys, "name": path.stem, "file": path.name})
    return path
