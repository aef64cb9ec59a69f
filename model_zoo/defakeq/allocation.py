"""HAQ: bits for each layer, by what its block loses without them, until the budget is spent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from model_zoo.building.trained import Teller
from model_zoo.defakeq import anatomy, rounding
from model_zoo.defakeq.anatomy import Layer
from model_zoo.defakeq.calibrating import Calibration, Seen
from model_zoo.defakeq.plan import Plan

STEPS = (2, 4, 8)
Errors = Mapping[str, Mapping[int, float]]


def errors(net: Any, plan: Plan, faces: Calibration, teller: Teller) -> Errors:
    """Return what the output of its block loses when one layer alone has so few bits, by layer and bits.

    That is the squared error over the squared output, both summed over the faces.

    Args:
        net: in float; it is as before afterwards.
        plan: its layers that are not pinned are tried; channels that it keeps stay as they are.
        faces: that the net is fed.
        teller: is told of each layer.
    """
    found: dict[str, dict[int, float]] = {}
    free = [layer for layer in plan.layers if not layer.pinned]
    teller.step("bits of each layer: what its block loses", len(free))
    for block in dict.fromkeys(layer.block for layer in free):
        inputs = [anatomy.passing(net, block, batch, output=False) for batch in faces.batches()]
        for layer in free:
            if layer.block == block:
                with torch.no_grad():
                    found[layer.name] = dict(_tried(net, layer, plan, inputs))
                teller.advance(len(found), layer.name)
    return found


def _tried(net: Any, layer: Layer, plan: Plan, inputs: list[Any]) -> Iterator[tuple[int, float]]:
    block, weight = net.get_submodule(layer.block), net.get_submodule(layer.name).weight
    whole, kept = weight.detach().clone(), list(plan.kept.get(layer.name, ()))
    answers = [block(batch) for batch in inputs]
    power = sum(float((answer**2).sum()) for answer in answers)
    for bits in STEPS:
        weight.copy_(rounding.rounded(whole, bits))
        weight[kept] = whole[kept]
        lost = sum(float(((block(fed) - answer) ** 2).sum()) for fed, answer in zip(inputs, answers, strict=True))
        yield bits, lost / max(power, 1e-12)
    weight.copy_(whole)


def worth(net: Any, plan: Plan, seen: Mapping[str, Seen]) -> dict[str, float]:
    """Return the importance of each layer, 1 for the greatest of its block, times what in it is not redundant."""
    importance = {name: each.importance(net.get_submodule(name).weight) for name, each in seen.items()}
    greatest: dict[str, float] = {}
    blocks = {layer.name: layer.block for layer in plan.layers}
    for name, value in importance.items():
        greatest[blocks[name]] = max(value, greatest.get(blocks[name], 0.0))
    return {
        name: value / max(greatest[blocks[name]], 1e-12) * (1 - seen[name].redundancy)
        for name, value in importance.items()
    }


def allocated(plan: Plan, lost: Errors, worth: Mapping[str, float], budget: float) -> Plan:
    """Return a plan with the bits of its layers raised, the best worth for a byte first, while the budget lasts.

    Args:
        plan: with the fewest bits.
        lost: of `errors`.
        worth: of `worth`.
        budget: bytes of the packed file.
    """
    left = budget - plan.size
    while True:
        raises = [
            (gain * worth[name] / cost, name, bits, cost)
            for name, bits, gain, cost in _raises(plan, lost)
            if 0 < cost <= left  # nothing is stored of a layer of which all channels are kept
        ]
        if not raises:
            return plan
        _, name, bits, cost = max(raises)
        plan, left = plan.having(name, bits), left - cost


def _raises(plan: Plan, lost: Errors) -> Iterator[tuple[str, int, float, int]]:
    """Yield what could be raised: layer, its new bits, the error that goes away, the bytes that it takes."""
    for layer in plan.layers:
        now = plan.bits[layer.name]
        for bits in STEPS[STEPS.index(now) + 1 :] if layer.name in lost else ():
            gain = max(0.0, lost[layer.name][now] - lost[layer.name][bits])
            yield layer.name, bits, gain, plan.entry(layer, bits).bytes - plan.entry(layer).bytes
