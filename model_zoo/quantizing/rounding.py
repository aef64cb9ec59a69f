"""Layers and activations that compute with what int8 can hold, and say so in ONNX.

In training the numbers are rounded and turned back at once, and gradients pass where a number is inside its range
(the straight-through estimator: Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", CVPR 2018). In an ONNX export the same scales become QuantizeLinear and
DequantizeLinear, weights and biases whole numbers already.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.nn import functional

LEVELS = 255  # uint8: with signed activations ONNX Runtime has no fast kernels on x86-64
# Pixels that are scaled to -1 to 1 lie half way between levels, because 0 must be one. Rounded to even, some of them
# fall together: 239 of 256 values are left, and 255 with this.
UNTIED = 1 + 1e-5
WEIGHT = 127  # int8, symmetric
DECAY = 0.98  # of the running range: about the last 50 batches


class Rounded(nn.Module):
    """An activation in 256 levels between a running least and largest value, one pair for the whole tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("least", torch.zeros(()))
        self.register_buffer("largest", torch.zeros(()))
        self.watching = self.frozen = False

    def levels(self) -> tuple[Any, Any]:
        """Return the step between two levels and the level that means 0."""
        scale = ((self.largest - self.least) * UNTIED / LEVELS).clamp_min(1e-8)
        return scale, (-self.least / scale).round().clamp(0, LEVELS).to(torch.int32)

    def forward(self, x: Any) -> Any:
        """Return the same, rounded."""
        if self.frozen:
            return self._emitted(x)
        if self.watching:
            self._widen(x.detach())
            return x
        if self.training:
            self._follow(x.detach())
        return torch.fake_quantize_per_tensor_affine(x, *self.levels(), 0, LEVELS)

    def _widen(self, x: Any) -> None:
        self.least.copy_(torch.minimum(self.least, x.min()))  # 0 is always in the range, and exact
        self.largest.copy_(torch.maximum(self.largest, x.max()))

    def _follow(self, x: Any) -> None:
        self.least.lerp_(x.min().clamp_max(0), 1 - DECAY)
        self.largest.lerp_(x.max().clamp_min(0), 1 - DECAY)

    def freeze(self) -> None:
        """Keep step and zero as they are now, for `_emitted`."""
        self.scale, self.zero = self.levels()
        self.zero, self.frozen = self.zero.to(torch.uint8), True

    def _emitted(self, x: Any) -> Any:
        levels = (x, self.scale, self.zero)
        whole = torch.onnx.ops.symbolic("QuantizeLinear", levels, dtype=torch.uint8, shape=x.shape)
        return _back(whole, self.scale, self.zero)


class _Layer:
    """What convolutions and products have in common: weights per output channel, and whose levels their input has."""

    weight: Any
    bias: Any
    source: tuple[Rounded, ...] = ()  # in a tuple, so that it is no part of this layer
    frozen: tuple[tuple[Any, ...], ...] = ()

    def scale(self) -> Any:
        """Return the step of each output channel's weights."""
        return (self.weight.detach().abs().flatten(1).amax(1) / WEIGHT).clamp_min(1e-8)

    def rounded(self) -> tuple[Any, Any]:
        """Return weight and bias as int8 and int32 hold them."""
        if self.frozen:
            weight, *bias = (_back(*values, axis=0) for values in self.frozen)
            return weight, (bias[0] if bias else None)
        scale = self.scale()
        zeros = torch.zeros_like(scale, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(self.weight, scale, zeros, 0, -WEIGHT - 1, WEIGHT), self.bias

    def freeze(self) -> None:
        """Keep weight and bias as the whole numbers that they are rounded to: whole, step, zero of each."""
        scale = self.scale()
        columns = scale.reshape(-1, *[1] * (self.weight.dim() - 1))
        whole = (self.weight.detach() / columns).round().clamp(-WEIGHT - 1, WEIGHT).to(torch.int8)
        frozen = [(whole, scale, torch.zeros_like(scale, dtype=torch.int8))]
        if self.bias is not None:
            # What integer kernels add up: the step of a sum is that of the input times that of the weights.
            steps = scale * self.source[0].levels()[0]
            sums = (self.bias.detach() / steps).round().to(torch.int32)
            frozen.append((sums, steps, torch.zeros_like(sums)))
        self.frozen = tuple(frozen)


class RoundedConv2d(nn.Conv2d, _Layer):
    """A convolution with int8 weights."""

    def forward(self, x: Any) -> Any:
        """Return its output, not rounded."""
        return self._conv_forward(x, *self.rounded())


class RoundedLinear(nn.Linear, _Layer):
    """A product with int8 weights."""

    def forward(self, x: Any) -> Any:
        """Return its output, not rounded."""
        return functional.linear(x, *self.rounded())


def _back(whole: Any, scale: Any, zero: Any, **axis: int) -> Any:
    """Return what turns whole numbers back, in ONNX."""
    return torch.onnx.ops.symbolic(
        "DequantizeLinear", (whole, scale, zero), axis, dtype=torch.float32, shape=whole.shape
    )


def frozen(net: Any) -> Any:
    """Return a copy of a net that can only be exported: what is rounded is whole numbers. Others are returned as is.

    Left to the exporter, large weights would be stored as float32 with the operators that round them.
    """
    if not is_aware(net):
        return net
    net = copy.deepcopy(net)
    for module in net.modules():
        if isinstance(module, Rounded | RoundedConv2d | RoundedLinear):
            module.freeze()
    return net


def is_aware(net: Any) -> bool:
    """Whether a net is rounded as int8 rounds."""
    return isinstance(net, nn.Module) and any(isinstance(module, Rounded) for module in net.modules())
