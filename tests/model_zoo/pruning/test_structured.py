"""The step `prune`: how far it goes, round by round, and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from edgerig.errors import ConfigError, ModelError
from model_zoo.backbones import registry
from model_zoo.building.counts import counted
from model_zoo.building.faces import TrainingFaces
from model_zoo.building.recipe import Prune
from model_zoo.building.store import Store
from model_zoo.building.trained import Context, Trained
from model_zoo.pruning import structured
from model_zoo.pruning.channels import Graph
from model_zoo.pruning.goal import fewest
from model_zoo.training import fit
from tests.model_zoo.training.conftest import INPUT

Make = Callable[..., Context]


def table(**keys: Any) -> Prune:
    return Prune.model_validate({"do": "prune", "amount": 0.35, "calibration": 16, **keys})


def pruned(net: Any, context: Context, **keys: Any) -> Trained:
    return structured.apply(table(**keys), Trained(net, "mobilenetv3-small", INPUT), context)


def milliseconds(trained: Trained) -> float:
    return 1 + counted(trained.model, INPUT).parameters / 1000


@pytest.mark.parametrize("scope", ["global", "local"])
@pytest.mark.parametrize("of", ["channels", "parameters", "macs", "latency"])
def test_it_goes_as_far_as_asked_and_hardly_further(hard: Any, context: Make, of: str, scope: str) -> None:
    before = counted(hard, INPUT)
    done = pruned(hard, context(measure=milliseconds), of=of, amount=0.3, rounds=1, scope=scope)
    unit = {"latency": "ms"}.get(of, of)
    gone = 1 - done.figures[unit] / done.figures[f"{unit}_before"]
    assert 0.3 <= gone < 0.42
    after = counted(done.model, INPUT)
    assert (done.figures["parameters_before"], done.figures["macs_before"]) == (before.parameters, before.macs)
    assert (done.figures["parameters"], done.figures["macs"]) == (after.parameters, after.macs)
    assert done.techniques == (f"structured pruning (taylor, {scope}, one shot)",)
    assert f"took {gone:.1%} of the" in done.notes[0]
    assert "30% were asked for" in done.notes[0]
    assert "no more" not in done.notes[0]


def test_where_no_more_may_go_it_says_so(hard: Any, context: Make) -> None:
    before = counted(hard, INPUT)
    done = pruned(hard, context(), of="macs", amount=0.95, importance="magnitude", rounds=3)
    assert "95% were asked for" in done.notes[0]
    assert f"{before.macs:,} before, {done.figures['macs']:,} after; no more channels may go." in done.notes[0]
    with pytest.raises(ModelError, match="each layer keeps 64 channels") as refused:
        pruned(hard, context("other"), round_to=64, importance="magnitude")
    assert "round_to" in (refused.value.hint or "")


def test_each_round_takes_alike_and_the_trained_net_goes_on(
    hard: Any, context: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, float]] = []

    def train(net: Any, recover: Any, context: Context, spec: Any, *, name: str) -> dict[str, float]:
        seen.append((name, counted(net, INPUT).parameters / first))
        with torch.no_grad():
            net.classifier.bias += 1
        if len(seen) == stop:
            raise KeyboardInterrupt
        return {"val_auc": 0.5 + len(seen) / 10}

    monkeypatch.setattr(fit, "train", train)
    first, stop = counted(hard, INPUT).parameters, 2
    bias = hard.classifier.bias.detach().clone()
    recovered = {"rounds": 3, "amount": 0.3, "recover": {"epochs": 1, "teacher": "b0"}}
    with pytest.raises(KeyboardInterrupt):
        pruned(hard, context(), **recovered)
    done = pruned(hard, context(), **recovered)
    assert [name for name, _ in seen] == [f"recovery {number} of 3" for number in (1, 2, 2, 3)]
    for (_, left), goal in zip(seen, (0.9, 0.8, 0.8, 0.7), strict=True):
        assert goal - 0.08 < left <= goal
    assert torch.allclose(done.model.classifier.bias, bias + 3)
    assert done.figures["val_auc"] == 0.9
    assert done.techniques == ("structured pruning (taylor, global, 3 rounds)", "distillation")


def test_a_real_net_is_pruned_recovered_and_kept(context: Make, tmp_path: Path) -> None:
    fresh = registry.fresh("mobilenetv3-small", "random", INPUT, seed=1)
    torch.nn.init.normal_(fresh.model.classifier.weight)  # a head of zeros lets no gradient through
    recover = {"epochs": 1, "batch": 16, "rate": 1e-3}
    done = structured.apply(table(rounds=1, recover=recover), fresh, context())
    assert done.figures["parameters"] <= 0.65 * done.figures["parameters_before"]
    assert 0 <= done.figures["val_auc"] <= 1
    Store(tmp_path / "store").put("pruned", done)
    again = Store(tmp_path / "store").get("pruned")
    picture = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(again.model(picture), done.model(picture))
    assert dict(again.figures) == dict(done.figures)


def test_gradients_are_those_of_as_many_real_as_fake_training_faces(small: TrainingFaces) -> None:
    faces = small.balanced(12, 3, INPUT)
    assert faces.labels.tolist() == [False, True] * 6
    assert {face.split for face in faces.faces.faces} == {"train"}
    assert faces.faces.faces != small.balanced(12, 4, INPUT).faces.faces
    everyone = small.balanced(2 * len(small.train.faces), 3, INPUT)  # more than there are: some come twice
    assert everyone.labels.sum() == len(small.train.faces)


def test_the_fewest_slices_are_found_that_do() -> None:
    for count in (0, 1, 7, 30):
        for least in range(count + 2):
            asked: list[int] = []

            def enough(number: int, least: int = least, asked: list[int] = asked) -> bool:
                asked.append(number)
                return number >= least

            found = fewest(count, enough)
            assert found == ((least, True) if least <= count else (count, False))
            assert len(asked) <= count.bit_length() + 2


@pytest.mark.parametrize(
    ("backbone", "reason"),
    [("shufflenetv2", "cannot be pruned: torch-pruning 1.6.1 fails on"), ("random-forest", "'prune' is for nets")],
)
def test_what_cannot_be_pruned_is_refused_with_the_reason(backbone: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        structured.check(table(), backbone)
    structured.check(table(), "mobilenetv3-small")


def test_the_reason_still_holds() -> None:
    net = registry.fresh("shufflenetv2", "random", INPUT, seed=1).model
    with pytest.raises(ZeroDivisionError):  # once this fails, take the refusal out of the registry
        Graph(net, INPUT)


def test_recovery_does_not_begin_the_classifier_anew() -> None:
    with pytest.raises(ValidationError, match="the step 'train' alone"):
        table(recover={"epochs": 1, "head": "linear"})
