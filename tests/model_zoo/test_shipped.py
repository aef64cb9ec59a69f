"""What ships: the face set, and about ten variants that are what their manifests say and worth comparing."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgerig.metrics import roc_auc
from model_zoo import faceset, manifest, select
from model_zoo.building import recipe
from model_zoo.drawn import CATEGORIES, REAL
from model_zoo.drawn.packing import split_seed
from model_zoo.exporting import running
from model_zoo.faceset import FaceSet
from model_zoo.ladder.fidelity import Faces

NAMES = [path.stem for path in select.manifests_in(select.SHIPPED)]
PARENT = "mobilenetv3-small-fp32"
MEGABYTE = 1_000_000
MAKEFILE = Path(__file__).parents[2] / "Makefile"

Scores = NDArray[np.float64]


def scores(name: str, faces: FaceSet) -> Scores:
    """Probability of "fake" by the runtime of the format alone, fed as the manifest says."""
    variant = manifest.load(select.SHIPPED / f"{name}.toml")
    return running.scores(variant.path, Faces(faces, variant.manifest.input.spec()), variant.output_spec())


def auc(categories: list[str], values: Scores, category: str | None = None) -> float:
    """AUC of all forgeries, or of one category's, against all real faces."""
    names = np.array(categories)
    chosen = np.isin(names, [REAL, category]) if category else np.full(len(names), True)
    result = roc_auc(names[chosen] != REAL, values[chosen])
    assert result is not None
    return result


@pytest.fixture(scope="module")
def shipped() -> FaceSet:
    return faceset.load(faceset.SHIPPED)


@pytest.fixture(scope="module")
def test_faces(shipped: FaceSet) -> FaceSet:
    return shipped.split("test")


@pytest.fixture(scope="module")
def categories(test_faces: FaceSet) -> list[str]:
    return [face.category for face in test_faces.faces]


@pytest.fixture(scope="module")
def areas(test_faces: FaceSet, categories: list[str]) -> dict[str, float]:
    return {name: auc(categories, scores(name, test_faces)) for name in NAMES}


def test_the_parent_tells_forgeries_and_leaves_room_for_better_variants(
    test_faces: FaceSet, categories: list[str]
) -> None:
    values = scores(PARENT, test_faces)
    assert auc(categories, values) >= 0.95
    for category in CATEGORIES:
        assert auc(categories, values, category) <= 0.995, category


def test_every_variant_has_learned_something_and_not_all_the_same(areas: dict[str, float]) -> None:
    assert {name: area for name, area in areas.items() if area < 0.85} == {}
    assert max(areas.values()) - min(areas.values()) >= 0.02
    assert abs(areas[PARENT] - areas["mobilenetv3-small-int8"]) <= 0.02


def test_the_parent_holds_on_faces_of_another_seed(unseen: dict[tuple[int, str], bytes], tmp_path: Path) -> None:
    # Guards against a pack that leaked into the training: these faces did not exist when the net was trained.
    for at, ((scene, category), jpeg) in enumerate(unseen.items()):
        folder = tmp_path / ("real" if category == REAL else "fake")
        folder.mkdir(exist_ok=True)
        (folder / f"{at:04d}-{scene}-{category}.jpg").write_bytes(jpeg)
    faces = faceset.load(tmp_path)
    drawn = [Path(face.path).stem.split("-")[2] for face in faces.faces]
    assert auc(drawn, scores(PARENT, faces)) >= 0.93


def test_training_and_shipped_faces_have_other_seeds(shipped: FaceSet) -> None:
    told = [manifest.load(select.SHIPPED / f"{name}.toml").manifest.training for name in NAMES]
    seeds = {int(found.group(1)) for entry in told if entry and (found := re.search(r"seed (\d+)", entry.note))}
    (trained_seed,) = seeds
    shipped_seed = int(shipped.note.split("seed ")[1].split(",")[0])
    trained_on = {split_seed(trained_seed, split) for split in ("train", "val")}
    assert not trained_on & {split_seed(shipped_seed, split) for split in ("val", "test")}


@pytest.mark.parametrize("name", NAMES)
def test_manifest_describes_its_file(name: str) -> None:
    variant = manifest.load(select.SHIPPED / f"{name}.toml")  # refuses another sha256
    told = variant.manifest
    assert variant.name == name
    assert told.bytes == variant.path.stat().st_size
    assert told.sha256 == variant.sha256
    assert told.parameters
    assert told.macs
    assert told.training
    assert told.training.command.startswith("edgerig zoo build")
    assert "drawn" in told.training.data
    assert (told.parent != "") == (name != PARENT)


@pytest.mark.parametrize("name", NAMES)
def test_model_does_not_tell_where_it_was_built(name: str) -> None:
    for path in manifest.load(select.SHIPPED / f"{name}.toml").files:
        content = path.read_bytes()
        assert not [trace for trace in (b"site-packages", b"/home/", b"/root/", b"/tmp/") if trace in content]


def test_what_ships_is_varied_and_small() -> None:
    told = {name: manifest.load(select.SHIPPED / f"{name}.toml") for name in NAMES}
    shelf = recipe.shelf()
    recipes = {name: entry.manifest.training.recipe for name, entry in told.items() if entry.manifest.training}
    assert len({recipe.lineage(shelf, of)[0].backbone for of in recipes.values()}) >= 3
    assert {entry.format for entry in told.values()} == {"onnx", "tflite", "openvino"}
    assert [name for name, entry in told.items() if not entry.manifest.parent] == [PARENT]
    assert faceset.SHIPPED.stat().st_size <= 7 * MEGABYTE
    assert sum(path.stat().st_size for path in select.SHIPPED.iterdir()) <= 25 * MEGABYTE


def test_an_installation_has_all_of_it() -> None:
    told = tomllib.loads((MAKEFILE.parent / "pyproject.toml").read_text())
    patterns = told["tool"]["setuptools"]["package-data"]["*"]
    assert {path.suffix for path in select.SHIPPED.iterdir()} <= {pattern.lstrip("*") for pattern in patterns}


def test_one_command_rebuilds_what_ships() -> None:
    asked = MAKEFILE.read_text().replace("\\\n", " ").split("SHIPPED := ")[1].splitlines()[0].split()
    shelf = recipe.shelf()
    files = [name if at == 0 else f"{name}-{form}" for name in asked for at, form in enumerate(shelf[name].exports)]
    assert sorted(files) == sorted(NAMES)


def test_starters_are_a_trade_off(areas: dict[str, float]) -> None:
    assert len(select.STARTERS) <= 6
    told = {name: manifest.load(select.SHIPPED / f"{name}.toml") for name in select.STARTERS}
    sizes = [entry.bytes for entry in told.values()]
    assert max(sizes) / min(sizes) >= 5
    # Whoever is smaller pays for it somewhere: the smallest file does not have the best AUC.
    assert max(told, key=lambda name: areas[name]) != min(told, key=lambda name: told[name].bytes)


def test_face_set_is_balanced_and_says_that_it_is_drawn(shipped: FaceSet) -> None:
    assert shipped.synthetic
    for split, pairs in (("val", 100), ("test", 300)):
        faces = shipped.split(split)
        assert faces.of("real") == faces.of("fake") == pairs
        assert {faces.counts()[category] for category in CATEGORIES} == {pairs // len(CATEGORIES)}
        assert len({face.group for face in faces.faces}) == pairs
