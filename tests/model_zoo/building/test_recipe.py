"""Recipes: what they say, what they need, and what is refused with the nearest word."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgerig.errors import ConfigError
from model_zoo.building import recipe as recipes
from model_zoo.building.recipe import Recipe

INPUT = "[input]\nsize = [32, 32]\n"
TRAIN = '[[steps]]\ndo = "train"\nepochs = 1\n'


def write(folder: Path, **texts: str) -> dict[str, Recipe]:
    """Write recipes, and return them as a shelf; `_` of a name is `-`."""
    for name, text in texts.items():
        (folder / f"{name.replace('_', '-')}.toml").write_text(text)
    return recipes.shelf([folder])


def small(**keys: str) -> str:
    head = {"backbone": "mobilenetv3-small", **keys}
    return "".join(f'{key} = "{value}"\n' for key, value in head.items()) + INPUT


def taught_by(teacher: str) -> str:
    return f'{TRAIN}teacher = "{teacher}"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('backbon = "x"\n', r"a.toml: unknown key 'backbon'.*Did you mean 'backbone'"),
        (small() + TRAIN + "epoch = 2\n", r"unknown key 'steps.0.epoch'.*Did you mean 'epochs'"),
        (small() + TRAIN + "[steps.augment]\ncorp = 0.1\n", r"'steps.0.augment.corp'.*mean 'crop'"),
        (small() + '[[steps]]\ndo = "prune"\namuont = 0.3\n', r"'steps.0.amuont'.*Did you mean 'amount'"),
        (small() + '[[steps]]\ndo = "quantize"\nhaq = true\n', r"'steps.0.haq'.*Known here: auc_drop, calibration, do"),
        (small() + '[[steps]]\ndo = "prun"\n', r"there is no step 'prun'.*Did you mean 'prune'"),
        (small() + "[[steps]]\nepochs = 1\n", r"a step does not say what to 'do'.*Known: train, prune"),
        (small() + TRAIN + "[steps.augment]\nflips = 1\n", r"augment.flips'.*Did you mean 'flip'"),
        (small() + '[[steps]]\ndo = ["train"]\n', "there is no step"),
        (small() + TRAIN + "where = 1\nwhere_alone = 1\n", "'where_alone' leaves none of the 1 'epochs'"),
        (small() + TRAIN + "warmup_epochs = 1\n", "'warmup_epochs' leaves none of the 1 'epochs'"),
        (small() + 'layout = "NHWC"\n', "'input.layout' is not a recipe's"),
        (small() + 'dtype = "uint8"\n', "'input.dtype' is not a recipe's"),
        (small() + 'layout = "NCHW"\n', None),
        (small() + TRAIN + "temperature = 2\n", "'temperature' is of the soft loss, which needs a 'teacher'"),
        (small() + taught_by("b") + "alpha = 0.5\ntemperature = 2\n", None),
        (small(), None),
        ("", "either a backbone or"),
        ('from = "b"\n' + INPUT, "inherits it"),
        ('backbone = "mobilenetv2"\n', r"has an \[input\]"),
        (small() + '[[steps]]\ndo = "quantize"\n' + TRAIN, "must be the last step"),
        ('exports = ["onnx", "onnx"]\n' + small(), "names a format twice"),
        ("exports = []\n" + small(), "exports"),
        ("name = 1 =", "not valid TOML"),
        ('name = "../a"\n' + small(), "a.toml: .*'../a' is no name of a file"),
        ('name = ".."\n' + small(), "a.toml: .*'..' is no name of a file"),
        ('name = ""\n' + small(), "a.toml: .*'' is no name of a file"),
    ],
)
def test_a_recipe_says_what_it_may(tmp_path: Path, text: str, said: str | None) -> None:
    if said is None:
        assert write(tmp_path, a=text)["a"].name == "a"
        return
    with pytest.raises(ConfigError) as caught:
        write(tmp_path, a=text)

    assert re.search(said, f"{caught.value.message} {caught.value.hint}")


def test_what_a_recipe_needs_comes_before_it(tmp_path: Path) -> None:
    shelf = write(
        tmp_path,
        root=small() + TRAIN,
        teacher=small() + TRAIN,
        pupil='from = "root"\n' + taught_by("teacher"),
        pruned='from = "pupil"\n[[steps]]\ndo = "prune"\namount = 0.3\n'
        '[steps.recover]\nepochs = 1\nteacher = "teacher"\n',
    )
    names = [recipe.name for recipe in recipes.needed(shelf, "pruned")]
    assert names == ["root", "teacher", "pupil", "pruned"]
    assert shelf["pruned"].teachers == ("teacher",)


@pytest.mark.parametrize(
    ("texts", "circle"),
    [
        ({"a": 'from = "a"\n'}, "a -> a"),
        ({"a": 'from = "b"\n', "b": 'from = "a"\n'}, "a -> b -> a"),
        ({"a": small() + taught_by("b"), "b": small() + taught_by("a")}, "a -> b -> a"),
        ({"a": 'from = "b"\n', "b": small() + taught_by("c"), "c": small() + taught_by("b")}, "b -> c -> b"),
    ],
)
def test_a_circle_is_refused(tmp_path: Path, texts: dict[str, str], circle: str) -> None:
    with pytest.raises(ConfigError, match="needs itself") as caught:
        recipes.needed(write(tmp_path, **texts), "a")
    assert circle in caught.value.message


def test_an_unknown_recipe_is_told_with_who_needs_it(tmp_path: Path) -> None:
    shelf = write(tmp_path, parent=small(), child='from = "parnt"\n')
    with pytest.raises(ConfigError, match="no recipe 'parnt', which the recipe 'child' needs") as caught:
        recipes.needed(shelf, "child")
    assert "Did you mean 'parent'?" in caught.value.hint


@pytest.mark.parametrize(
    ("exports", "names"),
    [
        (["onnx"], {"a": "onnx"}),
        (["tflite"], {"a": "tflite"}),
        (["tflite", "onnx"], {"a-tflite": "tflite", "a": "onnx"}),
        (["tflite", "openvino"], {"a": "tflite", "a-openvino": "openvino"}),
    ],
)
def test_one_variant_is_called_like_its_recipe(tmp_path: Path, exports: list[str], names: dict[str, str]) -> None:
    found = write(tmp_path, a=f"exports = {exports}\n" + small())["a"]
    assert found.variants == names


def test_two_recipes_of_a_folder_with_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"both .*a\.toml and .*b\.toml are called 'a'"):
        write(tmp_path, a=small(), b='name = "a"\n' + small())


def test_a_later_folder_counts(tmp_path: Path) -> None:
    mine, ours = tmp_path / "mine", tmp_path / "ours"
    for folder, note in ((ours, "ours"), (mine, "mine")):
        folder.mkdir()
        (folder / "a.toml").write_text(small(note=note))
    assert recipes.shelf([ours, mine])["a"].note == "mine"
