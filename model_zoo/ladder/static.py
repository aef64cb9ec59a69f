"""Static int8 in QDQ form: activations by calibration, weights per channel, and layers given back to float."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.qdq_loss_debug import (
    collect_activations,
    compute_activation_error,
    create_activation_matching,
    modify_model_output_intermediate_tensors,
)

from model_zoo.ladder import graph
from model_zoo.ladder.fidelity import Faces

CALIBRATIONS = {
    "minmax": (CalibrationMethod.MinMax, {}),
    "entropy": (CalibrationMethod.Entropy, {}),
    "percentile": (CalibrationMethod.Percentile, {"CalibPercentile": 99.99}),
}
COMPARED = 16  # faces on which the layers' errors are compared: every activation of each is held in memory


class Reader(CalibrationDataReader):
    """Feeds faces to the quantizer.

    Args:
        name: of the model's input.
        faces: calibration faces.
        most: how many of them.
    """

    def __init__(self, name: str, faces: Faces, most: int | None = None) -> None:
        self._name, self._faces, self._most = name, faces, most
        self.rewind()

    def rewind(self) -> None:
        """Begin anew."""
        self._feed: Iterator[Any] = iter(self._faces.tensors())
        self._left = self._most if self._most is not None else len(self._faces.faces.faces)

    def get_next(self) -> dict[str, Any] | None:
        """Return the next face, None after the last."""
        self._left -= 1
        tensor = next(self._feed, None) if self._left >= 0 else None
        return None if tensor is None else {self._name: tensor}


def quantize(source: Path, target: Path, faces: Faces, calibration: str, keep: Sequence[str] = ()) -> None:
    """Write a model in static int8.

    Args:
        source: made ready by `graph.prepared`.
        target: the new file.
        faces: to calibrate on.
        calibration: one of CALIBRATIONS.
        keep: layers that stay in float, with the nodes that work on their output alone.
    """
    method, options = CALIBRATIONS[calibration]
    nodes = graph.layers(source)
    stay = sorted({name for layer in keep for name in nodes[layer]})
    with _silence():
        _quantize(source, target, Reader(_input(source), faces), method, options, stay)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep to itself what the quantizer tells of every histogram and of every node that it leaves alone."""
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


def _input(model: Path) -> str:
    return str(onnx.load(model).graph.input[0].name)


def _quantize(
    source: Path, target: Path, reader: Reader, method: Any, options: dict[str, Any], keep: Sequence[str]
) -> None:
    quantize_static(
        str(source),
        str(target),
        reader,
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        # Unsigned: with signed activations ONNX Runtime has no fast kernels on x86-64.
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=method,
        nodes_to_exclude=list(keep),
        extra_options=dict(options),
    )


def worst_layers(source: Path, quantized: Path, faces: Faces) -> list[str]:
    """Return the layers of a model, the one whose output int8 blurs most (by signal to noise) first."""
    name = _input(source)
    with tempfile.TemporaryDirectory() as folder:
        found = [
            _activations(model, Path(folder) / f"{n}.onnx", name, faces) for n, model in enumerate((quantized, source))
        ]
    errors = compute_activation_error(create_activation_matching(*found))
    noise = {output: float(entry["xmodel_err"]) for output, entry in errors.items()}
    outputs = {node.name: list(node.output) for node in onnx.load(source).graph.node}

    def clearest(names: Sequence[str]) -> float:
        """Return the lowest signal to noise among what these nodes put out, dB."""
        return min((noise[output] for name in names for output in outputs[name] if output in noise), default=np.inf)

    found_layers = graph.layers(source)
    return sorted(found_layers, key=lambda layer: clearest(found_layers[layer]))


def _activations(model: Path, target: Path, name: str, faces: Faces) -> dict[str, Any]:
    modify_model_output_intermediate_tensors(str(model), str(target))
    found: dict[str, Any] = collect_activations(str(target), Reader(name, faces, COMPARED))
    return found
