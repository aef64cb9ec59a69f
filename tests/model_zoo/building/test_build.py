"""Builds: everything once, ancestors and teachers first, and nothing that depends on test faces."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from edgerig.errors import ConfigError, FaceSetError, ModelError
from model_zoo import faceset
from model_zoo.backbones import registry
from model_zoo.building import steps
from model_zoo.building.build import Asked, Builder, BuildError, Nobody, Stage
from model_zoo.building.faces import TrainingFaces
from model_zoo.building.recipe import Step
from model_zoo.building.store import Store
from model_zoo.building.trained import Context, Trained
from model_zoo.manifest import Input
from model_zoo.pictures import Pictures
from tests.model_zoo.building.test_recipe import TRAIN, small, taught_by, write
from tests.support import disks
from tests.support import faces as small_faces

SPLITS = ("train", "train", "val", "test")
SPARSIFY = '[[steps]]\ndo = "sparsify"\namount = 0.3\n'
PRUNE = '[[steps]]\ndo = "prune"\namount = 0.3\n'


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    return small_faces.make(tmp_path / "faces", 32, splits=SPLITS)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Put steps that only say what they did in the place of the real ones, and return what was said."""
    said: list[str] = []

    def apply(step: Any, trained: Trained, context: Context) -> Trained:
        said.append(f"{trained.model} {step.do}")
        if getattr(step, "teacher", ""):
            said.append(f"taught by {context.teacher(step.teacher).model}")
        return Trained(f"{trained.model}+{step.do}", trained.backbone, trained.input)

    def fresh(name: str, weights: str, spec: Input, seed: int) -> Trained:
        return Trained(f"{name}/{seed}", name, spec)

    monkeypatch.setattr(steps, "apply", apply)
    monkeypatch.setattr(steps, "check", lambda step, backbone: None)
    monkeypatch.setattr(registry, "fresh", fresh)
    return said


def builder(folder: Path, faces: Path, texts: dict[str, str], seed: int = 0) -> Builder:
    recipes = folder / "recipes"
    recipes.mkdir(exist_ok=True)
    asked = Asked(TrainingFaces(faceset.load(faces)), seed=seed)
    return Builder(write(recipes, **texts), asked, Store(folder / "store"))


FAMILY = {
    "teacher": 'backbone = "efficientnet-b0"\n[input]\nsize = [32, 32]\n' + TRAIN,
    "root": small() + TRAIN,
    "one": 'from = "root"\n' + PRUNE,
    "two": 'from = "root"\n' + PRUNE.replace("0.3", "0.4") + taught_by("teacher"),
}


def test_a_shared_ancestor_is_built_once_and_what_is_there_not_at_all(
    tmp_path: Path, faces: Path, done: list[str]
) -> None:
    build = builder(tmp_path, faces, FAMILY)
    order = [(stage.recipe.name, stage.step.do) for stage in build.todo(["one", "two"])]
    assert order == [("root", "train"), ("one", "prune"), ("two", "prune"), ("teacher", "train"), ("two", "train")]
    assert build.net("one").model == "mobilenetv3-small/0+train+prune"
    build.net("two")
    trained = "mobilenetv3-small/0+train"
    assert done == [
        "mobilenetv3-small/0 train",
        f"{trained} prune",
        f"{trained} prune",
        "efficientnet-b0/0 train",
        f"{trained}+prune train",
        "taught by efficientnet-b0/0+train",
    ]
    done.clear()
    again = builder(tmp_path, faces, FAMILY)
    assert again.todo(["one", "two"]) == []
    again.net("one")
    again.net("two")
    assert done == []


def test_what_an_outcome_depends_upon_builds_it_again(tmp_path: Path, faces: Path, done: list[str]) -> None:
    first = builder(tmp_path, faces, FAMILY)
    keys = {first.key(name) for name in FAMILY}
    longer = {**FAMILY, "teacher": FAMILY["teacher"].replace("epochs = 1", "epochs = 2")}
    taught = builder(tmp_path, faces, longer)
    assert taught.key("one") in keys
    assert taught.key("two") not in keys
    assert builder(tmp_path, faces, FAMILY, seed=1).key("root") not in keys
    explicit = {**FAMILY, "root": FAMILY["root"] + "batch = 32\n"}
    assert builder(tmp_path, faces, explicit).key("root") in keys  # a default that is said is the same
    picture = next(faces.glob("real/*"))
    picture.write_bytes(picture.read_bytes() + b"\0")
    assert builder(tmp_path, faces, FAMILY).key("root") not in keys


