"""Writing ONNX: one file, any batch size, and none of the exporter's notes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import torch

from model_zoo.exporting.quiet import quiet
from model_zoo.manifest import Input
from model_zoo.quantizing import rounding

OPSET = 18
INPUT, OUTPUT = "input", "logits"


def write(net: Any, spec: Input, path: Path) -> None:
    """Write a torch module in eval mode, input [n, 3, height, width], as one ONNX file.

    Raises:
        ModelError: the exporter cannot take it.
    """
    with quiet(f"{path.stem} cannot be exported to ONNX"):
        torch.onnx.export(
            rounding.frozen(net),
            (torch.zeros(2, 3, *spec.size),),  # of 1 the exporter would make a constant
            path,
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            verbose=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
        forget_origin(path)


def forget_origin(path: Path) -> None:
    """Take out the exporter's notes: stack traces of every node, with the paths of the machine that built it."""
    model = onnx.load(path)
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    onnx.save(model, path)
