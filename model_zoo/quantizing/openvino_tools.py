"""OpenVINO by NNCF."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from edgerig.errors import ModelError
from model_zoo.exporting.openvino_file import openvino, save
from model_zoo.ladder import graph
from model_zoo.quantizing.task import Task


def static(task: Task, keep: tuple[str, ...] = ()) -> None:
    """Write FakeQuantize: activations by NNCF's statistics, weights per channel, biases corrected."""
    nncf, model = openvino("nncf"), _read(task.source)
    calibration = nncf.Dataset(task.tensors)
    ignored = nncf.IgnoredScope(names=_names(model, task.prepared, keep) if keep else [], validate=False)
    save(nncf.quantize(model, calibration, subset_size=len(task.tensors), ignored_scope=ignored), task.target)


def weights(task: Task) -> None:
    """Write int8 weights per channel, turned back to float where they are used."""
    nncf = openvino("nncf")
    save(nncf.compress_weights(_read(task.source), mode=nncf.CompressWeightsMode.INT8_SYM), task.target)


def half(task: Task) -> None:
    """Write weights as float16; what is computed is the business of the device."""
    save(_read(task.source), task.target, half=True)


def _read(path: Path) -> Any:
    return openvino().Core().read_model(str(path))


def _names(model: Any, prepared: Path, keep: tuple[str, ...]) -> list[str]:
    """Return the operators of some layers, which OpenVINO calls as ONNX does, some with a part of its own behind it."""
    nodes = graph.in_float(graph.layers(prepared), keep)
    found = [name for entry in model.get_ops() if re.split("/", name := entry.get_friendly_name())[0] in nodes]
    lost = next((layer for layer in keep if not any(name.split("/")[0] == layer for name in found)), "")
    if lost:
        raise ModelError(f"OpenVINO's graph has no operator for the layer {lost}, which is to stay in float.")
    return found
