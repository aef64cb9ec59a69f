"""Schedules: one-cycle as torch has it, the others by their known points."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from edgerig.errors import ConfigError
from edgerig.toml import validated
from model_zoo.building.recipe import Train
from model_zoo.training import rates
from tests.support.nets import Tiny


def table(**keys: Any) -> Train:
    return Train.model_validate({"epochs": 10, **({} if "rates" in keys else {"rate": 0.01}), **keys})


def rate(at: int, **keys: Any) -> float:
    """Return the rate of batch `at` of 100, ten in an epoch."""
    return rates.rate(table(**keys), at, 10)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_one_cycle_is_that_of_torch(optimizer: str) -> None:
    wanted = table(schedule="one-cycle", optimizer=optimizer)
    known = rates.optimizer(wanted, Tiny().parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(known, 0.01, total_steps=100, pct_start=0.1)
    for at in range(100):
        pace = rates.pace(wanted, at, 10)
        expected = known.param_groups[0]
        assert pace["lr"] == pytest.approx(expected["lr"], abs=1e-7)
        momentum = expected.get("betas", [expected.get("momentum")])[0]
        assert pace.get("betas", [pace.get("momentum")])[0] == pytest.approx(momentum, abs=1e-4)
        known.step()
        schedule.step()


def test_cosine_warms_up_then_falls_to_nothing() -> None:
    told = [rate(at, schedule="cosine", warmup_epochs=2) for at in range(100)]
    assert told[:20] == sorted(told[:20])
    assert told[0] == pytest.approx(0.01 / 21)
    assert told[20] == pytest.approx(0.01)
    assert told[60] == pytest.approx(0.005)
    assert told[20:] == sorted(told[20:], reverse=True)
    assert told[99] < 1e-5


def test_constant_stays_once_it_is_warm() -> None:
    assert {rate(at, schedule="constant") for at in range(100)} == {0.01}
    assert rate(2, schedule="constant", warmup_epochs=0.5) == pytest.approx(0.005)


def test_steps_go_down_in_equal_parts() -> None:
    told = [rate(at, schedule="steps", rates=(1e-3, 1e-4, 1e-5)) for at in range(100)]
    assert [told.index(value) for value in (1e-3, 1e-4, 1e-5)] == [0, 34, 67]


def test_vectors_do_not_decay() -> None:
    groups = rates.optimizer(table(weight_decay=0.5), Tiny().parameters()).param_groups
    assert [group["weight_decay"] for group in groups] == [0.5, 0.0]
    assert {weight.ndim for weight in groups[1]["params"]} == {1}


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"schedule": "steps"}, "'rates' are those of schedule 'steps'"),
        ({"rates": [1e-3]}, "'rates' are those of schedule 'steps'"),
        ({"schedule": "steps", "rates": [0.0]}, "above 0"),
        ({"schedule": "steps", "rates": [1e-3], "rate": 1e-3}, "'rate' does nothing in the schedule 'steps'"),
        ({"schedule": "steps", "rates": [1e-3], "warmup_epochs": 1}, "'warmup_epochs' does nothing in the schedule"),
        ({"where_alone": 1}, "'where_alone' epochs ask nothing"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        validated(Train, {"epochs": 1, **keys}, "a recipe")
