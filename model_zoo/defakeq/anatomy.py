"""What a net is made of: the layers with its weights, in the order of their work, and the blocks that they form."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from edgerig.errors import ModelError

LAYERS = (nn.Conv2d, nn.Linear)
CONTAINERS = (nn.Sequential, nn.ModuleList)
LARGEST_GAP = 1e-3  # of an answer, relative to the largest: folding changes the order of sums, nothing else


@dataclass(frozen=True)
class Layer:
    """A convolution or a linear layer.

    Attributes:
        name: in the net.
        block: name of the module whose output its error is measured at; its own name where it stands alone.
        shape: of its weight, output channels first.
        pinned: "stem", "depthwise" or "classifier" for what is not worth fewer bits than eight, "" for the rest.
    """

    name: str
    block: str
    shape: tuple[int, ...]
    pinned: str = ""

    @property
    def fan_in(self) -> int:
        """Weights of one output channel."""
        count = 1
        for size in self.shape[1:]:
            count *= size
        return count


def folded(net: Any, example: Any) -> Any:
    """Return a copy of a net whose batch norms, where they follow a convolution, are part of its weights.

    Args:
        net: in eval mode.
        example: a batch that it takes.

    Raises:
        ModelError: the copy answers otherwise, since a convolution's output went elsewhere, too.
    """
    whole = copy.deepcopy(net).eval()
    with torch.no_grad():
        before = whole(example)
    for convolution, norm in _followed(whole, example):
        layer, after = whole.get_submodule(convolution), whole.get_submodule(norm)
        fused = nn.utils.fusion.fuse_conv_bn_eval(layer, after)
        layer.weight, layer.bias = fused.weight, fused.bias
        # timm's batch norms hold the activation that comes after them.
        whole.set_submodule(norm, getattr(after, "act", nn.Identity()))
    with torch.no_grad():
        gap = float((whole(example) - before).abs().max() / before.abs().max().clamp_min(1e-6))
    if not gap < LARGEST_GAP:
        raise ModelError(f"the net answers otherwise with its batch norms folded (by {gap:.1e} of its largest logit).")
    return whole


def _followed(net: Any, example: Any) -> list[tuple[str, str]]:
    """Return the names of convolutions whose output a batch norm takes, with the batch norm's."""
    came: dict[int, tuple[str, Any]] = {}
    found: list[tuple[str, str]] = []

    def convolved(name: str) -> Any:
        def keep(_module: Any, _inputs: Any, output: Any) -> None:
            came[id(output)] = (name, output)  # the output is kept, else its id would be given to another

        return keep

    def normed(name: str) -> Any:
        def look(_module: Any, inputs: Any) -> None:
            if id(inputs[0]) in came:
                found.append((came[id(inputs[0])][0], name))

        return look

    hooks = [
        module.register_forward_hook(convolved(name))
        if isinstance(module, nn.Conv2d)
        else module.register_forward_pre_hook(normed(name))
        for name, module in net.named_modules()
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    ]
    net(example)
    for hook in hooks:
        hook.remove()
    return found


def layers(net: Any, example: Any) -> list[Layer]:
    """Return the layers of a net in the order in which they work on a batch."""
    order: list[str] = []
    named = {name: module for name, module in net.named_modules() if isinstance(module, LAYERS)}
    hooks = [
        module.register_forward_hook(lambda *_, name=name: order.append(name) if name not in order else None)
        for name, module in named.items()
    ]
    net(example)
    for hook in hooks:
        hook.remove()
    blocks = dict(_blocks(net))
    return [
        Layer(name, blocks[name], tuple(named[name].weight.shape), _pinned(named[name], place, len(order)))
        for place, name in enumerate(order)
    ]


def _blocks(net: Any) -> Iterator[tuple[str, str]]:
    """Yield each layer's name and its block's: the outermost module that is no mere container of others."""
    for child, module in net.named_children():
        yield from _within(child, module)


def _within(name: str, module: Any) -> Iterator[tuple[str, str]]:
    if isinstance(module, CONTAINERS):
        for child, inner in module.named_children():
            yield from _within(f"{name}.{child}", inner)
    else:
        for inner, part in module.named_modules(prefix=name):
            if isinstance(part, LAYERS):
                yield inner, name


def _pinned(layer: Any, place: int, count: int) -> str:
    if place == 0:
        return "stem"
    if place == count - 1:
        return "classifier"
    return "depthwise" if getattr(layer, "groups", 1) > 1 else ""


class _Enough(Exception):
    """The module that was waited for has worked."""


def passing(net: Any, block: str, batch: Any, *, output: bool) -> Any:
    """Return what a module of a net is fed for a batch, or answers where `output`; the net stops there."""
    seen: list[Any] = []

    def fed(_module: Any, inputs: Any) -> None:
        seen.append(inputs[0])
        raise _Enough

    def answered(_module: Any, _inputs: Any, answer: Any) -> None:
        seen.append(answer)
        raise _Enough

    module = net.get_submodule(block)
    hook = module.register_forward_hook(answered) if output else module.register_forward_pre_hook(fed)
    try:
        with torch.no_grad():
            net(batch)
    except _Enough:
        pass
    finally:
        hook.remove()
    return seen[0]