def test_training_alone_ends_before_the_first_step_that_compresses(
    tmp_path: Path, faces: Path, done: list[str]
) -> None:
    build = builder(tmp_path, faces, {"net": small() + TRAIN + TRAIN + PRUNE + TRAIN})

    def trains(step: Step) -> bool:
        return step.do == "train"

    assert len(build.todo(["net"], trains)) == 2
    build.net("net", trains)
    assert [entry.split()[-1] for entry in done] == ["train", "train"]


def test_a_step_that_failed_is_not_tried_again_for_another_recipe(
    tmp_path: Path, faces: Path, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    build = builder(tmp_path, faces, FAMILY)

    def fail(step: Any, trained: Trained, context: Context) -> Trained:
        done.append("tried")
        raise ModelError("the loss is no number.")

    monkeypatch.setattr(steps, "apply", fail)
    with pytest.raises(ModelError):
        build.net("one")
    with pytest.raises(BuildError, match="needs 'train' of the recipe 'root', which failed"):
        build.net("two")
    assert done == ["tried"]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({"a": small().replace("small", "smal") + TRAIN}, "no backbone 'mobilenetv3-smal'"),
        ({"a": small(weights="none.pt") + TRAIN}, "recipes/none.pt"),
        ({"a": small() + TRAIN + 'on = "other-faces"\n'}, "trains on other faces first"),
        (
            {"a": small() + '[[steps]]\ndo = "qat"\n[steps.train]\nepochs = 1\n' + TRAIN},
            "the step 'train' would undo what 'qat' has rounded",
        ),
        ({"a": small() + SPARSIFY + TRAIN}, "the step 'train' would undo what 'sparsify' has set to zero"),
        ({"b": small() + SPARSIFY + SPARSIFY, "a": 'from = "b"\n' + PRUNE}, "the step 'prune' would undo"),
        ({"b": small() + '[[steps]]\ndo = "quantize"\n', "a": 'from = "b"\n' + TRAIN}, "it goes on from 'b'"),
        ({"a": small() + PRUNE + 'of = "latency"\n'}, "nothing measures one"),
        (
            {"a": 'exports = ["onnx", "tflite"]\n' + small() + '[[steps]]\ndo = "qat"\n[steps.train]\nepochs = 1\n'},
            "cannot be exported to tflite: its quantizer finds the ranges of activations anew",
        ),
        (
            {"a": 'exports = ["openvino"]\n' + small().replace("mobilenetv3-small", "svm")},
            "cannot be exported to openvino: svm is a classifier of scikit-learn",
        ),
        (
            {"a": small().replace("mobilenetv3-small", "svm") + '[[steps]]\ndo = "quantize"\n'},
            "'quantize' is for nets, and svm is none",
        ),
        (
            {"a": 'exports = ["openvino"]\n' + small() + '[[steps]]\ndo = "quantize"\nmethod = "dynamic"\n'},
            "the method 'dynamic' cannot be exported to openvino: OpenVINO rounds activations",
        ),
        (
            {"a": 'exports = ["onnx", "tflite"]\n' + small(), "a-tflite": 'exports = ["tflite"]\n' + small()},
            "its variant 'a-tflite' would overwrite that of 'a-tflite'",
        ),
    ],
)
def test_what_cannot_be_is_refused_before(
    tmp_path: Path, faces: Path, done: list[str], texts: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError, match=r"^the recipe 'a': ") as caught:
        builder(tmp_path, faces, texts).check("a")
    assert said in caught.value.message
    assert done == []


def test_zeros_may_become_more(tmp_path: Path, faces: Path, done: list[str]) -> None:
    builder(tmp_path, faces, {"a": small() + SPARSIFY + SPARSIFY}).check("a")


def test_a_recipe_is_refused_for_its_teacher(tmp_path: Path, faces: Path, done: list[str]) -> None:
    texts = {"bad": small().replace("small", "smal") + TRAIN, "a": small() + taught_by("bad")}
    with pytest.raises(ConfigError, match="the recipe 'bad': there is no backbone"):
        builder(tmp_path, faces, texts).check("a")


