"""Which channels of a net go together (DepGraph, https://arxiv.org/abs/2301.12900), and which of them go first.

Channels go in slices of `round_to`, so that what is left suits the kernels of runtimes. All slices of a net stand in
one order; a smaller net is the net without the first so many of them. So more slices are always a smaller net, and a
target is found by halving.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch_pruning import DependencyGraph
from torch_pruning.pruner.importance import GroupMagnitudeImportance, GroupTaylorImportance

from model_zoo.building.recipe import Prune
from model_zoo.manifest import Input
from model_zoo.pruning import layers

IMPORTANCES = {
    # Not divided by the mean of its layer, and summed over all that goes with a channel: what the loss would rise by
    # can be held against other layers as it is. MobileNetV3-small on drawn faces (AUC .968), 60 % of its
    # multiply-accumulates gone at one stroke and nothing trained since, two draws of faces for the gradients: AUC .941
    # and .945 so; .907 and .940 not summed; .739 and .479 by torch-pruning's defaults.
    "taylor": lambda: GroupTaylorImportance(group_reduction="sum", normalizer=None),
    "magnitude": GroupMagnitudeImportance,
}


@dataclass(frozen=True)
class Slice:
    """Some channels of a layer, and of all that depends on it.

    Attributes:
        layer: name of the first layer that makes them.
        channels: their numbers.
        rank: slices of least rank go first.
    """

    layer: str
    channels: tuple[int, ...]
    rank: float


class Graph:
    """The channels of a net that go together.

    Args:
        net: with two logits, whose layer is never pruned.
        spec: its input.
    """

    def __init__(self, net: Any, spec: Input) -> None:
        self._names = {module: name for name, module in net.named_modules()}
        self._head = net.get_submodule(layers.head(net, spec))
        net.requires_grad_()
        # A tuple: torch-pruning unpacks what it is given, and a tensor would lose its batch.
        self._graph = DependencyGraph().build_dependency(net, (layers.picture(spec),))

    def groups(self) -> Iterator[tuple[str, Any]]:
        """Yield what is pruned together, by the name of the layer that makes it.

        Left out: what reaches the logits, and convolutions in groups that are not depthwise, where as many channels
        would have to go of every group.
        """
        for group in self._graph.get_all_groups(ignored_layers=[self._head]):
            if not any(_grouped(dependency.target.module) for dependency, _ in group):
                yield self._names[group[0].dep.target.module], group

    def counts(self) -> dict[str, int]:
        """Return how many channels each group has."""
        return {name: len(group[0].idxs) for name, group in self.groups()}

    def remove(self, channels: Mapping[str, Sequence[int]]) -> None:
        """Take channels out of the net, by the layer that makes them."""
        modules = {name: module for module, name in self._names.items()}
        for name, numbers in channels.items():
            made = modules[name]
            prune = self._graph.get_pruner_of_module(made).prune_out_channels
            self._graph.get_pruning_group(made, prune, sorted(numbers)).prune()


def _grouped(module: Any) -> bool:
    return isinstance(module, torch.nn.Conv2d) and module.groups not in (1, module.in_channels)


def channels(net: Any, spec: Input) -> int:
    """Return the number of channels that can be pruned; those that go together count once."""
    return sum(Graph(copy.deepcopy(net), spec).counts().values())


def order(net: Any, spec: Input, table: Prune, first: Mapping[str, int]) -> list[Slice]:
    """Return the slices of a net in the order in which they go.

    Args:
        net: for Taylor importance with gradients in its weights.
        spec: its input.
        table: scope, importance, and what each layer keeps.
        first: how many channels each layer had before the first round; it keeps a share of these.
    """
    judge = IMPORTANCES[table.importance]()
    found: list[Slice] = []
    for name, group in Graph(net, spec).groups():
        importance = torch.nan_to_num(judge(group))  # a layer without any gradient has NaN: nothing depends on it
        found += _slices(name, importance, table, first[name])
    return sorted(found, key=lambda slice_: slice_.rank)


def _slices(name: str, importance: Any, table: Prune, first: int) -> Iterator[Slice]:
    """Yield the slices of one layer, the least important first, down to what it keeps."""
    worst = torch.argsort(importance, stable=True).tolist()
    kept = max(table.round_to, round(first * (1 - table.most)))
    start, stop = 0, len(worst) % table.round_to or table.round_to
    while len(worst) - stop >= kept:
        chosen = worst[start:stop]
        alike = 1 - (len(worst) - stop) / first  # the share of the layer that is gone after this slice
        rank = float(importance[chosen].mean()) if table.scope == "global" else alike
        yield Slice(name, tuple(chosen), rank)
        start, stop = stop, stop + table.round_to


def without(net: Any, spec: Input, slices: Sequence[Slice]) -> Any:
    """Return a copy of a net without some slices, in eval mode."""
    gone: dict[str, list[int]] = {}
    for slice_ in slices:
        gone.setdefault(slice_.layer, []).extend(slice_.channels)
    smaller = copy.deepcopy(net)
    Graph(smaller, spec).remove(gone)
    smaller.zero_grad(set_to_none=True)
    return smaller.eval()
