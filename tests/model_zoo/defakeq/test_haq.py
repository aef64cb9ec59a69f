"""Rounding, and bits dealt out by layer."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model_zoo.building.trained import SILENT, Trained
from model_zoo.defakeq import allocation, anatomy, calibrating, keeping, plan, rounding
from model_zoo.defakeq.anatomy import Layer
from model_zoo.defakeq.calibrating import Calibration
from model_zoo.defakeq.plan import Plan

LAYERS = (
    Layer("stem", "stem", (8, 3, 3, 3), "stem"),
    Layer("a.one", "a", (16, 8, 1, 1)),
    Layer("a.two", "a", (8, 16, 1, 1)),
    Layer("b", "b", (64, 8, 1, 1)),
    Layer("classifier", "classifier", (2, 64), "classifier"),
)
LOST = {name: {2: 0.5, 4: 0.1, 8: 0.0} for name in ("a.one", "a.two", "b")}
WORTH = dict.fromkeys(LOST, 1.0)


def lowest(kept: keeping.Kept | None = None) -> Plan:
    return Plan(LAYERS, plan.uniform(LAYERS, 2), kept or {}, ())


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_clipping_loses_less_than_the_largest_weight_as_the_end(bits: int) -> None:
    torch.manual_seed(0)
    weight = torch.randn(6, 40) * torch.tensor([1e-3, 0.1, 1, 1, 10, 100])[:, None]
    most = rounding.LEVELS[bits]
    scale = weight.abs().amax(1) / most
    plainly = torch.round(weight / scale[:, None]) * scale[:, None]
    ours = rounding.rounded(weight, bits)
    # With 8 bits hardly anything is clipped, and the scale is rounded to float16.
    assert ((ours - weight) ** 2).sum() < ((plainly - weight) ** 2).sum() * (1.01 if bits == 8 else 0.95)
    used = (ours / rounding.scales(weight, bits)[:, None]).round()
    assert used.abs().max() <= most
    torch.testing.assert_close(
        rounding.scales(weight, bits), rounding.scales(weight, bits).half().float(), rtol=0, atol=0
    )


def test_weights_of_zero_stay_zero() -> None:
    assert not rounding.rounded(torch.zeros(3, 4), 2).any()


@given(st.floats(1.0, 9.0))
def test_the_budget_is_kept_and_spent(bits: float) -> None:
    start = lowest()
    budget = bits * start.weights / 8
    found = allocation.allocated(start, LOST, WORTH, budget)
    if start.size <= budget:
        assert found.size <= budget
    else:
        assert found == start
    raised = [found.having(name, 8) for name in LOST if found.bits[name] < 8]
    raised += [found.having(name, 4) for name in LOST if found.bits[name] < 4]
    assert all(more.size > budget for more in raised), "something could still be raised"
    assert found.bits["stem"] == found.bits["classifier"] == 8


def test_the_layer_that_wins_most_for_a_byte_is_raised_first() -> None:
    start = lowest()
    budget = start.size + 40  # room for one of the small layers at 4 bits
    losing = {**LOST, "a.two": {2: 0.9, 4: 0.1, 8: 0.0}}
    assert allocation.allocated(start, losing, WORTH, budget).bits["a.two"] == 4
    unworthy = {**WORTH, "a.two": 0.1}
    assert allocation.allocated(start, losing, unworthy, budget).bits["a.two"] == 2


def test_a_layer_of_which_all_is_kept_needs_no_bits() -> None:
    start = lowest({"a.two": tuple(range(8))})
    found = allocation.allocated(start, {**LOST, "a.two": {2: 0.0, 4: 0.0, 8: 0.0}}, WORTH, start.size + 1000)
    assert found.bits == {**start.bits, "a.one": 8, "b": 8}


def test_errors_are_those_of_the_block_and_leave_the_net_alone(trained: Trained) -> None:
    torch.manual_seed(0)
    faces = Calibration(torch.randn(12, 3, 32, 32), torch.arange(12) % 2 == 0)
    net = anatomy.folded(trained.model, faces.pictures[:2]).requires_grad_(False)
    layers = tuple(anatomy.layers(net, faces.pictures[:1]))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    planned = Plan(layers, plan.uniform(layers, 2), {layers[1].name: tuple(range(layers[1].shape[0]))}, ())
    lost = dict(allocation.errors(net, planned, faces, SILENT))
    assert set(lost) == {layer.name for layer in layers if not layer.pinned}
    assert set(lost.pop(layers[1].name).values()) == {0.0}, "all of its channels are kept"
    for by_bits in lost.values():
        assert by_bits[2] > by_bits[4] > by_bits[8] > 0
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_channels_that_say_the_same_are_redundant() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.Conv2d(4, 4, 1), torch.nn.Linear(8, 2))
    twins = net[1]
    with torch.no_grad():
        twins.weight[1], twins.weight[2] = -twins.weight[0], 2 * twins.weight[0]
    layers = [Layer("1", "1", (4, 4, 1, 1))]
    faces = Calibration(torch.randn(8, 3, 8, 8), torch.zeros(8, dtype=torch.bool))
    seen = calibrating.looked(net, layers, faces)["1"]
    assert seen.alike[:3].min() > seen.alike[3]
    assert seen.alike[0] > 2 / 3 - 1e-4
    assert keeping.distinct(layers, 0.25, {"1": seen}) == {"1": (3,)}


def test_strong_inputs_make_a_layer_important() -> None:
    seen = calibrating.Seen(torch.tensor([3.0, 1.0]), torch.zeros(2))
    assert seen.importance(torch.tensor([[1.0, 0.0], [0.0, 1.0]])) == 1.0
    assert seen.importance(torch.tensor([[2.0, 0.0], [-2.0, 0.0]])) == 3.0
    depthwise = torch.tensor([1.0, 3.0]).reshape(2, 1, 1, 1)
    assert seen.importance(depthwise) == 3.0


def test_a_share_of_each_block_is_kept_and_nothing_of_pinned_layers() -> None:
    kept = keeping.drawn(LAYERS, 0.25, seed=1)
    assert sum(len(kept.get(name, ())) for name in ("a.one", "a.two")) == 6
    assert len(kept["b"]) == 16
    assert kept.keys() <= set(LOST)
    assert kept == keeping.drawn(LAYERS, 0.25, seed=1)
    assert kept != keeping.drawn(LAYERS, 0.25, seed=2)
    assert replace(lowest(), kept=kept).size > lowest().size
