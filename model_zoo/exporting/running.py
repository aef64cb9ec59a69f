"""Running what was written by the runtime that it was written for, on one thread and in the precision of the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerig.preprocess import OutputSpec, postprocess
from model_zoo.exporting.openvino_file import openvino
from model_zoo.exporting.quiet import quiet
from model_zoo.ladder import fidelity
from model_zoo.ladder.fidelity import Faces

Array = NDArray[Any]
Answer = Callable[[Array], Array]


def answers(path: Path, faces: Faces, name: str = "") -> Array:
    """Return what a model file answers to each face, float64 [faces, outputs], integers as they are.

    Args:
        path: .onnx, .tflite or .xml.
        faces: as the file wants them.
        name: of the output tensor, "" for the first one.

    Raises:
        ModelError: the runtime cannot load or run it.
    """
    with quiet(f"{path.name} cannot be run"):
        answer = _LOADERS[path.suffix](path, name)
        rows = [np.asarray(answer(tensor), np.float64).reshape(-1) for tensor in faces.tensors()]
    return np.stack(rows)


def scores(path: Path, faces: Faces, spec: OutputSpec) -> NDArray[np.float64]:
    """Return the probability of "fake" of each face, float64 [faces]."""
    return np.asarray(postprocess(answers(path, faces, spec.name), spec), np.float64)


def _onnx(path: Path, name: str) -> Answer:
    session = fidelity.session(path)
    fed, wanted = session.get_inputs()[0].name, [name] if name else None
    return lambda tensor: np.asarray(session.run(wanted, {fed: tensor})[0])


def _tflite(path: Path, name: str) -> Answer:
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 - an extra

    net = Interpreter(model_path=str(path), num_threads=1)
    net.allocate_tensors()
    fed, outputs = net.get_input_details()[0]["index"], net.get_output_details()
    read = next(entry["index"] for entry in outputs if not name or entry["name"] == name)

    def answer(tensor: Array) -> Array:
        net.set_tensor(fed, tensor)
        net.invoke()
        return np.asarray(net.get_tensor(read))

    return answer


def _openvino(path: Path, name: str) -> Answer:
    # Unasked, a processor that has bfloat16 runs it, and the scores are others.
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": "1", "NUM_STREAMS": "1"}
    compiled = openvino().Core().compile_model(str(path), "CPU", options)
    port = compiled.output(name) if name else compiled.output(0)
    return lambda tensor: np.asarray(compiled(tensor)[port])


_LOADERS: dict[str, Callable[[Path, str], Answer]] = {".onnx": _onnx, ".tflite": _tflite, ".xml": _openvino}
