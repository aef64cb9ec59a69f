"""Static int8 in QDQ form: activations by calibration, weights per channel, and layers given back to float."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

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

CLEAR = 60.0  # dB: what is clearer than that, nobody sees


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
        keep: layers that stay in float, with what `graph.in_float` says of them.
    """
    method, options = CALIBRATIONS[calibration]
    stay = sorted(graph.in_float(graph.layers(source), keep))
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
    """Return the layers of a model, the one that int8 blurs most first: by how much less signal to noise it puts out
    than it is fed with, dB. What it puts out alone would name all that come after it, too.
    """
    name = _input(source)
    with tempfile.TemporaryDirectory() as folder:
        found = [
            _activations(model, Path(folder) / f"{n}.onnx", name, faces) for n, model in enumerate((quantized, source))
        ]
    errors = compute_activation_error(create_activation_matching(*found))
    noise = {output: float(entry["xmodel_err"]) for output, entry in errors.items()}
    outputs = {node.name: list(node.output) for node in onnx.load(source).graph.node}
    layers = graph.layers(source)
    clear = {
        name: min([CLEAR, *(noise[output] for node in layer.nodes for output in outputs[node] if output in noise)])
        for name, layer in layers.items()
    }

    def lost(layer: str) -> float:
        return min((clear[name] for name in layers[layer].fed_by), default=CLEAR) - clear[layer]

    return sorted(layers, key=lost, reverse=True)


def _activations(model: Path, target: Path, name: str, faces: Faces) -> dict[str, Any]:
    modify_model_output_intermediate_tensors(str(model), str(target))
    found: dict[str, Any] = collect_activations(str(target), Reader(name, faces, COMPARED))
    return found
