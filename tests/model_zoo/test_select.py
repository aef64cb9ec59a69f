"""From words to variants: names, manifests, models, folders; each once, and none by guessing."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgerig.errors import ConfigError, ModelError
from model_zoo import select
from tests.support import models


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with two variants and a family, which stands for the shipped ones."""
    for name in ("teacher", "student"):
        models.null_model(tmp_path / "zoo", name, keys={"extends": "all.family.toml"})
    (tmp_path / "zoo" / "all.family.toml").write_text("threshold = 0.25\n")
    monkeypatch.setattr(select, "SHIPPED", tmp_path / "zoo")
    monkeypatch.setattr(select, "STARTERS", ("teacher",))
    return tmp_path / "zoo"


def names(*words: object) -> list[str]:
    return [variant.name for variant in select.variants([str(word) for word in words])]


def test_no_words_are_the_starters_and_a_word_is_all_that_are_shipped(zoo: Path) -> None:
    assert names() == ["teacher"]
    assert names("shipped") == names("teacher", "shipped")[::-1] == ["student", "teacher"]
    assert {variant.manifest.threshold for variant in select.shipped()} == {0.25}


def test_each_kind_of_word(zoo: Path) -> None:
    for word in ("teacher", zoo / "teacher.toml", zoo / "teacher.null"):
        assert names(word) == ["teacher"]
    assert names(zoo) == ["student", "teacher"]


def test_the_order_of_the_words_is_kept_and_each_is_taken_once(zoo: Path) -> None:
    assert names("teacher", zoo, zoo / "." / "student.toml", "teacher") == ["teacher", "student"]


def test_families_and_configurations_are_no_variants(zoo: Path) -> None:
    (zoo / "edgerig.toml").write_text("")
    (zoo / "pyproject.toml").write_text("")
    assert names(zoo) == ["student", "teacher"]


def test_an_unknown_name_is_refused_with_the_nearest(zoo: Path) -> None:
    with pytest.raises(ConfigError, match="there is no variant 'techer'") as caught:
        names("techer")
    assert caught.value.hint == "Did you mean 'teacher'?"
    with pytest.raises(ConfigError) as caught:
        names("shiped")
    assert caught.value.hint == "Did you mean 'shipped'?"
    with pytest.raises(ConfigError) as caught:
        names("zzz")
    assert caught.value.hint.startswith("Shipped: student, teacher; or the path of")


def test_a_name_is_no_way_out_of_the_folder(zoo: Path) -> None:
    models.null_model(zoo.parent, "outside")
    with pytest.raises(ConfigError, match="there is no variant"):
        names("../outside")


def test_two_of_the_same_name(zoo: Path) -> None:
    other = models.null_model(zoo.parent / "other", "x", keys={"name": "teacher"})
    with pytest.raises(ConfigError, match="two variants are called 'teacher'") as caught:
        names("teacher", other)
    assert str(other) in caught.value.message
    assert str(zoo / "teacher.null") in caught.value.message


def test_a_folder_without_manifests(tmp_path: Path) -> None:
    models.null_model(tmp_path, "foreign", manifest=False)
    with pytest.raises(ModelError, match="no manifest is in") as caught:
        names(tmp_path)
    assert caught.value.hint == f"`edgerig variants init {tmp_path}` writes them."


def test_a_model_without_a_manifest(tmp_path: Path) -> None:
    model = models.null_model(tmp_path, "foreign", manifest=False)
    with pytest.raises(ModelError, match="has no manifest, so nobody knows what to feed it"):
        names(model)


def test_a_model_is_found_by_the_manifest_that_names_it(tmp_path: Path) -> None:
    model = models.null_model(tmp_path, "weights-v2", manifest=False)
    path = models.write_manifest(model, name="pretty", input={"size": [8, 8]})
    path.rename(tmp_path / "pretty.toml")
    assert names(model) == ["pretty"]


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no model file .*none\.onnx"):
        names(tmp_path / "none.onnx")
    with pytest.raises(ConfigError, match=r"there is no file .*none\.toml"):
        names(tmp_path / "none.toml")
