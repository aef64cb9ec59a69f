"""Training: it learns, it repeats itself, it goes on after a kill as if nothing had been."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from edgerig.errors import ConfigError, DiskFull, ModelError
from model_zoo.building.faces import TrainingFaces
from model_zoo.building.recipe import Augment, Train
from model_zoo.building.trained import Context, Trained
from model_zoo.training import fit, step
from model_zoo.training.fit import train
from tests.model_zoo.training.conftest import INPUT
from tests.support.nets import Tiny

Make = Callable[..., Context]
AUGMENT = Augment(rotate=10, scale=0.1, shift=0.1, colour=0.05)


def table(**keys: Any) -> Train:
    return Train.model_validate({"epochs": 4, "batch": 12, "rate": 0.02, "augment": AUGMENT, **keys})


def weights(net: Any) -> dict[str, Any]:
    return {name: value.clone() for name, value in net.state_dict().items()}


def same(net: Any, other: Any) -> bool:
    return all(torch.equal(value, other.state_dict()[name]) for name, value in net.state_dict().items())


def trained(context: Context, **keys: Any) -> tuple[Tiny, dict[str, float]]:
    net = Tiny()
    return net, train(net, table(**keys), context, INPUT)


class Killed(Exception):
    pass


class Killer:
    """Ends a training once it has told so many batches."""

    def __init__(self, after: int) -> None:
        self.after = after

    def step(self, text: str, total: float) -> None: ...

    def advance(self, done: float, text: str = "") -> None:
        if done >= self.after:
            raise Killed


class Listener:
    def __init__(self) -> None:
        self.total, self.told = 0.0, list[tuple[float, str]]()

    def step(self, text: str, total: float) -> None:
        self.total = total

    def advance(self, done: float, text: str = "") -> None:
        self.told.append((done, text))


EVERYTHING = {"average": 0.9, "rank": 1.0, "where": 1.0, "where_alone": 1, "patience": 9, "warmup_epochs": 1}


def test_it_learns_what_two_colours_tell(context: Make) -> None:
    net, figures = trained(context(), epochs=12)
    assert figures["val_auc"] >= 0.9
    assert not net.training
    assert all(weight.requires_grad for weight in net.parameters())


def test_the_same_seed_gives_the_same_net_and_another_one_another(context: Make) -> None:
    first, again, other = (
        trained(context(str(number), seed=seed), epochs=2)[0] for number, seed in enumerate((1, 1, 2))
    )
    assert same(first, again)
    assert not same(first, other)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_killed_training_ends_as_one_that_was_not(context: Make, optimizer: str) -> None:
    keys = {**EVERYTHING, "optimizer": optimizer, "epochs": 3}
    whole, figures = trained(context("whole"), **keys)
    for after in (6, 11):  # in the second epoch, then in the third
        with pytest.raises(Killed):
            trained(context("cut", teller=Killer(after)), **keys)
    resumed, again = trained(context("cut"), **keys)
    assert again == figures
    assert same(whole, resumed)


def test_a_finished_training_is_not_done_again(context: Make) -> None:
    done, figures = trained(context(), epochs=2)
    listener = Listener()
    again, same_figures = trained(context(teller=listener), epochs=2)
    assert same(done, again)
    assert figures == same_figures
    assert not [text for _, text in listener.told if "loss" in text]


def test_who_waits_is_told_of_each_batch(context: Make) -> None:
    listener = Listener()
    trained(context(teller=listener), epochs=2)
    assert [done for done, text in listener.told if "loss" in text] == list(range(1, int(listener.total) + 1))
    assert "AUC" in listener.told[-1][1]


def test_the_best_weights_are_kept_and_patience_ends(context: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    told, seen = iter([0.6, 0.9, 0.7, 0.8, 0.95]), []

    def auc(run: Any) -> float:
        seen.append(weights(run.deployed))
        return next(told)

    monkeypatch.setattr(fit._Run, "_auc", auc)
    net, figures = trained(context(), epochs=9, patience=2)
    assert figures == {"val_auc": 0.9, "epochs": 4}
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in seen[1].items())
    assert not all(torch.equal(value, net.state_dict()[name]) for name, value in seen[3].items())


def test_a_frozen_backbone_does_not_move_nor_do_its_statistics(context: Make) -> None:
    before = weights(Tiny())
    net, _ = trained(context(), freeze="backbone", epochs=1)
    moved = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"classifier.weight", "classifier.bias"}


def test_a_loss_that_is_no_number_stops_with_a_sentence(context: Make) -> None:
    net = Tiny()
    with torch.no_grad():
        net.classifier.weight.fill_(float("nan"))
    with pytest.raises(ModelError, match="its loss is nan at batch 1 of epoch 1"):
        train(net, table(), context(), INPUT)


def test_masks_are_put_back_after_each_step(context: Make) -> None:
    net = Tiny()

    def held() -> None:
        with torch.no_grad():
            net.blocks[0][0].weight[0] = 0

    train(net, table(average=0.9), context(), INPUT, held=held)
    assert not net.blocks[0][0].weight[0].any()
    assert net.blocks[0][0].weight[1].any()


def test_a_student_comes_nearer_to_its_teacher(context: Make) -> None:
    teacher = Tiny(width=8)
    train(teacher, table(epochs=8), context("teacher"), INPUT)
    known = Trained(teacher, "tiny", INPUT.model_copy(update={"size": (40, 40)}))  # fed its own size
    gaps = []
    for alpha in (0.0, 1.0):
        student, _ = trained(context(f"{alpha}", teacher=lambda _: known), teacher="t", alpha=alpha, epochs=8)
        pictures = torch.rand(64, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
        with torch.no_grad():
            gaps.append(float((student(pictures) - teacher(pictures)).pow(2).mean()))
    assert gaps[1] < gaps[0]
    assert all(weight.grad is None for weight in teacher.parameters())


def test_cuda_that_is_not_there_is_said(context: Make) -> None:
    if torch.cuda.is_available():
        pytest.skip("CUDA is there")
    with pytest.raises(ConfigError, match="CUDA"):
        trained(context(device="cuda"))


def test_what_compares_pairs_is_left_out_on_faces_without(context: Make) -> None:
    alone = context().faces
    single = TrainingFaces.__new__(TrainingFaces)
    single.train = replace(alone.train, faces=tuple(replace(face, group=face.path) for face in alone.train.faces))
    single.val = alone.val
    asked, _ = trained(context("asked", faces=single), epochs=2, rank=1.0, where=1.0, where_alone=1)
    plain, _ = trained(context("plain", faces=single), epochs=2)
    assert same(asked, plain)
    assert not single.paired
    assert alone.paired


def test_other_faces_are_trained_on_first_and_named(context: Make) -> None:
    known = Trained(Tiny(), "meso4", INPUT)
    done = step.apply(table(epochs=1, on="other-faces"), known, context(other=context().faces))
    assert done.notes == ("Pretrained on other faces: small.",)
    assert done.figures["epochs"] == 1


def test_a_new_head_is_put_on_before(context: Make) -> None:
    known = Trained(Tiny(), "meso4", INPUT)
    done = step.apply(table(epochs=1, head="dense", freeze="backbone"), known, context())
    assert isinstance(done.model.classifier, torch.nn.Sequential)
    assert torch.equal(done.model.blocks[0][0].weight, Tiny().blocks[0][0].weight)


def test_a_full_disk_is_told_in_a_sentence(context: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full")
    monkeypatch.setattr(Path, "with_suffix", lambda *_: full)
    with pytest.raises(DiskFull, match="the disk is full"):
        trained(context(), epochs=1)
