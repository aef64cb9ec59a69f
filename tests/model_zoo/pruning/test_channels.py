"""Which channels go, and that what is left is the same net without them."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch

from model_zoo.building.counts import counted
from model_zoo.building.recipe import Prune
from model_zoo.pruning import channels, layers
from model_zoo.pruning.channels import Graph, Slice
from tests.model_zoo.training.conftest import INPUT

PICTURES = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(5))


def table(**keys: Any) -> Prune:
    return Prune.model_validate({"do": "prune", "amount": 0.5, "importance": "magnitude", **keys})


def order(net: Any, **keys: Any) -> list[Slice]:
    return channels.order(net, INPUT, table(**keys), Graph(copy.deepcopy(net), INPUT).counts())


def silenced(net: Any, slice_: Slice) -> Any:
    """Return a copy of a net in which these channels carry nothing, for all that makes them is zero."""
    quiet = copy.deepcopy(net)
    group = dict(Graph(quiet, INPUT).groups())[slice_.layer]
    with torch.no_grad():
        for item in group:
            if item.dep.handler.__name__ == "prune_out_channels":
                gone = [place for place, root in zip(item.idxs, item.root_idxs, strict=True) if root in slice_.channels]
                for weight in item.dep.target.module.parameters():
                    weight[gone] = 0
    return quiet


def answers(net: Any) -> Any:
    with torch.no_grad():
        return net(PICTURES)


def gone_of(slices: list[Slice]) -> dict[str, int]:
    """Return how many channels go of each layer."""
    found: dict[str, int] = {}
    for slice_ in slices:
        found[slice_.layer] = found.get(slice_.layer, 0) + len(slice_.channels)
    return found


def test_a_net_without_silent_channels_answers_as_before(hard: Any) -> None:
    slices = order(hard)
    firsts = {slice_.layer: slice_ for slice_ in slices[::-1]}
    assert len(firsts) == 8  # the residual stream, two blocks with two gates, two branches, the dense layer
    for slice_ in firsts.values():
        hushed = silenced(hard, slice_)
        smaller = channels.without(hushed, INPUT, [slice_])
        assert counted(smaller, INPUT).parameters < counted(hard, INPUT).parameters
        assert torch.allclose(answers(smaller), answers(hushed), atol=1e-5), slice_.layer
        assert not torch.allclose(answers(smaller), answers(hard), atol=1e-5), slice_.layer
        hard = hushed  # the next layer goes as well


def test_all_slices_together_leave_a_net_that_answers(hard: Any) -> None:
    slices = order(hard)
    least = channels.without(hard, INPUT, slices)
    assert answers(least).shape == (4, 2)
    assert answers(pickle.loads(pickle.dumps(least))).equal(answers(copy.deepcopy(least)))
    kept = Graph(least, INPUT).counts()
    assert kept == {name: 8 if count < 48 else 16 for name, count in Graph(hard, INPUT).counts().items()}
    assert not any(weight.grad is not None for weight in least.parameters())


def test_logits_and_grouped_convolutions_are_left_alone(hard: Any) -> None:
    least = channels.without(hard, INPUT, order(hard))
    assert (least.classifier.out_features, least.grouped[0].groups, least.grouped[0].in_channels) == (2, 4, 32)


def test_more_slices_are_always_a_smaller_net(hard: Any) -> None:
    slices = order(hard)
    sizes = [counted(channels.without(hard, INPUT, slices[:count]), INPUT) for count in range(0, len(slices) + 1, 3)]
    assert sizes == sorted(sizes, key=lambda found: -found.parameters)
    assert sizes == sorted(sizes, key=lambda found: -found.macs)


@pytest.mark.parametrize(("round_to", "most", "left"), [(8, 0.5, 24), (8, 0.9, 8), (16, 0.8, 16), (5, 0.8, 10)])
def test_a_layer_keeps_its_share_in_whole_slices(hard: Any, round_to: int, most: float, left: int) -> None:
    smaller = channels.without(hard, INPUT, order(hard, round_to=round_to, most=most))
    assert smaller.blocks[0].inner[0][0].out_channels == left  # of 48


def test_taylor_takes_what_nothing_depends_upon_however_large_its_weights(hard: Any) -> None:
    with torch.no_grad():
        hard.classifier.weight[:, 8:16] = 0
        hard.dense[0].weight[8:16] *= 9
        hard.dense[0].bias += 20  # no ReLU is closed: nothing depends on those either
    hard(PICTURES).sum().backward()
    dense = [slice_ for slice_ in order(hard, importance="taylor") if slice_.layer == "dense.0"]
    assert sorted(dense[0].channels) == list(range(8, 16))
    dense = [slice_ for slice_ in order(hard, importance="magnitude") if slice_.layer == "dense.0"]
    assert not set(dense[0].channels) & set(range(8, 16))


def test_local_takes_alike_from_all_layers_and_global_where_least_is_lost(hard: Any) -> None:
    with torch.no_grad():
        for weight in hard.blocks[1].parameters():
            weight[8:] *= 1e-3
    counts = Graph(copy.deepcopy(hard), INPUT).counts()
    shares = {}
    for scope in ("local", "global"):
        slices = order(hard, scope=scope)
        gone = gone_of(slices[: len(slices) // 2])
        shares[scope] = [gone.get(name, 0) / count for name, count in counts.items() if count >= 24]
    assert max(shares["local"]) - min(shares["local"]) <= 8 / 24
    assert max(shares["global"]) - min(shares["global"]) > 0.5


def test_sizes_are_those_that_one_counts_by_hand() -> None:
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 3, 2, 1),
        torch.nn.Conv2d(6, 6, 3, groups=6, bias=False),
        torch.nn.Flatten(),
        torch.nn.Linear(1176, 2),
    )
    found = counted(net, INPUT)
    assert found.parameters == (3 * 6 * 9 + 6) + 6 * 9 + (1176 * 2 + 2)
    assert found.macs == 16 * 16 * 3 * 6 * 9 + 14 * 14 * 6 * 9 + 1176 * 2
    assert layers.head(net, INPUT) == "3"
