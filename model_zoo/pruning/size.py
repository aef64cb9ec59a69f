"""How large a net is, before and after."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from model_zoo.manifest import Input


@dataclass(frozen=True)
class Size:
    """Of a net: its parameters, and the multiply-accumulates of one picture in convolutions and matrix products."""

    parameters: int
    macs: int


def of(net: Any, spec: Input) -> Size:
    """Return the size of a net."""
    return Size(sum(weight.numel() for weight in net.parameters()), _macs(net, spec))


def picture(spec: Input) -> Any:
    """Return a black picture as the net is fed it, float32 [1, 3, height, width]."""
    return torch.zeros(1, 3, *spec.size)


def layers(net: Any) -> Iterator[tuple[str, Any]]:
    """Yield the convolutions and dense layers of a net with their names."""
    kinds = (torch.nn.Conv2d, torch.nn.Linear)
    yield from ((name, module) for name, module in net.named_modules() if isinstance(module, kinds))


def head(net: Any, spec: Input) -> str:
    """Return the name of the layer that makes the logits: the last one that a picture goes through."""
    order: list[str] = []
    watched = {name: (lambda *_, name=name: order.append(name)) for name, _ in layers(net)}
    _watch(net, spec, watched)
    return order[-1]


def _macs(net: Any, spec: Input) -> int:
    total = 0

    def count(layer: Any, _inputs: Any, output: Any) -> None:
        nonlocal total
        places = output[0, 0].numel() if output.dim() == 4 else 1
        total += int(places * layer.weight.numel())

    _watch(net, spec, {name: count for name, _ in layers(net)})
    return total


def _watch(net: Any, spec: Input, hooks: dict[str, Any]) -> None:
    """Feed a picture through while hooks watch layers by name."""
    handles = [net.get_submodule(name).register_forward_hook(hook) for name, hook in hooks.items()]
    try:
        with torch.no_grad():
            net.eval()(picture(spec))
    finally:
        for handle in handles:
            handle.remove()


def compressed(net: Any) -> int:
    """Return the bytes of all weights, float32 one after another, as gzip packs them (deflate, level 6)."""
    packer = zlib.compressobj(6, wbits=31)
    return sum(len(packer.compress(weight.detach().numpy().tobytes())) for weight in net.parameters()) + len(
        packer.flush()
    )
