"""Rounding weights to a few bits: symmetric, a scale for each output channel, clipped where the error is least."""

from __future__ import annotations

from typing import Any

import torch

LEVELS = {2: 1, 4: 7, 8: 127}
"""Largest code of so many bits. Narrow, as LiteRT's are: with -2 also in use, a runtime that takes the
largest weight for 127 / 127 of its range would give other weights than ours."""

SHARES = tuple(share / 40 for share in range(6, 41))  # of a channel's largest weight, tried as its last code


def scales(weight: Any, bits: int) -> Any:
    """Return the scale of each output channel at which the squared error of its weights is least, [channels].

    Values are those of float16, in float32: that is how they are stored.
    """
    rows = weight.flatten(1)
    largest = rows.abs().amax(1).clamp_min(1e-6)
    best, least = largest, torch.full_like(largest, torch.inf)
    for share in SHARES:
        scale = halved(largest * share / LEVELS[bits])
        error = ((codes(rows, scale, bits) * scale[:, None] - rows) ** 2).sum(1)
        best, least = torch.where(error < least, scale, best), torch.minimum(error, least)
    return best


def halved(values: Any) -> Any:
    """Return values as float16 holds them, in float32."""
    return values.half().float()


def codes(weight: Any, scale: Any, bits: int) -> Any:
    """Return whole numbers from -LEVELS to LEVELS, in float32, of the shape of the weights."""
    wide = scale.clamp_min(1e-7).reshape(-1, *[1] * (weight.ndim - 1))
    return torch.clamp(torch.round(weight / wide), -LEVELS[bits], LEVELS[bits])


def rounded(weight: Any, bits: int) -> Any:
    """Return weights as they are after rounding, of the same shape."""
    scale = scales(weight, bits)
    return codes(weight, scale, bits) * scale.reshape(-1, *[1] * (weight.ndim - 1))
