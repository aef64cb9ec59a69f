"""The drawn faces: repeatable, found by a face detector, and not told apart by anything cheap.

Thresholds are the product's promises about its faces; the number of faces leaves each several standard
deviations of room, and the seed is one that nothing was tuned on.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from edgerig.metrics import roc_auc
from model_zoo import faceset
from model_zoo.drawn import CATEGORIES, REAL, Traits, draw, traits, write_set
from model_zoo.drawn.__main__ import main
from model_zoo.drawn.packing import plan
from tests.model_zoo.conftest import SEED

Pixels = NDArray[np.uint8]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Drawn:
    jpeg: bytes
    fake: bool
    index: int
    traits: Traits

    @property
    def pixels(self) -> Pixels:
        return np.asarray(cv2.imdecode(np.frombuffer(self.jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)

    @property
    def grey(self) -> Pixels:
        return np.asarray(cv2.cvtColor(self.pixels, cv2.COLOR_BGR2GRAY), np.uint8)


@pytest.fixture(scope="module")
def faces(unseen: dict[tuple[int, str], bytes]) -> list[Drawn]:
    return [Drawn(jpeg, category != REAL, index, traits(SEED, index)) for (index, category), jpeg in unseen.items()]


@pytest.fixture(scope="module")
def found(faces: list[Drawn]) -> Values:
    model = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"
    detector = cv2.CascadeClassifier(str(model))
    boxes = [detector.detectMultiScale(face.grey, 1.1, 5, minSize=(60, 60)) for face in faces]
    return np.array([len(box) > 0 for box in boxes], np.float64)


def labels(faces: list[Drawn]) -> NDArray[np.bool_]:
    return np.array([face.fake for face in faces])


# ----------------------------------------------------------------------------------------- found by a detector


@pytest.mark.parametrize("fake", [False, True])
def test_detector_finds_real_and_forged_faces(faces: list[Drawn], found: Values, fake: bool) -> None:
    assert found[labels(faces) == fake].mean() >= 0.95


@pytest.mark.parametrize("skin", range(1, 7))
def test_detector_finds_every_skin_tone(faces: list[Drawn], found: Values, skin: int) -> None:
    group = found[[face.traits.skin == skin for face in faces]]
    assert len(group) >= 30
    assert group.mean() >= 0.90


def test_detector_finds_faces_with_glasses(faces: list[Drawn], found: Values) -> None:
    group = found[[face.traits.glasses for face in faces]]
    assert len(group) >= 40
    assert group.mean() >= 0.90


# -------------------------------------------------------------------------------- nothing cheap tells them apart


def size(face: Drawn) -> list[float]:
    return [float(len(face.jpeg))]


def colour(face: Drawn) -> list[float]:
    flat = face.pixels.reshape(-1, 3).astype(np.float64)
    return [*flat.mean(axis=0), *flat.std(axis=0)]


def bands(face: Drawn) -> list[float]:
    grey = face.grey.astype(np.float64)
    power = np.abs(np.fft.rfft2(grey - grey.mean())) ** 2
    radius = np.hypot(np.fft.fftfreq(grey.shape[0])[:, None], np.fft.rfftfreq(grey.shape[1])[None, :])
    edges = np.arange(0, 0.5, 0.05)
    return [float(np.log(power[(radius >= low) & (radius < low + 0.05)].mean())) for low in edges]


def thumbnail(face: Drawn) -> list[float]:
    small = cv2.resize(face.grey, (32, 32), interpolation=cv2.INTER_AREA)
    return [float(value) / 255 for value in small.ravel()]


FEATURES = {"size": size, "colour": colour, "bands": bands, "thumbnail": thumbnail}
MODELS = {
    "linear": make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500)),
    "forest": RandomForestClassifier(150, min_samples_leaf=3, random_state=0),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("feature", FEATURES)
def test_cheap_features_do_not_tell_fakes(faces: list[Drawn], feature: str, model: str) -> None:
    table = np.array([FEATURES[feature](face) for face in faces])
    truth, groups = labels(faces), [face.index for face in faces]
    # A pair must not be divided: its other half would give the scene away.
    scores = cross_val_predict(MODELS[model], table, truth, groups=groups, cv=GroupKFold(5), method="predict_proba")[
        :, 1
    ]
    area = roc_auc(truth, scores)
    assert area is not None
    assert area <= 0.65


def test_sharpness_of_the_face_does_not_tell_fakes(faces: list[Drawn]) -> None:
    # Every edit resamples, and a set where that shows measures blur and not forgery.
    sharpness = [float(cv2.Laplacian(face.grey, cv2.CV_32F)[60:180, 60:164].var()) for face in faces]
    area = roc_auc(labels(faces), sharpness)
    assert area is not None
    assert 0.25 <= area <= 0.75


# ---------------------------------------------------------------------------------------------------- samples


@pytest.mark.parametrize("category", [REAL, *CATEGORIES])
def test_sample_is_a_function_of_its_arguments(category: str) -> None:
    first = draw(3, 4, category)
    draw(8, 9, REAL)  # another scene in between must not matter
    assert draw(3, 4, category) == first
    assert draw(3, 5, category) != first
    assert Drawn(first, False, 4, traits(3, 4)).pixels.shape == (224, 224, 3)


def test_categories_are_the_five_methods() -> None:
    assert CATEGORIES == ("deepfakes", "face2face", "faceshifter", "faceswap", "neuraltextures")


def test_forgery_stays_inside_the_face() -> None:
    real, fake = (Drawn(draw(5, 1, category), False, 1, traits(5, 1)).grey for category in (REAL, "deepfakes"))
    difference = np.abs(real.astype(float) - fake.astype(float))
    assert difference[80:170, 80:144].mean() > 2 * difference[:30].mean()


def test_unknown_category_is_refused() -> None:
    with pytest.raises(ValueError, match="no category 'photoshop'"):
        draw(1, 1, "photoshop")


def test_people_are_varied() -> None:
    known = [traits(SEED, index) for index in range(300)]
    assert {person.skin for person in known} == {1, 2, 3, 4, 5, 6}
    assert len({person.hair for person in known}) == 11
    assert {person.beard for person in known} == {"none", "stubble", "moustache", "goatee", "full"}
    assert 60 <= sum(person.glasses for person in known) <= 130


# ------------------------------------------------------------------------------------------------------- packs


def rows_of(pack: Path) -> list[dict[str, str]]:
    with zipfile.ZipFile(pack) as archive:
        return list(csv.DictReader(io.StringIO(archive.read("labels.csv").decode())))


def test_pack_is_the_same_bytes_again_with_any_number_of_workers(tmp_path: Path) -> None:
    counts = {"val": 3, "test": 3}
    write_set(tmp_path / "a.zip", seed=2, counts=counts)
    write_set(tmp_path / "b.zip", seed=2, counts=counts, workers=2)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_pack_is_stored_dated_1980_and_sorted(tmp_path: Path) -> None:
    write_set(tmp_path / "a.zip", seed=2, counts={"test": 2})
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        members = archive.infolist()
    names = [member.filename for member in members]
    assert names[0] == "labels.csv"
    assert names[1:] == [f"{label}/{number:06d}.jpg" for label in ("fake", "real") for number in (0, 1)]
    assert {member.compress_type for member in members} == {zipfile.ZIP_STORED}
    assert {member.date_time for member in members} == {(1980, 1, 1, 0, 0, 0)}


def test_labels_name_every_picture_with_its_pair_and_split(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    counts = {"train": 2, "test": 1}
    write_set(tmp_path / "a.zip", seed=2, counts=counts, progress=lambda done, total: told.append((done, total)))
    rows = rows_of(tmp_path / "a.zip")
    assert list(rows[0]) == ["path", "label", "category", "group", "split"]
    assert all(row["path"] == f"{row['label']}/{row['group']}.jpg" for row in rows)
    assert Counter(row["split"] for row in rows) == {"train": 4, "test": 2}
    assert all((row["label"] == "real") == (row["category"] == REAL) for row in rows)
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_categories_take_turns_and_splits_never_share_a_scene() -> None:
    pairs = plan(7, {"train": 10, "val": 10, "test": 10})
    assert Counter(pair.category for pair in pairs) == dict.fromkeys(CATEGORIES, 6)
    assert len({(pair.seed, pair.index) for pair in pairs}) == 30
    other = plan(8, {"train": 10, "val": 10, "test": 10})
    assert not {pair.seed for pair in pairs} & {pair.seed for pair in other}


def test_unknown_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no split 'dev'"):
        write_set(tmp_path / "a.zip", seed=1, counts={"dev": 1})


def test_command_writes_a_pack(tmp_path: Path) -> None:
    out = tmp_path / "few.zip"
    result = CliRunner().invoke(main, [str(out), "--seed", "4", "--val", "1", "--test", "1"])
    assert result.exit_code == 0
    assert "2 pairs" in result.stdout
    assert Counter(row["split"] for row in rows_of(out)) == {"val": 2, "test": 2}
    loaded = faceset.load(out)
    assert loaded.synthetic
    assert "seed 4," in loaded.note
