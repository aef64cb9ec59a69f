"""Losses: each part does what its weight asks, and none that was not asked is there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edgerig.errors import ConfigError
from model_zoo.building.recipe import Train
from model_zoo.training.batches import Batch
from model_zoo.training.losses import Objective, ranked, soft
from model_zoo.training.where import Localiser, _loss, layers_at
from tests.support.nets import Tiny

LABELS = np.array([0, 1, 0, 1], np.int64)
LOGITS = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.5, 0.0], [0.0, 0.0]])
SCORE = [-1.0, 2.0, -0.5, 0.0]


def batch(weights: Any = (1, 1, 1, 1), pairs: int = 2) -> Batch:
    return Batch((), LABELS, pairs, None, np.array(weights, np.float32))


def loss(done: float = 0.0, of: Batch | None = None, teacher: Any = None, **keys: Any) -> float:
    table = Train.model_validate({"epochs": 4, "teacher": "a teacher" if teacher else "", **keys})
    return float(Objective(table, teacher, None)(LOGITS, [LOGITS], of or batch(), done))


def softplus(value: float) -> float:
    return float(np.log1p(np.exp(value)))


HARD = float(np.mean([softplus(-1), softplus(-2), softplus(-0.5), softplus(0)]))
PAIRS = float(np.mean([softplus(-3), softplus(-0.5)]))
ALL = float(np.mean([softplus(-3), softplus(-1), softplus(-2.5), softplus(-0.5)]))


def test_the_label_alone_is_cross_entropy() -> None:
    assert loss() == pytest.approx(HARD, rel=1e-5)


def test_each_rank_adds_its_part() -> None:
    assert loss(rank=2.0) == pytest.approx(HARD + 2 * PAIRS, rel=1e-5)
    assert loss(rank_all=2.0) == pytest.approx(HARD + 2 * ALL, rel=1e-5)
    assert loss(rank=2.0, of=batch(pairs=0)) == pytest.approx(HARD, rel=1e-5)


def test_the_rank_of_pairs_fades() -> None:
    assert loss(4.0, rank=1.0, fade=0.3) == pytest.approx(HARD + 0.3 * PAIRS, rel=1e-5)
    assert loss(0.0, rank=1.0, fade=0.3) == pytest.approx(HARD + PAIRS, rel=1e-5)


def test_faces_count_by_their_weight() -> None:
    told = loss(of=batch((0, 0, 1, 1)), rank=1.0, rank_all=1.0)
    assert told == pytest.approx((softplus(-0.5) + softplus(0)) / 2 + 2 * softplus(-0.5), rel=1e-5)


def test_a_teacher_is_divided_by_alpha() -> None:
    def teacher(_: Any) -> Any:
        return LOGITS * 3

    expected = float(soft(LOGITS, LOGITS * 3, 2.0))
    assert expected > 0.01
    assert float(soft(LOGITS, LOGITS, 2.0)) == pytest.approx(0, abs=1e-6)
    assert loss(teacher=teacher, alpha=0.25, temperature=2.0) == pytest.approx(0.75 * HARD + 0.25 * expected, rel=1e-5)


def test_temperature_keeps_the_size_of_the_gradient() -> None:
    sizes = []
    for temperature in (4.0, 16.0):
        logits = (LOGITS * 0.1).clone().requires_grad_()
        soft(logits, LOGITS * 0.2, temperature).backward()
        assert logits.grad is not None
        sizes.append(float(logits.grad.abs().sum()))
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)


def test_a_fake_above_its_original_costs_little() -> None:
    low, high = torch.tensor(-4.0), torch.tensor(4.0)
    assert float(ranked(low, high)) < 0.01
    assert float(ranked(high, low)) > 7


def test_layers_are_found_by_their_stride() -> None:
    net = Tiny()
    assert layers_at(net, (64, 64), torch.device("cpu")) == {"blocks.2": 8, "blocks": 8}
    deep = nn.Sequential(Tiny().blocks, nn.Conv2d(8, 5, 3, 2, 1))
    assert layers_at(deep, (128, 128), torch.device("cpu")) == {"0.2": 8, "0": 8, "1": 5}


def test_a_net_without_such_layers_is_told() -> None:
    flat = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Flatten(), nn.Linear(4 * 16 * 16, 2))
    with pytest.raises(ConfigError, match="no layer of this net has cells of 8, 16, 32 pixels"):
        Localiser(flat, (32, 32), torch.device("cpu"))


def test_the_localiser_learns_where_and_leaves_no_trace() -> None:
    net = Tiny()
    where = Localiser(net, (64, 64), torch.device("cpu"))
    pictures = torch.rand(8, 3, 64, 64)
    edits = torch.zeros(4, 1, 28, 28)
    edits[:, :, 7:21, 7:21] = 1
    pictures[1::2, 0, 16:48, 16:48] += 2
    optimizer = torch.optim.Adam([*net.parameters(), *where.heads.parameters()], lr=0.02)
    told = []
    for _ in range(40):
        net.train()(pictures)
        value = where.loss(edits, torch.ones(4))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        told.append(value.item())
    assert told[-1] < 0.5 * told[0]
    where.remove()
    assert not any(module._forward_hooks for module in net.modules())


def test_the_right_map_costs_nothing_and_a_wrong_one_much() -> None:
    edits, weights = torch.zeros(3, 1, 28, 28), torch.tensor([1.0, 1.0, 0.1])[:, None, None, None]
    edits[:, :, 8:20, 8:20] = 1
    right = torch.full((6, 1, 7, 7), -9.0)
    right[1::2, :, 2:5, 2:5] = 9
    assert float(_loss(right, edits, weights)) < 0.01
    swapped = right.clone()
    swapped[0::2], swapped[1::2] = right[1::2], right[0::2]
    assert float(_loss(swapped, edits, weights)) > 5
    light, heavy = right.clone(), right.clone()
    light[5], heavy[3] = -9, -9
    assert float(_loss(light, edits, weights)) < 0.2 * float(_loss(heavy, edits, weights))
