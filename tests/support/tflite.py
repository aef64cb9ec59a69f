"""Small TensorFlow Lite models, put together from the format's own schema: no TensorFlow is needed.

    tflite_model(folder, "mobile")                  NHWC, pixels / 255, one sigmoid that means "real"
    tflite_model(folder, "tiny", quantized=True)    the same in int8 with scales and zero points of its own
    tflite_model(folder, "odd", mixed=True)         with an operator that XNNPACK leaves to others

The net is the bump of `tests.support.models`: mean over the picture, distance from a centre, squared, weighed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from tests.support.faces import FAKE_RED
from tests.support.models import PLAIN, write_manifest

Values = NDArray[Any]
TYPES = {"float32": schema.TensorType.FLOAT32, "int8": schema.TensorType.INT8, "int32": schema.TensorType.INT32}


class Levels(NamedTuple):
    """How int8 stands for real values: (level - zero_point) * scale."""

    scale: float
    zero_point: int = 0

    def of(self, values: Values) -> Values:
        """Return real values as levels, int8."""
        levels: Values = np.clip(np.rint(values / self.scale) + self.zero_point, -128, 127).astype(np.int8)
        return levels


# What each step of the net can be; what is beyond is as good as the end, for the logit there is that of a real face.
PIXELS = Levels(1 / 255, -128)  # 0 to 1
APART = Levels(0.25 / 127)  # -.25 to .25 from the centre
SQUARED = Levels(0.0625 / 255, -128)
LOGIT = Levels(16 / 255)
SHARE = Levels(1 / 256, -128)  # what LOGISTIC gives in int8, always
WEIGHT = Levels(4.0)


class Net:
    """A model with one graph, being put together.

    Args:
        quantized: int8 throughout, by the levels that each tensor is given.
    """

    def __init__(self, quantized: bool) -> None:
        self._quantized = quantized
        self._model = schema.ModelT()
        self._model.version = 3
        self._model.description = "edgerig's test model"
        self._model.buffers = [_buffer(b"")]
        self._model.operatorCodes = []
        self._graph = schema.SubGraphT()
        self._graph.tensors, self._graph.operators = [], []
        self._model.subgraphs = [self._graph]

    def tensor(self, name: str, shape: list[int], levels: Levels) -> int:
        """Add a tensor that is computed, or fed."""
        return self._add(name, shape, "int8" if self._quantized else "float32", levels, 0)

    def constant(self, name: str, values: Values, levels: Levels) -> int:
        """Add a constant, in int8 where the net is."""
        kept = levels.of(values) if self._quantized else values.astype(np.float32)
        return self._kept(name, kept, levels)

    def bias(self, name: str, values: Values, scale: float) -> int:
        """Add what is added to a sum of products: int32 in steps of the product's scale where the net is int8."""
        kept = np.rint(values / scale).astype(np.int32) if self._quantized else values.astype(np.float32)
        return self._kept(name, kept, Levels(scale))

    def axes(self, values: list[int]) -> int:
        """Add a list of axes, which is int32 in every net."""
        return self._kept("axes", np.array(values, np.int32), None)

    def operator(self, code: int, inputs: list[int], output: int, kind: int = 0, options: Any = None) -> None:
        """Add an operator."""
        entry = schema.OperatorCodeT()
        entry.builtinCode = code
        entry.deprecatedBuiltinCode = min(code, 127)
        entry.version = 2 if self._quantized else 1
        self._model.operatorCodes.append(entry)
        step = schema.OperatorT()
        step.opcodeIndex = len(self._model.operatorCodes) - 1
        step.inputs, step.outputs = inputs, [output]
        step.builtinOptionsType, step.builtinOptions = kind, options
        self._graph.operators.append(step)

    def packed(self, fed: int, answers: list[int]) -> bytes:
        """Return the file."""
        self._graph.inputs, self._graph.outputs = [fed], answers
        builder = flatbuffers.Builder(1024)
        builder.Finish(self._model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _kept(self, name: str, values: Values, levels: Levels | None) -> int:
        self._model.buffers.append(_buffer(values.tobytes()))
        place = len(self._model.buffers) - 1
        return self._add(name, list(values.shape), values.dtype.name, levels, place)

    def _add(self, name: str, shape: list[int], dtype: str, levels: Levels | None, place: int) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, shape, TYPES[dtype], place
        if self._quantized and levels:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [levels.scale], [levels.zero_point]
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1


def _buffer(data: bytes) -> Any:
    buffer = schema.BufferT()
    buffer.data = list(data)
    return buffer


def tflite_model(
    folder: Path,
    name: str,
    *,
    quantized: bool = False,
    mixed: bool = False,
    heads: bool = False,
    size: int = 24,
    manifest: bool = True,
    **keys: Any,
) -> Path:
    """Write a model that finds the fakes of `tests.support.faces`; a high answer means "real".

    Args:
        folder: made where it is missing.
        name: of the variant and its file.
        quantized: int8 from input to output.
        mixed: reverses the one logit, which changes nothing and is not XNNPACK's business.
        heads: answers the logit as well, in a second output.
        size: height and width.
        manifest: write NAME.toml.
        keys: more keys for the manifest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.tflite"
    path.write_bytes(_bump(quantized, mixed, heads, size))
    if manifest:
        mean, std = PLAIN
        levels = [
            {"scale": entry.scale, "zero_point": entry.zero_point} if quantized else {} for entry in (PIXELS, SHARE)
        ]
        dtype = "int8" if quantized else "float32"
        table = {
            "input": {"size": [size] * 2, "layout": "NHWC", "dtype": dtype, "mean": mean, "std": std, **levels[0]},
            "output": {"kind": "probability", "index": 0, "inverted": True, **levels[1]},
        }
        write_manifest(path, **{**table, **keys})
    return path


def of_any_size(path: Path) -> Path:
    """Have a model take any batch, height and width, and return its path."""
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    fed = model.subgraphs[0].tensors[0]
    fed.shape, fed.shapeSignature = [1, 1, 1, 3], [-1, -1, -1, 3]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def _bump(quantized: bool, mixed: bool, heads: bool, size: int) -> bytes:
    net, code = Net(quantized), schema.BuiltinOperator
    centre = np.array([[FAKE_RED / 255, 0, 0]])
    weights = np.array([[4.0 / (30 / 255) ** 2, 0, 0]])  # as in tests.support.models: 0 halfway to the real faces
    x = net.tensor("x", [1, size, size, 3], PIXELS)
    mean, apart, squared = (
        net.tensor(name, [1, 3], levels) for name, levels in (("m", PIXELS), ("d", APART), ("q", SQUARED))
    )
    logit, answer = net.tensor("l", [1, 1], LOGIT), net.tensor("y", [1, 1], SHARE)
    none = schema.ActivationFunctionType.NONE
    mean_options, sub, mul, full = (
        schema.ReducerOptionsT(),
        schema.SubOptionsT(),
        schema.MulOptionsT(),
        schema.FullyConnectedOptionsT(),
    )
    mean_options.keepDims = False
    for options in (sub, mul, full):
        options.fusedActivationFunction = none
    kinds = schema.BuiltinOptions
    net.operator(code.MEAN, [x, net.axes([1, 2])], mean, kinds.ReducerOptions, mean_options)
    net.operator(code.SUB, [mean, net.constant("centre", centre, PIXELS)], apart, kinds.SubOptions, sub)
    net.operator(code.MUL, [apart, apart], squared, kinds.MulOptions, mul)
    scale = SQUARED.scale * WEIGHT.scale
    added = [net.constant("weights", weights, WEIGHT), net.bias("bias", np.array([-4.0]), scale)]
    net.operator(code.FULLY_CONNECTED, [squared, *added], logit, kinds.FullyConnectedOptions, full)
    if mixed:
        reversed_ = net.tensor("r", [1, 1], LOGIT)
        net.operator(
            code.REVERSE_V2, [logit, net.axes([1])], reversed_, kinds.ReverseV2Options, schema.ReverseV2OptionsT()
        )
        logit = reversed_
    net.operator(code.LOGISTIC, [logit], answer)
    return net.packed(x, [answer, logit] if heads else [answer])
