"""In what numbers an ONNX graph computes, read from the file: the runtime does not tell, and a device has no onnx.

A protobuf message is a row of fields, each with a number and a length; what is not wanted is skipped unread, so that
500 MB of weights cost nothing. Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any, Iterator

GRAPH, NODE, INITIALIZER = 7, 1, 5  # ModelProto.graph, GraphProto.node, GraphProto.initializer
OPERATOR, DATA_TYPE = 4, 2  # NodeProto.op_type, TensorProto.data_type
TYPES = {1: "float32", 10: "float16", 11: "float64", 16: "bfloat16"}  # TensorProto.DataType, of the weights

INTEGER = frozenset({"QLinearConv", "QLinearMatMul", "QuantizeLinear", "ConvInteger", "MatMulInteger"})


def of_file(path: Path) -> set[str]:
    """Return the types that a graph computes in: of its weights, and int8 where operators quantize."""
    if path.suffix != ".onnx":
        return set()
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return set(_types(data))


def _types(data: Any) -> Iterator[str]:
    for number, begin, end in _fields(data, 0, len(data)):
        for kind, low, high in _fields(data, begin, end) if number == GRAPH else ():
            if kind == NODE and _text(data, low, high) in INTEGER:
                yield "int8"
            if kind == INITIALIZER:
                yield TYPES.get(_integer(data, low, high), "")


def _text(data: Any, begin: int, end: int) -> str:
    spans = [(low, high) for number, low, high in _fields(data, begin, end) if number == OPERATOR]
    return bytes(data[spans[0][0] : spans[0][1]]).decode("utf-8", "replace") if spans else ""


def _integer(data: Any, begin: int, end: int) -> int:
    return next((_varint(data, low)[0] for number, low, _ in _fields(data, begin, end) if number == DATA_TYPE), 0)


def _fields(data: Any, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, begin and end of each field of the message between `at` and `end`."""
    while at < end:
        key, at = _varint(data, at)
        wire, begin = key & 7, at
        if wire == 0:
            at = _varint(data, at)[1]
        elif wire == 2:
            size, begin = _varint(data, at)
            at = begin + size
        else:
            at += {1: 8, 5: 4}[wire]
        yield key >> 3, begin, at


def _varint(data: Any, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
