"""The whole step: what it hands on, what it packs, and that it can be interrupted."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from edgerig.errors import ConfigError
from model_zoo.building.recipe import Defakeq
from model_zoo.building.trained import Context, Trained
from model_zoo.defakeq import allocation, calibrating, contrast, packing, plan, step, tuning
from model_zoo.defakeq.rounded import Rounded

Make = Callable[..., Context]


def table(**keys: Any) -> Defakeq:
    return Defakeq.model_validate({"do": "defakeq", "bits": 4.5, "calibration": 24, "epochs": 2, "kept": 0.05, **keys})


def weights(trained: Trained) -> dict[str, Any]:
    return dict(trained.model.state_dict())


def assert_same(one: Trained, other: Trained) -> None:
    for name, value in weights(one).items():
        torch.testing.assert_close(value, weights(other)[name], rtol=0, atol=0)


@pytest.fixture
def done(trained: Trained, context: Make) -> Trained:
    return step.apply(table(), trained, context())


def test_the_packed_file_holds_exactly_the_net_that_is_handed_on(done: Trained) -> None:
    packed = packing.read(done.extras[step.PACKED])
    assert set(packed) == set(weights(done))
    for name, value in weights(done).items():
        torch.testing.assert_close(torch.from_numpy(packed[name]), value, rtol=0, atol=0)


def test_the_budget_adds_up_to_the_byte(done: Trained) -> None:
    told = json.loads(done.extras[plan.FILE].read_text())
    size = done.extras[step.PACKED].stat().st_size
    assert size == told["bytes"] == done.figures["packed_bytes"]
    assert told["bits_per_weight"] == done.figures["bits_per_weight"] == size * 8 / told["weights"]
    assert 4.0 < told["bits_per_weight"] <= 4.5
    assert {row["bits"] for row in told["layers"] if row["pinned"]} == {8}
    assert sum(len(row["kept"]) for row in told["layers"]) > 0


def test_weights_lie_on_few_levels_but_for_kept_channels(done: Trained) -> None:
    for row in json.loads(done.extras[plan.FILE].read_text())["layers"]:
        weight = weights(done)[f"{row['layer']}.weight"].flatten(1)
        most = max(len(torch.unique(each)) for channel, each in enumerate(weight) if channel not in row["kept"])
        assert most <= 2 ** row["bits"] - 1


def test_what_is_handed_on_is_a_plain_net(done: Trained) -> None:
    batch = torch.randn(2, 3, 32, 32)
    again = pickle.loads(pickle.dumps(copy.deepcopy(done.model)))
    torch.testing.assert_close(again(batch), done.model(batch))
    assert not done.model.training
    assert done.techniques == ("defakeq", "haq", "veft", "4.5-bit")
    assert f"{int(done.figures['packed_bytes']):,} bytes" in done.notes[-1]
    assert 0 <= done.figures["val_auc"] <= 1


def test_the_same_seed_gives_the_same_net(trained: Trained, context: Make, done: Trained) -> None:
    assert_same(step.apply(table(), trained, context("again")), done)
    other = step.apply(table(), trained, context("other", seed=4))
    assert any(not torch.equal(value, weights(other)[name]) for name, value in weights(done).items())


class _Killed(Exception):
    pass


class _Killer:
    """Kills a build after its second tuned block."""

    def step(self, text: str, total: float) -> None:
        self.tuning = text == "veft"

    def advance(self, done: float, text: str = "") -> None:
        if self.tuning and done == 2:
            raise _Killed


def test_a_killed_build_goes_on_and_ends_the_same(
    trained: Trained, context: Make, done: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(_Killed):
        step.apply(table(), trained, context("killed", teller=_Killer()))
    tuned: list[str] = []
    inner = tuning._tuned

    def told(*arguments: Any) -> float:
        tuned.append(arguments[3].name)
        return inner(*arguments)

    monkeypatch.setattr(tuning, "_tuned", told)
    monkeypatch.setattr(allocation, "errors", None)
    assert_same(step.apply(table(), trained, context("killed")), done)
    assert tuned == ["blocks.3.0"]


def test_a_build_goes_on_with_another_device(tmp_path: Path) -> None:
    def layer(device: str) -> Rounded:
        values = {"scale": torch.ones(2, device=device), "kept": torch.ones(0, 3, device=device)}
        return Rounded("a", torch.tensor([], dtype=torch.int64), torch.ones(2, 3, device=device), values)

    tuning._save(tmp_path / "tuned.pt", {"a": layer("cpu")}, 1)
    there = {"a": layer("meta")}
    assert tuning._restored(tmp_path / "tuned.pt", there) == 1
    assert {half.device.type for half in there["a"].halves.values()} == {"meta"}


def test_tuning_brings_the_answers_back(trained: Trained, context: Make) -> None:
    faces = calibrating.gathered(context().faces, 24, 0, trained.input, "cpu").pictures
    ways = ({"veft": False}, {"epochs": 15, "kept": 0.0, "contrast": 0.0})
    nets = [step.apply(table(haq=False, bits=2, **keys), trained, context(str(keys))).model for keys in ways]
    with torch.no_grad():
        wanted = trained.model(faces)
        gaps = [float(((net(faces) - wanted) ** 2).mean()) for net in nets]
    assert gaps[1] < 0.5 * gaps[0]


@pytest.mark.parametrize(
    ("keys", "techniques", "bits"),
    [
        ({"haq": False, "veft": False, "bits": 8}, ("uniform 8-bit",), {8}),
        ({"haq": False, "veft": False, "bits": 4, "pin": False}, ("uniform 4-bit",), {4}),
        ({"veft": False}, ("defakeq", "haq", "4.5-bit"), {2, 4, 8}),
        ({"haq": False, "bits": 4, "channels": "distinct"}, ("defakeq", "veft", "uniform 4-bit"), {4, 8}),
    ],
)
def test_ablations(trained: Trained, context: Make, keys: dict[str, Any], techniques: Any, bits: set[int]) -> None:
    found = step.apply(table(**keys), trained, context())
    assert found.techniques == techniques
    assert {row["bits"] for row in json.loads(found.extras[plan.FILE].read_text())["layers"]} <= bits


def test_a_budget_that_cannot_be_met_is_refused_with_the_least(trained: Trained, context: Make) -> None:
    with pytest.raises(ConfigError, match=r"^2\.5 bits a weight cannot be met") as refusal:
        step.apply(table(bits=2.5), trained, context())
    least = float(refusal.value.hint.split("bits = ")[1].split()[0])
    assert step.apply(table(bits=least), trained, context("least")).figures["bits_per_weight"] <= least


def test_uniform_bits_are_those_that_can_be_stored() -> None:
    with pytest.raises(ValueError, match="2, 4 or 8"):
        table(haq=False, bits=3.2)


def test_faces_of_one_label_close_together_cost_less() -> None:
    labels = torch.tensor([True, True, False, False])
    apart = torch.tensor([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1]])
    mixed = apart[[0, 2, 1, 3]]
    assert contrast.supervised(apart, labels) < contrast.supervised(mixed, labels)
    assert contrast.supervised(apart[1:3], torch.tensor([True, False])) == 0
