"""Nets: all of the registry answer with two logits, begin quiet, take a new head and a user's weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from edgerig.errors import ConfigError
from model_zoo.backbones import heads, registry, timm_nets
from model_zoo.backbones.meso4 import Meso4
from model_zoo.backbones.registry import BACKBONES
from model_zoo.building.recipe import Train
from model_zoo.manifest import Input
from model_zoo.training import step

INPUT = Input(size=(64, 64))
# Of counts published or printed by the libraries; with two classes.
PARAMETERS = {
    "mobilenetv2": 2_226_434,
    "mobilenetv3-small": 1_519_906,
    "mobilenetv4-conv-small": 2_495_586,
    "shufflenetv2": 1_255_654,
    "squeezenet": 723_522,
}
LIGHT = [*PARAMETERS, "meso4"]


def fresh(name: str, weights: str = "random", seed: int = 1) -> Any:
    return registry.fresh(name, weights, INPUT, seed).model


def count(net: Any) -> int:
    return sum(weight.numel() for weight in net.parameters())


@pytest.fixture(scope="module")
def nets() -> dict[str, Any]:
    return {name: fresh(name) for name in LIGHT}


@pytest.mark.parametrize("name", LIGHT)
def test_a_net_begins_with_two_logits_of_nothing(nets: dict[str, Any], name: str) -> None:
    with torch.no_grad():
        logits = nets[name](torch.rand(3, 3, 64, 64))
    assert logits.shape == (3, 2)
    assert not logits.any()
    assert not nets[name].training


@pytest.mark.parametrize(("name", "expected"), PARAMETERS.items())
def test_a_net_has_its_parameters(nets: dict[str, Any], name: str, expected: int) -> None:
    assert count(nets[name]) == expected


def test_meso4_has_the_parameters_that_its_authors_count() -> None:
    second_logit = 17
    assert count(Meso4((256, 256))) - second_logit == 27_977  # Afchar et al. 2018
    with pytest.raises(ConfigError, match="32 pixels"):
        Meso4((31, 64))


def test_the_seed_draws_the_weights() -> None:
    first, again, other = (fresh("meso4", seed=seed).features[0].conv.weight for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", ["meso4", "squeezenet", "shufflenetv2", "mobilenetv3-small"])
def test_a_dense_head_replaces_the_classifier_and_learns_alone(name: str) -> None:
    net = fresh(name)
    heads.renew(net, "dense")
    assert [type(part) for part in heads.of(net)][-5:] == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Dropout, nn.Linear]
    net.train()
    net.requires_grad_(False)
    heads.of(net).requires_grad_(True)
    nn.init.ones_(heads.of(net)[-1].weight)
    net(torch.rand(4, 3, 64, 64)).sum().backward()
    assert all(weight.grad is not None for weight in heads.of(net).parameters())


def test_a_linear_head_begins_anew(nets: dict[str, Any]) -> None:
    net = fresh("meso4")
    nn.init.ones_(net.classifier[-1].weight)
    before = net.classifier[1].weight.clone()
    heads.renew(net, "linear")
    assert not net.classifier[-1].weight.any()
    assert torch.equal(net.classifier[1].weight, before)


def test_of_vgg_a_dense_head_sees_the_mean_of_each_channel() -> None:
    class Vgg(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
            self.classifier = nn.Sequential(nn.Linear(49 * 40, 12), nn.ReLU(), nn.Linear(12, 2))

        def forward(self, pictures: Any) -> Any:
            return self.classifier(self.avgpool(pictures).flatten(1))

    net = Vgg()
    heads.renew(net, "dense")
    assert net.classifier[0].in_features == 40
    assert net.eval()(torch.rand(2, 40, 3, 3)).shape == (2, 2)


# -- weights of a user


@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"state_dict": state, "epoch": 3}])
def test_a_file_of_weights_is_taken_classifier_and_all(tmp_path: Path, wrap: Any) -> None:
    net = fresh("meso4", seed=5)
    nn.init.ones_(net.classifier[-1].weight)
    torch.save(wrap({f"module.{key}": value for key, value in net.state_dict().items()}), tmp_path / "w.pt")
    loaded = fresh("meso4", str(tmp_path / "w.pt"), seed=6)
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in net.state_dict().items())


def test_a_classifier_of_other_classes_begins_anew(tmp_path: Path) -> None:
    net = fresh("squeezenet", seed=5)
    heads.widen(net, 10)
    assert net(torch.rand(1, 3, 64, 64)).tolist() == [[0.0] * 10]
    torch.save(net.state_dict(), tmp_path / "w.pt")
    loaded = fresh("squeezenet", str(tmp_path / "w.pt"), seed=6)
    assert torch.equal(loaded.features[0].weight, net.features[0].weight)
    assert loaded.classifier[1].weight.shape[0] == 2
    assert not loaded.classifier[1].weight.any()


def test_weights_of_another_net_are_refused_by_name(tmp_path: Path) -> None:
    torch.save(fresh("meso4").state_dict(), tmp_path / "w.pt")
    with pytest.raises(ConfigError, match=r"not of squeezenet: features\.0\.weight is not there instead of"):
        fresh("squeezenet", str(tmp_path / "w.pt"))


@pytest.mark.parametrize("content", [b"no weights", b""])
def test_what_holds_no_weights_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(ConfigError, match="holds no weights"):
        fresh("meso4", str(tmp_path / "w.pt"))


def test_a_pickled_net_is_not_run(tmp_path: Path) -> None:
    torch.save(fresh("meso4"), tmp_path / "w.pt")
    with pytest.raises(ConfigError, match="holds no weights"):
        fresh("meso4", str(tmp_path / "w.pt"))


def test_offline_there_is_a_sentence_instead_of_imagenet(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: Any, **__: Any) -> Any:
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr(timm_nets.timm(), "create_model", offline)
    with pytest.raises(ConfigError, match="ImageNet weights of mobilenetv3_small_100 cannot be fetched: Name or"):
        fresh("mobilenetv3-small", "imagenet")


@pytest.mark.parametrize(
    ("name", "weights", "sentence"),
    [
        ("mobilenetv5", "random", "no backbone 'mobilenetv5'"),
        ("meso4", "imagenet", "no weights from ImageNet for meso4"),
        ("svm", "imagenet", "no weights from ImageNet for svm"),
        ("svm", "w.pt", "svm has no weights"),
        ("meso4", "absent.pt", "no file of weights absent.pt"),
    ],
)
def test_what_cannot_be_had_is_said_beforehand(name: str, weights: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        registry.check(name, weights)


def test_a_classifier_is_not_trained_as_a_net() -> None:
    with pytest.raises(ConfigError, match="'train' is for nets, and random-forest is none"):
        step.check(Train(epochs=1), "random-forest")
    step.check(Train(epochs=1), "meso4")


def test_each_backbone_says_where_it_comes_from() -> None:
    assert {backbone.source for backbone in BACKBONES.values()} == {"timm", "torchvision", "own", "scikit-learn"}
    assert BACKBONES["shufflenetv2"].unprunable
