"""The folder of variants: what an earlier build left there, and what comes of other faces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from model_zoo import faceset, family
from model_zoo.building import folder as variants_folder
from model_zoo.building.build import Asked
from model_zoo.building.faces import TrainingFaces
from model_zoo.building.folder import Stranger
from tests.support import faces as small_faces


def written(folder: Path, name: str, recipe: str, file: str = "", **training: Any) -> None:
    """Write a variant as `place` does; one without a recipe is the user's own."""
    file = file or f"{name}.xml"
    table: dict[str, Any] = {"name": name, "file": file, "input": {"size": [8, 8]}}
    if recipe:
        table["training"] = {"data": "faces, 24 training faces", "seed": 0, "recipe": recipe, **training}
    for path in (folder / file, (folder / file).with_suffix(".bin"), folder / f"{name}.plan.json"):
        path.write_text(name)
    family.write_alone(folder, [table])


def test_only_what_a_recipe_has_made_before_is_moved(tmp_path: Path) -> None:
    written(tmp_path, "one", "one")
    written(tmp_path, "one-old", "one", extras=["plan.json"])
    written(tmp_path, "one-mine", "")
    written(tmp_path, "two", "two")
    (tmp_path / "one-old.notes").write_text("mine")
    (tmp_path / "broken.toml").write_text("name =")
    before = {path.name for path in tmp_path.iterdir()}
    assert variants_folder.set_aside(tmp_path, "one", ["one"]) == ["one-old"]
    moved = {"one-old.toml", "one-old.xml", "one-old.bin", "one-old.plan.json"}
    assert {path.name for path in (tmp_path / "earlier").iterdir()} == moved
    assert {path.name for path in tmp_path.iterdir()} == before - moved | {"earlier"}
    assert variants_folder.set_aside(tmp_path, "one", ["one"]) == []


def test_a_file_that_the_user_named_as_well_stays(tmp_path: Path) -> None:
    written(tmp_path, "one", "one")
    written(tmp_path, "mine", "", file="one.xml")
    assert variants_folder.set_aside(tmp_path, "one", []) == ["one"]
    assert (tmp_path / "one.xml").exists()
    assert not (tmp_path / "one.toml").exists()


def test_nothing_outside_of_the_folder_is_moved(tmp_path: Path) -> None:
    zoo = tmp_path / "zoo"
    zoo.mkdir()
    (tmp_path / "kept.txt").write_text("mine")
    written(zoo, "one", "one", extras=["txt"])
    (zoo / "one.toml").write_text((zoo / "one.toml").read_text().replace('name = "one"', 'name = "../kept"'))
    assert variants_folder.set_aside(zoo, "one", []) == ["../kept"]
    assert (tmp_path / "kept.txt").exists()


@pytest.mark.parametrize(
    ("training", "strange"),
    [
        ({"faces": "today's"}, False),
        ({"faces": "other"}, True),
        ({"faces": "today's", "seed": 1}, True),
        ({"faces": "today's", "other_faces": "other"}, False),  # none were asked for: nothing to compare with
        ({"data": "not trained"}, False),
        ({}, True),  # an older manifest: its data are another number of faces
        ({"data": "faces, 8 training faces"}, False),
    ],
)
def test_variants_of_other_faces_or_another_seed_are_found(
    tmp_path: Path, training: dict[str, Any], strange: bool
) -> None:
    small = small_faces.make(tmp_path / "faces", 16, splits=("train", "train", "val", "test"))
    asked = Asked(TrainingFaces(faceset.load(small)))
    if training.get("faces") == "today's":
        training = {**training, "faces": asked.faces.key}
    for name in ("one", "two"):
        written(tmp_path, name, name, **training)
    written(tmp_path, "mine", "")
    data = training.get("data", "faces, 24 training faces")
    expected = [Stranger("one", data, training.get("seed", 0))] if strange else []
    assert variants_folder.strangers(tmp_path, asked, ["two"]) == expected