@pytest.mark.parametrize(
    ("teacher", "said"),
    [
        (small().replace("mobilenetv3-small", "svm") + '[[steps]]\ndo = "fit"\n', "its teacher 'master' is no net"),
        (small() + TRAIN + '[[steps]]\ndo = "quantize"\n', "its teacher is 'master', whose last step works on"),
    ],
)
def test_who_cannot_teach_is_refused(tmp_path: Path, faces: Path, done: list[str], teacher: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"the recipe 'a': {said}"):
        builder(tmp_path, faces, {"master": teacher, "a": small() + taught_by("master")}).check("a")


# -- test faces


def test_test_faces_change_no_key(tmp_path: Path, faces: Path) -> None:
    before = TrainingFaces(faceset.load(faces)).key
    for face in faceset.load(faces).split("test").faces:
        (faces / face.path).unlink()
    assert TrainingFaces(faceset.load(faces)).key == before


def test_a_picture_of_another_split_is_not_read(faces: Path) -> None:
    everything = faceset.load(faces)
    allowed = Pictures(TrainingFaces(everything).train)
    assert allowed.encoded(everything.split("train").faces[0])
    with pytest.raises(FaceSetError, match="not among the faces"):
        allowed.encoded(everything.split("test").faces[0])


@pytest.mark.parametrize(
    ("splits", "said"), [((), "has no splits"), (("train", "test"), "no 'val' split"), (("val",), "no 'train' split")]
)
def test_faces_that_cannot_be_trained_on(tmp_path: Path, splits: tuple[str, ...], said: str) -> None:
    folder = small_faces.make(tmp_path / "set", 12, splits=splits)
    with pytest.raises(FaceSetError, match=said):
        TrainingFaces(faceset.load(folder))


def test_faces_of_one_class_are_refused(tmp_path: Path) -> None:
    folder = small_faces.make(tmp_path / "set", 16, splits=SPLITS)
    rows = (folder / "labels.csv").read_text().splitlines()
    (folder / "labels.csv").write_text("\n".join(row for row in rows if "fake" not in row or "val" not in row))
    with pytest.raises(FaceSetError, match="only real faces"):
        TrainingFaces(faceset.load(folder))


# -- several at once, and trouble on the way


def test_two_builds_at_once_do_a_step_once(
    tmp_path: Path, faces: Path, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    quick = steps.apply

    def slow(step: Step, trained: Trained, context: Context) -> Trained:
        time.sleep(0.3)
        return quick(step, trained, context)

    class Waiting(Nobody):
        def waiting(self, stage: Stage) -> None:
            told.append(stage.recipe.name)

    monkeypatch.setattr(steps, "apply", slow)
    both = [builder(tmp_path, faces, FAMILY) for _ in range(2)]
    for build in both:
        build.watcher = Waiting()
    with ThreadPoolExecutor(2) as pool:
        nets = list(pool.map(lambda build: build.net("one").model, both))
    assert nets == ["mobilenetv3-small/0+train+prune"] * 2
    assert len(done) == 2
    assert told


def test_what_a_build_has_not_loaded_yet_stays_though_all_is_cleaned(
    tmp_path: Path, faces: Path, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = builder(tmp_path, faces, FAMILY)
    before.net("one")
    before.store.close()
    apply, cleaned = steps.apply, dict[str, bool]()

    def beside(step: Any, trained: Trained, context: Context) -> Trained:
        other = Store(tmp_path / "store")
        cleaned.update({entry.what: other.remove(entry) for entry in other.entries() if entry.whole})
        return apply(step, trained, context)

    monkeypatch.setattr(steps, "apply", beside)
    build = builder(tmp_path, faces, FAMILY)
    assert build.net("two").model == "mobilenetv3-small/0+train+prune+train"
    assert cleaned == {"root: train": False, "one: prune": True, "teacher: train": False, "two: prune": False}
    build.store.close()
    assert all(build.store.remove(entry) for entry in build.store.entries())
    assert not list((tmp_path / "store").glob("*.claims"))


def test_a_full_disk_is_said_and_leaves_no_half(tmp_path: Path) -> None:
    said = disks.on_small_disk(FULL, tmp_path)
    assert said.splitlines() == ["the disk is full", "False", "[]"]


FULL = """
import sys
from pathlib import Path
from edgerig.errors import DiskFull
from model_zoo.building.store import Store
from model_zoo.building.trained import Trained
from model_zoo.manifest import Input
store = Store(Path(sys.argv[1]))
try:
    store.put("a", Trained("x" * 200_000, "meso4", Input(size=(32, 32))))
except DiskFull as error:
    print(error.message.partition(":")[0])
print("a" in store)
print([path.name for path in Path(sys.argv[1]).iterdir()])
"""
