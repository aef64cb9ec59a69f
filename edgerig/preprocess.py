"""What is fed to a model and how its answer is read: pure numpy, the same on every device.

Packed with the agent, imported by the zoo and the controller: training, measuring and reporting use this
very code. Python 3.8 and newer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable  # noqa: UP035 (Python 3.8 cannot subscript the one of collections.abc)

import numpy as np

Array = Any  # numpy.typing needs a newer numpy than some devices have
Resizer = Callable[[Array, int, int, str], Array]

LAYOUTS = ("NCHW", "NHWC")
COLOURS = ("RGB", "BGR")
INPUT_TYPES = ("float32", "float16", "uint8", "int8")
RESIZES = ("area", "linear")
FITS = ("stretch", "crop")
OUTPUT_KINDS = ("logits", "softmax", "probability")


@dataclass(frozen=True)
class InputSpec:
    """How pixels become a tensor: resize, order the colours, (pixel / 255 - mean) / std, lay out.

    Attributes:
        height: rows, in pixels.
        width: columns, in pixels.
        layout: "NCHW" or "NHWC"; the batch is always 1.
        colour: "RGB" or "BGR", the order that the model was trained on.
        dtype: the tensor's type. The integer types are quantized by `scale` and `zero_point`.
        mean: per channel, in the model's colour order, on pixels / 255.
        std: per channel, as mean. mean 0 and std 1/255 feed raw pixels.
        resize: "area" (box average when shrinking, as OpenCV's INTER_AREA) or "linear".
        fit: "stretch" to the size, or "crop" the largest centred part of the same shape first.
        scale: step of a quantized input, real value per level.
        zero_point: level of a quantized input that means 0.
    """

    height: int
    width: int
    layout: str = "NCHW"
    colour: str = "RGB"
    dtype: str = "float32"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    resize: str = "area"
    fit: str = "stretch"
    scale: float | None = None
    zero_point: int = 0

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the tensor, batch first."""
        if self.layout == "NCHW":
            return (1, 3, self.height, self.width)
        return (1, self.height, self.width, 3)


@dataclass(frozen=True)
class OutputSpec:
    """How a model's output row becomes the score, the probability of the positive class.

    Attributes:
        kind: "logits" (softmax over several outputs, sigmoid of a single one), "softmax" (already
            probabilities, one per class), or "probability" (a single one).
        index: which output is the positive class; 0 where there is one output.
        inverted: the output speaks of the negative class, so the score is 1 - it.
        threshold: scores at or above it are decided "fake".
        scale: step of a quantized output, real value per level.
        zero_point: level of a quantized output that means 0.
        name: of the output tensor, "" for the first one.
    """

    kind: str = "logits"
    index: int = 1
    inverted: bool = False
    threshold: float = 0.5
    scale: float | None = None
    zero_point: int = 0
    name: str = ""


class Preprocessor:
    """Turns a decoded picture into the tensor of one frame, in arrays that are allocated once.

    Args:
        spec: what the model wants.
        resizer: called with (picture, height, width, method); numpy's own below where none is given.
    """

    def __init__(self, spec: InputSpec, resizer: Resizer | None = None) -> None:
        self.spec = spec
        self._resize = resizer or resize
        self._gain, self._offset = _affine(spec)
        self._real = np.empty(spec.shape, np.float32)
        self._tensor = self._real if spec.dtype == "float32" else np.empty(spec.shape, spec.dtype)
        planes = self._real[0] if spec.layout == "NCHW" else np.moveaxis(self._real[0], -1, 0)
        self._planes = [planes[channel] for channel in range(3)]
        self._source = (2, 1, 0) if spec.colour == "RGB" else (0, 1, 2)

    def __call__(self, picture: Array) -> Array:
        """Return the tensor for `picture`, uint8 [height, width, 3] in BGR order.

        The array is the same one at each call: copy it to keep it.
        """
        spec = self.spec
        if spec.fit == "crop":
            picture = centre_crop(picture, spec.height, spec.width)
        if picture.shape[:2] != (spec.height, spec.width):
            picture = self._resize(picture, spec.height, spec.width, spec.resize)
        for channel, plane in enumerate(self._planes):
            np.multiply(picture[:, :, self._source[channel]], self._gain[channel], out=plane)
            np.add(plane, self._offset[channel], out=plane)
        return self._quantized()

    def _quantized(self) -> Array:
        if self._tensor is self._real:
            return self._tensor
        if self._tensor.dtype.kind == "f":
            np.copyto(self._tensor, self._real, casting="same_kind")
            return self._tensor
        limits = np.iinfo(self._tensor.dtype)
        np.rint(self._real, out=self._real)
        np.clip(self._real, limits.min, limits.max, out=self._real)
        np.copyto(self._tensor, self._real, casting="unsafe")
        return self._tensor


def _affine(spec: InputSpec) -> tuple[Array, Array]:
    """Return gain and offset per channel, float32, so that tensor = pixel * gain + offset."""
    std = np.asarray(spec.std, np.float64)
    gain = 1.0 / (255.0 * std)
    offset = -np.asarray(spec.mean, np.float64) / std
    if spec.scale is not None:
        gain, offset = gain / spec.scale, offset / spec.scale + spec.zero_point
    return gain.astype(np.float32), offset.astype(np.float32)


def centre_crop(picture: Array, height: int, width: int) -> Array:
    """Return the largest centred view of `picture` that has the shape height : width."""
    rows, columns = picture.shape[:2]
    if rows * width > columns * height:
        keep = max(1, columns * height // width)
        return picture[(rows - keep) // 2 : (rows - keep) // 2 + keep]
    keep = max(1, rows * width // height)
    return picture[:, (columns - keep) // 2 : (columns - keep) // 2 + keep]


def resize(picture: Array, height: int, width: int, method: str) -> Array:
    """Resize a uint8 picture [rows, columns, channels] by numpy alone, for devices without OpenCV.

    Agrees with OpenCV's INTER_AREA and INTER_LINEAR to one grey level. "area" enlarges linearly.
    """
    rows, columns, channels = picture.shape
    down = _weights(rows, height, method) @ picture.reshape(rows, -1).astype(np.float32)
    across = _weights(columns, width, method) @ down.reshape(height, columns, channels).transpose(1, 0, 2).reshape(
        columns, -1
    )
    result = across.reshape(width, height, channels).transpose(1, 0, 2)
    return np.clip(np.rint(result), 0, 255).astype(np.uint8)


_WEIGHTS: dict[tuple[int, int, str], Array] = {}


def _weights(source: int, target: int, method: str) -> Array:
    key = (source, target, method)
    if key not in _WEIGHTS:
        box = method == "area" and target < source
        _WEIGHTS[key] = (_box if box else _linear)(source, target).astype(np.float32)
    return _WEIGHTS[key]


def _box(source: int, target: int) -> Array:
    """Return [target, source] weights: the share of each source cell that a target cell covers."""
    edges = np.arange(target + 1) * (source / target)
    low = np.maximum(edges[:-1, None], np.arange(source)[None, :])
    high = np.minimum(edges[1:, None], np.arange(1, source + 1)[None, :])
    overlap = np.maximum(0.0, high - low)
    return overlap / overlap.sum(axis=1, keepdims=True)


def _linear(source: int, target: int) -> Array:
    """Return [target, source] weights between the two nearest source cells, edges repeated."""
    position = np.clip((np.arange(target) + 0.5) * (source / target) - 0.5, 0, source - 1)
    left = np.minimum(position.astype(int), max(source - 2, 0))
    weights = np.zeros((target, source))
    weights[np.arange(target), left] = 1 - (position - left)
    if source > 1:
        weights[np.arange(target), left + 1] += position - left
    return weights


def postprocess(outputs: Array, spec: OutputSpec) -> Array:
    """Return the score of each row: the probability of the positive class, float64 [n].

    Args:
        outputs: [n, k], or anything that flattens to it row by row.
        spec: how to read it.
    """
    rows = np.asarray(outputs)
    rows = rows.reshape(len(rows), -1).astype(np.float64)
    if spec.scale is not None:
        rows = (rows - spec.zero_point) * spec.scale
    score = _probability(rows, spec)
    return 1.0 - score if spec.inverted else score


def _probability(rows: Array, spec: OutputSpec) -> Array:
    if spec.kind != "logits":
        return rows[:, spec.index]
    if rows.shape[1] == 1:
        return _sigmoid(rows[:, 0])
    if rows.shape[1] == 2:
        return _sigmoid(rows[:, spec.index] - rows[:, 1 - spec.index])
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    return powers[:, spec.index] / powers.sum(axis=1)


def _sigmoid(values: Array) -> Array:
    # tanh does not overflow where exp does, and NaN stays NaN.
    return 0.5 * (1.0 + np.tanh(0.5 * values))
