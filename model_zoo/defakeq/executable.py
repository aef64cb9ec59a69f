"""What of a plan LiteRT runs: weights of 2, 4 and 8 bits, with activations that it rounds to int8 as it goes.

Three things stand between a plan and that, each found with LiteRT 2.3.0 and ai-edge-quantizer 0.10.0:

- CONV_2D with weights of 2 bits answers NaN, FULLY_CONNECTED with them does not. So a 1 x 1 convolution of 2 bits is
  rendered as a product of matrices; a wider one is stored with 4 bits, in which the same three values fit exactly.
- All output channels of an operator have the same bits. So a layer with kept channels is split in two operators, whose
  channels are put in order afterwards; the kept ones run in float.
- DEPTHWISE_CONV_2D takes 8 bits alone.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgerig.errors import ConfigError, ModelError

Rows = Sequence[Mapping[str, Any]]  # "layers" of a plan's JSON
OPERATORS = {3: "CONV_2D", 4: "DEPTHWISE_CONV_2D", 9: "FULLY_CONNECTED"}  # by their code in TensorFlow Lite's schema


class Pointwise(nn.Module):
    """A 1 x 1 convolution as a product of matrices.

    Args:
        layer: the convolution.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(layer.weight.detach()[:, :, 0, 0].clone()), layer.bias

    def forward(self, fed: Any) -> Any:
        """Return what the convolution would, [n, channels, height, width]."""
        count, channels, height, width = fed.shape
        rows = fed.permute(0, 2, 3, 1).reshape(-1, channels)  # with four dimensions, the converter fails
        answer = nn.functional.linear(rows, self.weight, self.bias)
        return answer.reshape(count, height, width, -1).permute(0, 3, 1, 2)


class Split(nn.Module):
    """A layer whose kept channels are computed apart.

    Args:
        coded: computes the others.
        kept: computes those.
        order: where each output channel stands when the kept ones come last.
        dimension: of the channels.
    """

    def __init__(self, coded: Any, kept: Any, order: list[int], dimension: int) -> None:
        super().__init__()
        self.coded, self.kept, self.dimension = coded, kept, dimension
        self.register_buffer("order", torch.tensor(order))

    def forward(self, fed: Any) -> Any:
        """Return what the layer would."""
        return torch.cat([self.coded(fed), self.kept(fed)], self.dimension).index_select(self.dimension, self.order)


def _require(rows: Rows) -> None:
    for row in rows:
        if row["shape"][1] == 1 and len(row["shape"]) == 4 and row["bits"] < 8:
            raise ConfigError(
                f"LiteRT runs depthwise convolutions with 8 bits alone, and {row['layer']} has {row['bits']}.",
                "Leave 'pin' of the step 'defakeq' at true.",
            )


def rendered(net: Any, rows: Rows) -> tuple[Any, dict[bytes, int]]:
    """Return a copy of a net as LiteRT can run it, with the bits of its weights, by their values.

    Args:
        net: with rounded weights.
        rows: the layers of its plan.

    Raises:
        ConfigError: the plan asks for what LiteRT cannot run.
    """
    _require(rows)
    copied, bits = copy.deepcopy(net), {}
    for row in rows:
        layer = copied.get_submodule(row["layer"])
        coded, kept = _divided(layer, row["kept"])
        narrow = _pointwise(coded) and row["bits"] == 2
        few = row["bits"] if row["bits"] != 2 or narrow or isinstance(coded, nn.Linear) else 4
        bits[_known(coded.weight.detach().numpy())] = few
        part = Pointwise(coded) if narrow else coded
        copied.set_submodule(row["layer"], _joined(part, kept, row["kept"]) if kept else part)
    return copied, bits


def _divided(layer: Any, channels: Sequence[int]) -> tuple[Any, Any]:
    """Return a layer with the channels that are not kept, and one with those that are, None without any."""
    if not channels:
        return layer, None
    others = [channel for channel in range(len(layer.weight)) if channel not in set(channels)]
    return _only(layer, others), _only(layer, channels)


def _only(layer: Any, channels: Sequence[int]) -> Any:
    part = copy.deepcopy(layer)
    part.weight = nn.Parameter(layer.weight.detach()[list(channels)].clone())
    part.bias = None if layer.bias is None else nn.Parameter(layer.bias.detach()[list(channels)].clone())
    setattr(part, "out_channels" if isinstance(part, nn.Conv2d) else "out_features", len(channels))
    return part


def _joined(coded: Any, kept: Any, channels: Sequence[int]) -> Split:
    count = len(coded.weight) + len(channels)
    order = [channel for channel in range(count) if channel not in set(channels)] + list(channels)
    return Split(
        coded, kept, [order.index(channel) for channel in range(count)], -1 if isinstance(kept, nn.Linear) else 1
    )


def _pointwise(layer: Any) -> bool:
    return isinstance(layer, nn.Conv2d) and (layer.kernel_size, layer.stride, layer.padding, layer.groups) == (
        (1, 1),
        (1, 1),
        (0, 0),
        1,
    )


def _known(weight: NDArray[np.float32]) -> bytes:
    """Return the values of a weight in an order that torch and TensorFlow Lite agree in, output channels first."""
    last = np.moveaxis(weight, 1, -1) if weight.ndim == 4 else weight
    return np.ascontiguousarray(last + np.float32(0)).tobytes()  # -0 becomes 0, as in the converter


def quantize(source: Path, target: Path, bits: Mapping[bytes, int]) -> None:
    """Write a float .tflite with its weights in few bits.

    Args:
        source: exported from a net of `rendered`.
        target: the new file.
        bits: of `rendered`; weights that are not among them stay in float.

    Raises:
        ModelError: some of these weights are not in the file.
    """
    from ai_edge_quantizer import qtyping, quantizer  # noqa: PLC0415 - seconds

    tool, left = quantizer.Quantizer(str(source)), set(bits)
    for operator, output, weight in _weights(source):
        if weight in bits:
            left.discard(weight)
            tool.update_quantization_recipe(
                regex=f"^{re.escape(output)};?$",
                operation_name=qtyping.TFLOperationName[operator],
                op_config=qtyping.OpQuantizationConfig(
                    weight_tensor_config=qtyping.TensorQuantizationConfig(
                        num_bits=bits[weight], symmetric=True, granularity=qtyping.QuantGranularity.CHANNELWISE
                    ),
                    compute_precision=qtyping.ComputePrecision.INTEGER,
                    explicit_dequantize=False,
                ),
            )
    if left:
        raise ModelError(
            f"the weights of {len(left)} layers are not in the TensorFlow Lite file as they are in the net."
        )
    target.write_bytes(tool.quantize().quantized_model)


def _weights(source: Path) -> Iterator[tuple[str, str, bytes]]:
    """Yield the operators with weights: what each is, its output's name, and the weight as `_known` has it."""
    from ai_edge_litert.tools import flatbuffer_utils  # noqa: PLC0415

    model = flatbuffer_utils.read_model(str(source))
    graph = model.subgraphs[0]
    for operator in graph.operators:
        kind = OPERATORS.get(model.operatorCodes[operator.opcodeIndex].builtinCode)
        if kind:
            tensor = graph.tensors[operator.inputs[1]]
            weight = np.frombuffer(bytes(model.buffers[tensor.buffer].data), np.float32).reshape(tensor.shape)
            if kind == "DEPTHWISE_CONV_2D":
                weight = np.moveaxis(weight, -1, 0)
            yield kind, graph.tensors[operator.outputs[0]].name.decode(), (weight + np.float32(0)).tobytes()
