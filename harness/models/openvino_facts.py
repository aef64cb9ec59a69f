"""What an OpenVINO file says of itself: the .xml is the whole graph, so nothing else is needed to read it."""

from __future__ import annotations

import math
import xml.etree.ElementTree as Xml
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from edgerig.errors import ModelError
from harness.models.model_facts import ModelFacts

MOST_BYTES = 64 << 20  # of an .xml; that of a net with 1,000 layers has 1 MB
WEIGHTS = frozenset({"f64", "f32", "f16", "bf16", "i8", "u8", "i4", "u4"})
NARROW = frozenset({"i8", "u8", "i4", "u4"})
THROUGH = frozenset({"Convert", "Reshape", "Transpose"})  # a constant behind these is still that constant
COUNTED = frozenset({"Convolution", "GroupConvolution", "MatMul"})


def read(path: Path) -> ModelFacts:
    """Return the facts of an .xml; raises ModelError where it is none."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError("it is too big for a graph")
        text = path.read_text(encoding="utf-8")
        if "<!" in text:  # entities, which no exporter writes, could grow to any size
            raise ValueError("it has a document type or markup that OpenVINO does not write")
        graph = Graph(Xml.fromstring(text))  # noqa: S314 - see the line above
        return ModelFacts(graph.parameters(), graph.macs(), graph.techniques())
    except (ValueError, KeyError, Xml.ParseError) as error:
        raise ModelError(f"{path} is not an OpenVINO model that can be read: {error}.") from error


class Graph:
    """Layers by number, and what each of their inputs comes from."""

    def __init__(self, root: Xml.Element) -> None:
        self._layers = {layer.attrib["id"]: layer for layer in root.iter("layer")}
        if not self._layers:
            raise ValueError("it has no layers")
        # Ports are numbered over inputs and outputs; inputs come first, in order.
        self._from = {
            (edge.attrib["to-layer"], int(edge.attrib["to-port"])): edge.attrib["from-layer"]
            for edge in root.iter("edge")
        }

    def parameters(self) -> int:
        """Count elements of the weights: neither ranges and scales of quantization nor shapes and indices."""
        return sum(
            math.prod(_shape(layer))
            for number, layer in self._layers.items()
            if _kind(layer) in WEIGHTS and _shape(layer) and number not in self._helpers  # scalars are settings
        )

    def macs(self) -> int | None:
        """Return multiply-accumulates for one picture, None where a shape is unknown."""
        counts = [_macs(layer) for layer in self._layers.values() if layer.attrib["type"] in COUNTED]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    def techniques(self) -> tuple[str, ...]:
        """Return how the model is compressed."""
        kinds = {_kind(layer) for number, layer in self._layers.items() if number not in self._helpers}
        found = []
        if any(layer.attrib["type"] == "FakeQuantize" for layer in self._layers.values()):
            found.append("static int8")
        elif kinds & NARROW:
            found.append("weights int8" if kinds & {"i8", "u8"} else "weights int4")
        return (*found, *(["fp16"] if "f16" in kinds else []))

    @cached_property
    def _helpers(self) -> set[str]:
        """The constants that say what levels mean: ranges of FakeQuantize, and what whole numbers are scaled by."""
        return {constant for number, port in self._scales() if (constant := self._constant(number, port))}

    def _scales(self) -> Iterator[tuple[str, int]]:
        for number, layer in self._layers.items():
            if layer.attrib["type"] == "FakeQuantize":
                yield from ((number, port) for port in (1, 2, 3, 4))
            if layer.attrib["type"] in ("Multiply", "Subtract") and self._is_narrow(number):
                yield number, 1

    def _is_narrow(self, number: str) -> bool:
        """Whether what is scaled are whole numbers, the zero point perhaps taken off already."""
        below = self._layers[self._from[number, 0]]
        if below.attrib["type"] == "Subtract":
            return self._is_narrow(below.attrib["id"])
        constant = self._constant(number, 0)
        return constant is not None and _kind(self._layers[constant]) in NARROW

    def _constant(self, number: str, port: int) -> str | None:
        """Return the constant that an input comes from, through what changes only its form."""
        above = self._from.get((number, port))
        while above is not None and self._layers[above].attrib["type"] in THROUGH:
            above = self._from.get((above, 0))
        return above if above is not None and self._layers[above].attrib["type"] == "Const" else None


def _kind(layer: Xml.Element) -> str:
    data = layer.find("data")
    return data.attrib["element_type"] if layer.attrib["type"] == "Const" and data is not None else ""


def _shape(layer: Xml.Element) -> list[int]:
    data = layer.find("data")
    shape = data.attrib["shape"] if data is not None else ""
    return [int(size) for size in shape.split(",") if size.strip()]


def _macs(layer: Xml.Element) -> int | None:
    inputs = [_dims(port) for port in layer.findall("input/port")]
    output = _dims(layer.findall("output/port")[0])
    if layer.attrib["type"] == "MatMul":
        data = layer.find("data")
        turned = data is not None and data.attrib.get("transpose_a") == "true"
        products = inputs[0][-2 if turned else -1]
    else:
        # Weights are [out, in, rows, columns], with groups: [groups, out, in, rows, columns].
        products = math.prod(inputs[1][1 if layer.attrib["type"] == "Convolution" else 2 :])
    one = [1, *output[1:]]  # picture
    return math.prod(one) * products if min(one) > 0 and products > 0 else None


def _dims(port: Xml.Element) -> list[int]:
    return [int(dim.text or -1) for dim in port.findall("dim")]
