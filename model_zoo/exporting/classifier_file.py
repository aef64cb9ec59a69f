"""Writing ONNX of a classifier of scikit-learn, through skl2onnx; its answers are probabilities."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from model_zoo.exporting import onnx_file
from model_zoo.exporting.quiet import quiet
from model_zoo.manifest import Input

OUTPUT = {"kind": "softmax", "index": 1}
PROBABILITIES, ROWS = "probabilities", "rows"
OPSETS = {"": onnx_file.OPSET, "ai.onnx.ml": 3}


def write(pipeline: Any, spec: Input, path: Path) -> None:
    """Write a fitted pipeline, rows [n, 3 x height x width] in, as ONNX with input [n, 3, height, width].

    Raises:
        ModelError: skl2onnx cannot convert it.
    """
    with quiet(f"{path.stem} cannot be exported to ONNX"):
        from skl2onnx import convert_sklearn  # noqa: PLC0415 - part of the extra
        from skl2onnx.common.data_types import FloatTensorType  # noqa: PLC0415

        rows = FloatTensorType([None, 3 * math.prod(spec.size)])
        options = {id(pipeline): {"zipmap": False}}
        model = convert_sklearn(pipeline, initial_types=[(ROWS, rows)], options=options, target_opset=OPSETS)
        onnx.save(_fed_pictures(model, spec), path)
        onnx_file.forget_origin(path)


def _fed_pictures(model: Any, spec: Input) -> Any:
    """Return the model with pictures for rows, and without the output of labels."""
    graph = model.graph
    shape = numpy_helper.from_array(np.array([-1, 3 * math.prod(spec.size)], np.int64), "row_shape")
    graph.initializer.append(shape)
    graph.node.insert(0, helper.make_node("Reshape", [onnx_file.INPUT, shape.name], [ROWS], "pictures_to_rows"))
    pictures = helper.make_tensor_value_info(onnx_file.INPUT, TensorProto.FLOAT, ["batch", 3, *spec.size])
    graph.input[0].CopyFrom(pictures)
    kept = next(entry for entry in graph.output if entry.name == PROBABILITIES)
    del graph.output[:]
    graph.output.append(kept)
    return model


def answers(pipeline: Any, tensors: Iterable[NDArray[Any]]) -> NDArray[Any]:
    """Return the probabilities of pictures [1, 3, height, width], float64 [n, 2]."""
    rows = np.concatenate([tensor.reshape(1, -1) for tensor in tensors])
    return np.asarray(pipeline.predict_proba(rows), np.float64)
