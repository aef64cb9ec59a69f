"""Batches: pairs together and changed alike, each face in each epoch, the same pixels as devices make of them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import cv2
import numpy as np
import pytest

from edgerig.preprocess import Preprocessor
from model_zoo.building.faces import TrainingFaces
from model_zoo.building.recipe import Augment
from model_zoo.faceset import Face, FaceSet
from model_zoo.manifest import Input
from model_zoo.pictures import Pictures, resized
from model_zoo.training import edits
from model_zoo.training.augment import Change
from model_zoo.training.batches import Album, Batch, Loader, ahead, as_trained, plain, units
from tests.model_zoo.training.conftest import INPUT

STRONG = Augment(rotate=20, scale=0.2, shift=0.1, colour=0.1, gain=0.1, lift=0.02, cast=0.05, crop=0.2)
NOTHING = Augment(flip=0)


def loader(faces: FaceSet, augment: Augment = STRONG, **keys: Any) -> Loader:
    known: dict[str, Any] = {"inputs": [INPUT], "augment": augment, "size": 10, "seed": 4}
    return Loader(Album(faces), **{**known, **keys})


def test_pairs_come_original_first_and_all_of_them(small: TrainingFaces) -> None:
    made = list(loader(small.train).epoch(0))
    assert sum(len(batch.labels) for batch in made) == len(small.train.faces)
    assert all(len(batch.labels) >= 10 for batch in made)
    for batch in made:
        assert batch.pairs * 2 == len(batch.labels)
        assert list(batch.labels) == [0, 1] * batch.pairs


def test_of_a_group_the_rarer_label_comes_again(small: TrainingFaces) -> None:
    faces = small.train.faces
    one = replace(small.train, faces=tuple(replace(face, group="g") for face in (faces[0], faces[1], faces[3])))
    assert units(Album(one)) == [(0, 1), (0, 2)]
    alone = replace(small.train, faces=tuple(replace(face, group=face.path) for face in faces[:3]))
    assert units(Album(alone)) == [(0,), (1,), (2,)]


def test_an_epoch_repeats_itself_and_no_other(small: TrainingFaces) -> None:
    first, again, other, seeded = (
        next(loader(small.train, seed=seed).epoch(number)).tensors[0]
        for seed, number in ((4, 1), (4, 1), (4, 2), (5, 1))
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, seeded)


def test_another_epoch_has_another_order(small: TrainingFaces) -> None:
    first, other = (np.concatenate([b.tensors[0] for b in loader(small.train, NOTHING).epoch(n)]) for n in (0, 1))
    assert not np.array_equal(first, other)
    assert np.array_equal(np.sort(first.sum((1, 2, 3))), np.sort(other.sum((1, 2, 3))))


def test_a_pair_is_changed_alike(small: TrainingFaces) -> None:
    faces = small.train.faces[0]
    twins = replace(small.train, faces=(faces, replace(faces, label="fake")))
    batch = next(loader(twins).epoch(0))
    assert np.array_equal(*batch.tensors[0])
    assert not np.array_equal(batch.tensors[0], next(loader(twins, NOTHING).epoch(0)).tensors[0])


def test_a_net_is_fed_what_a_device_feeds_it(small: TrainingFaces) -> None:
    spec = Input(size=(24, 20), colour="BGR", mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4), fit="crop")
    prepare, pictures = Preprocessor(spec.spec(), resized), Pictures(small.val)
    expected = np.concatenate([prepare(pictures.decoded(face)).copy() for face in small.val.faces])
    got = np.concatenate(list(plain(Album(small.val), spec, size=5)))
    assert np.array_equal(got, expected)


def test_a_teacher_is_fed_its_own_way(small: TrainingFaces) -> None:
    other = INPUT.model_copy(update={"size": (16, 16)})
    batch = next(loader(small.train, NOTHING, inputs=[INPUT, other]).epoch(0))
    assert [tensor.shape[1:] for tensor in batch.tensors] == [(3, 32, 32), (3, 16, 16)]
    halved = [cv2.resize(row.transpose(1, 2, 0), (16, 16), interpolation=cv2.INTER_AREA) for row in batch.tensors[0]]
    assert np.allclose(np.transpose(halved, (0, 3, 1, 2)), batch.tensors[1], atol=1 / 127)


def test_pictures_are_decoded_once_while_memory_lasts(small: TrainingFaces, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    decoded = Pictures.decoded

    def counted(self: Pictures, face: Face) -> Any:
        read.append(face.path)
        return decoded(self, face)

    monkeypatch.setattr(Pictures, "decoded", counted)
    album = Album(small.val, memory=2 * 32 * 32 * 3)
    for _ in range(2):
        for place in range(3):
            album[place]
    assert read == [small.val.faces[place].path for place in (0, 1, 2, 2)]


def test_what_is_made_ahead_keeps_its_order_and_its_errors() -> None:
    assert list(ahead((partial(abs, number) for number in range(50)), threads=4)) == list(range(50))

    def broken() -> int:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        list(ahead([lambda: 1, broken, lambda: 2], threads=2))


def square() -> tuple[Any, Any]:
    """Return noise, and the same with a square that was edited."""
    original = np.random.default_rng(1).integers(90, 110, (160, 120, 3)).astype(np.uint8)
    fake = original.copy()
    fake[64:104, 40:72] += 60
    return original, fake


@pytest.mark.parametrize("fit", ["stretch", "crop"])
@pytest.mark.parametrize("augment", [NOTHING, Augment(flip=1), Augment(shift=0.2), Augment(crop=0.5), STRONG], ids=str)
def test_the_map_of_an_edit_moves_as_the_picture_does(augment: Augment, fit: str) -> None:
    original, fake = square()
    spec = as_trained(Input.model_validate({"size": (112, 112), "fit": fit}))
    edit = edits.changed(original, fake)
    prepare = Preprocessor(spec, resized)
    for seed in range(4):
        change = Change.drawn(augment.model_copy(update={"colour": 0.0, "lift": 0.0}), np.random.default_rng(seed))
        difference = np.abs(prepare(change(fake)).copy() - prepare(change(original))).mean((0, 1))
        there = cv2.resize(difference, (edits.GRID, edits.GRID), interpolation=cv2.INTER_AREA) > 0.05
        told = edits.seen(edit, original.shape[:2], change, spec) > 0.5
        assert (there & told).sum() >= 0.9 * there.sum()
        apart = np.argwhere(there).mean(0) - np.argwhere(told).mean(0)
        assert np.abs(apart).max() < 2  # cells, of 28; the map is a cell of the picture wider, the crop cuts it


def test_pictures_of_other_shapes_tell_no_place() -> None:
    original, fake = square()
    assert edits.changed(original, fake).any()
    assert not edits.changed(original, original).any()
    assert not edits.changed(original, fake[:, :100]).any()


def test_a_batch_tells_where_when_it_is_asked(small: TrainingFaces) -> None:
    batch: Batch = next(loader(small.train, where=True).epoch(0))
    assert batch.edits is not None
    assert batch.edits.shape == (batch.pairs, 1, edits.GRID, edits.GRID)
    assert next(loader(small.train).epoch(0)).edits is None


def test_a_pair_without_an_edit_hardly_counts(small: TrainingFaces, monkeypatch: pytest.MonkeyPatch) -> None:
    original, fake = square()
    first, second, *_ = (edits.changed(original, other) for other in (original, fake))
    told = iter([first, second])
    monkeypatch.setattr(edits, "changed", lambda *_: next(told))
    batch = next(loader(replace(small.train, faces=small.train.faces[:4]), where=True).epoch(0))
    assert sorted(batch.weights) == pytest.approx([0.1, 0.1, 1, 1])
    assert (batch.weights[0::2] == batch.weights[1::2]).all()


@pytest.mark.parametrize("key", ["flip", "rotate", "scale", "shift", "colour", "gain", "lift", "cast", "crop"])
def test_each_key_of_augment_does_something_and_none_does_nothing(key: str) -> None:
    picture = np.random.default_rng(1).integers(0, 255, (40, 40, 3)).astype(np.uint8)
    assert np.array_equal(Change.drawn(NOTHING, np.random.default_rng(1))(picture), picture)
    wanted = Augment.model_validate({"flip": 0, key: 1 if key == "flip" else 0.5})
    changed = [Change.drawn(wanted, np.random.default_rng(seed))(picture) for seed in range(3)]
    assert all(entry.shape != picture.shape or not np.array_equal(entry, picture) for entry in changed)


def test_a_shift_resamples_nothing() -> None:
    picture = np.random.default_rng(1).integers(0, 255, (40, 40, 3)).astype(np.uint8)
    moved = Change(dx=0.1, dy=-0.05)(picture)
    assert np.array_equal(moved[:-2, 4:], picture[2:, :-4])
