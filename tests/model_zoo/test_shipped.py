"""What ships: the face set, and two variants that are what their manifests say and worth comparing."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from edgerig.metrics import roc_auc
from edgerig.preprocess import Preprocessor, postprocess
from model_zoo import faceset, manifest
from model_zoo.drawn import CATEGORIES, REAL
from model_zoo.drawn.packing import split_seed

VARIANTS = Path(manifest.__file__).parent / "variants"
NAMES = ("mobilenetv3-small-fp32", "mobilenetv3-small-int8")
MEGABYTE = 1_000_000

Scores = NDArray[np.float64]


def area(picture: NDArray[np.uint8], height: int, width: int, method: str) -> NDArray[np.uint8]:
    assert method == "area"
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def scores(name: str, jpegs: list[bytes]) -> Scores:
    """Probability of "fake" by plain ONNX Runtime, fed as the manifest says."""
    variant = manifest.load(VARIANTS / f"{name}.toml")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(variant.path), options, providers=["CPUExecutionProvider"])
    prepare = Preprocessor(variant.manifest.input.spec(), area)
    rows = []
    for jpeg in jpegs:
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        rows.append(session.run(["logits"], {"input": prepare(picture)})[0])
    return np.asarray(postprocess(np.concatenate(rows), variant.output_spec()))


def auc(categories: list[str], values: Scores, category: str | None = None) -> float:
    """AUC of all forgeries, or of one category's, against all real faces."""
    names = np.array(categories)
    chosen = np.isin(names, [REAL, category]) if category else np.full(len(names), True)
    result = roc_auc(names[chosen] != REAL, values[chosen])
    assert result is not None
    return result


@pytest.fixture(scope="module")
def shipped() -> faceset.FaceSet:
    return faceset.load(faceset.SHIPPED)


@pytest.fixture(scope="module")
def categories(shipped: faceset.FaceSet) -> list[str]:
    return [face.category for face in shipped.split("test").faces]


@pytest.fixture(scope="module")
def answers(shipped: faceset.FaceSet) -> dict[str, Scores]:
    with zipfile.ZipFile(shipped.source) as pack:
        jpegs = [pack.read(face.path) for face in shipped.split("test").faces]
    return {name: scores(name, jpegs) for name in NAMES}


def test_fp32_tells_forgeries_and_leaves_room_for_better_variants(
    categories: list[str], answers: dict[str, Scores]
) -> None:
    values = answers[NAMES[0]]
    assert auc(categories, values) >= 0.95
    for category in CATEGORIES:
        assert auc(categories, values, category) <= 0.995, category


def test_int8_loses_little(categories: list[str], answers: dict[str, Scores]) -> None:
    fp32, int8 = (auc(categories, answers[name]) for name in NAMES)
    assert abs(fp32 - int8) <= 0.02


def test_fp32_holds_on_faces_of_another_seed(unseen: dict[tuple[int, str], bytes]) -> None:
    # Guards against a pack that leaked into the training: these faces did not exist when the net was trained.
    drawn = [category for _, category in unseen]
    assert auc(drawn, scores(NAMES[0], list(unseen.values()))) >= 0.93


def test_training_and_shipped_faces_have_other_seeds() -> None:
    training = manifest.load(VARIANTS / f"{NAMES[0]}.toml").manifest.training
    assert training is not None
    assert training.seed is not None
    note = faceset.load(faceset.SHIPPED).note
    shipped_seed = int(note.split("seed ")[1].split(",")[0])
    trained_on = {split_seed(training.seed, split) for split in ("train", "val")}
    assert not trained_on & {split_seed(shipped_seed, split) for split in ("val", "test")}


@pytest.mark.parametrize("name", NAMES)
def test_manifest_describes_its_file(name: str) -> None:
    variant = manifest.load(VARIANTS / f"{name}.toml")  # refuses another sha256
    assert variant.name == name
    assert variant.manifest.bytes == variant.path.stat().st_size == variant.bytes
    assert variant.manifest.sha256 == variant.sha256
    assert variant.manifest.parameters
    assert variant.manifest.macs
    assert variant.manifest.training
    assert variant.manifest.training.command.startswith("edgerig zoo build")


def test_int8_names_its_parent_and_techniques() -> None:
    told = manifest.load(VARIANTS / f"{NAMES[1]}.toml").manifest
    assert told.parent == NAMES[0]
    assert "int8" in told.techniques


@pytest.mark.parametrize("name", NAMES)
def test_model_does_not_tell_where_it_was_built(name: str) -> None:
    content = (VARIANTS / f"{name}.onnx").read_bytes()
    assert not [trace for trace in (b"site-packages", b"/home/", b"/root/", b"/tmp/") if trace in content]


def test_what_ships_stays_small() -> None:
    assert faceset.SHIPPED.stat().st_size <= 7 * MEGABYTE
    assert sum((VARIANTS / f"{name}.onnx").stat().st_size for name in NAMES) <= 9 * MEGABYTE


def test_face_set_is_balanced_and_says_that_it_is_drawn(shipped: faceset.FaceSet) -> None:
    assert shipped.synthetic
    for split, pairs in (("val", 100), ("test", 300)):
        faces = shipped.split(split)
        assert faces.of("real") == faces.of("fake") == pairs
        assert {faces.counts()[category] for category in CATEGORIES} == {pairs // len(CATEGORIES)}
        assert len({face.group for face in faces.faces}) == pairs
