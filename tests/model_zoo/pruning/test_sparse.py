"""The step `sparsify`: which weights are zero, and that they stay so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from edgerig.errors import ConfigError
from model_zoo.building.recipe import Sparsify
from model_zoo.building.trained import Context, Trained
from model_zoo.pruning import layers, sparse
from tests.model_zoo.training.conftest import INPUT
from tests.support.nets import Tiny

Make = Callable[..., Context]


def sparsified(context: Context, **keys: Any) -> Trained:
    table = Sparsify.model_validate({"do": "sparsify", "amount": 0.6, **keys})
    return sparse.apply(table, Trained(Tiny(), "mobilenetv3-small", INPUT), context)


def zeros(net: Any) -> dict[str, float]:
    return {name: float((layer.weight == 0).float().mean()) for name, layer in layers.of(net)}


def test_global_ranks_all_weights_together_and_local_those_of_each_layer(context: Make) -> None:
    alike = zeros(sparsified(context("local"), scope="local").model)
    whole = zeros(sparsified(context("global"), scope="global").model)
    assert alike.pop("classifier") == whole.pop("classifier") == 0
    assert all(share == pytest.approx(0.6, abs=0.01) for share in alike.values())
    assert max(whole.values()) - min(whole.values()) > 0.2
    weights = torch.cat([layer.weight.flatten() for name, layer in layers.of(Tiny()) if name != "classifier"])
    left = sparsified(context("again"), scope="global").model
    smallest = min(
        layer.weight[layer.weight != 0].abs().min() for name, layer in layers.of(left) if name != "classifier"
    )
    assert float((weights.abs() < smallest).float().mean()) == pytest.approx(0.6, abs=0.01)


def share_of_zeros(net: Any) -> float:
    weights = [layer.weight.flatten() for name, layer in layers.of(net) if name != "classifier"]
    return float((torch.cat(weights) == 0).float().mean())


def test_zeros_stay_zero_while_the_rest_learns(context: Make) -> None:
    recover = {"epochs": 2, "batch": 12, "rate": 0.02, "weight_decay": 0.1, "average": 0.5}
    done = sparsified(context(), rounds=2, recover=recover)
    first, last = (torch.load(context().work / f"round-{number}.pt", weights_only=False)[0] for number in (1, 2))
    nets = zip(layers.of(first), layers.of(last), layers.of(Tiny()), strict=True)
    for (name, early), (_, late), (_, fresh) in nets:
        assert not torch.any(late.weight[early.weight == 0]), name  # what went stays gone
        kept = late.weight != 0
        assert not torch.equal(late.weight[kept], fresh.weight[kept]), name  # and the rest was trained
    assert share_of_zeros(first) == pytest.approx(0.6 * (1 - 0.5**3), abs=0.01)
    assert share_of_zeros(done.model) == pytest.approx(0.6, abs=0.01)
    assert 0 <= done.figures["val_auc"] <= 1


def test_it_says_what_it_does_not_do(context: Make) -> None:
    done = sparsified(context())
    assert done.figures["gzip_bytes"] < 0.8 * done.figures["gzip_bytes_before"]
    assert "No runtime here is faster" in done.notes[0]
    assert f"{round(done.figures['gzip_bytes']):,} after" in done.notes[0]
    assert done.techniques == ("sparse weights (magnitude, global, one shot)",)


def test_a_classifier_has_no_weights_to_take() -> None:
    with pytest.raises(ConfigError, match="'sparsify' is for nets, and random-forest is none"):
        sparse.check(Sparsify(do="sparsify", amount=0.5), "random-forest")
