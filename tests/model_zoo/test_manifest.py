"""Manifests: families, model files that are what they should be, names of any kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli_w

from edgerig import digest
from edgerig.errors import ConfigError, ModelError
from edgerig.preprocess import InputSpec, OutputSpec
from model_zoo import manifest
from tests.support import models

SIZE = {"size": [8, 8]}


def written(folder: Path, **keys: Any) -> Path:
    """Write a manifest with a model of four bytes, and return its path."""
    (folder / "m.onnx").write_bytes(b"onnx")
    path = folder / "m.toml"
    path.write_text(tomli_w.dumps({"name": "m", "file": "m.onnx", "input": SIZE, **keys}))
    return path


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        manifest.load(path)
    assert str(path) in caught.value.message
    return caught.value.message.removeprefix(f"{path}: ")


def test_the_least_that_a_manifest_says(tmp_path: Path) -> None:
    variant = manifest.load(written(tmp_path))
    assert (variant.name, variant.format, variant.bytes) == ("m", "onnx", 4)
    assert variant.sha256 == digest.of_bytes(b"onnx")
    assert variant.manifest.input.spec() == InputSpec(8, 8)
    assert variant.output_spec() == OutputSpec()
    assert variant.files == [tmp_path / "m.onnx"]


def test_what_is_fed_and_how_it_is_read(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        threshold=0.4,
        input={"size": [4, 6], "layout": "NHWC", "colour": "BGR", "dtype": "int8", "scale": 0.5, "zero_point": -3},
        output={"kind": "probability", "index": 0, "inverted": True},
    )
    variant = manifest.load(path)
    spec = variant.manifest.input.spec()
    assert (spec.shape, spec.colour, spec.dtype) == ((1, 4, 6, 3), "BGR", "int8")
    assert (spec.scale, spec.zero_point) == (0.5, -3)
    assert variant.output_spec() == OutputSpec("probability", 0, inverted=True, threshold=0.4)
    assert str(variant.manifest.input) == "4x6 BGR NHWC int8"


def test_files_that_belong_to_a_model_count(tmp_path: Path) -> None:
    path = written(tmp_path, extra_files=["m.bin"])
    (tmp_path / "m.bin").write_bytes(b"weights")
    variant = manifest.load(path)
    assert variant.bytes == 4 + 7
    assert variant.files == [tmp_path / "m.onnx", tmp_path / "m.bin"]


# -- families


def family(folder: Path, name: str, **keys: Any) -> None:
    (folder / name).write_text(tomli_w.dumps(keys))


def test_a_family_is_inherited_table_by_table(tmp_path: Path) -> None:
    family(tmp_path, "f.family.toml", threshold=0.3, input={"size": [8, 8], "colour": "BGR"}, techniques=["pruned"])
    path = written(tmp_path, extends="f.family.toml", input={"size": [4, 4]}, techniques=["int8"])
    loaded = manifest.load(path).manifest
    assert loaded.threshold == 0.3
    assert (loaded.input.size, loaded.input.colour) == ((4, 4), "BGR")
    assert loaded.techniques == ("int8",)  # a list replaces a list


def test_a_family_may_extend_another_in_another_folder(tmp_path: Path) -> None:
    (tmp_path / "families").mkdir()
    family(tmp_path / "families", "base.toml", note="base", threshold=0.1)
    family(tmp_path / "families", "f.toml", extends="base.toml", threshold=0.2)
    loaded = manifest.load(written(tmp_path, extends="families/f.toml")).manifest
    assert (loaded.note, loaded.threshold) == ("base", 0.2)


def test_a_family_that_extends_itself(tmp_path: Path) -> None:
    family(tmp_path, "a.toml", extends="b.toml")
    family(tmp_path, "b.toml", extends="./a.toml")
    with pytest.raises(ConfigError, match=r"a\.toml extends itself"):
        manifest.load(written(tmp_path, extends="a.toml"))
    assert refused(written(tmp_path, extends="m.toml")).endswith("extends itself.")


def test_a_family_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no file .*none\.toml"):
        manifest.load(written(tmp_path, extends="none.toml"))


def test_a_family_that_is_no_name(tmp_path: Path) -> None:
    assert refused(written(tmp_path, extends=5)) == "'extends' must be the name of a file, not 5."


# -- model files


def test_a_model_that_is_missing_or_empty(tmp_path: Path) -> None:
    path = written(tmp_path)
    (tmp_path / "m.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match=r"the model file .*m\.onnx is empty"):
        manifest.load(path)
    (tmp_path / "m.onnx").unlink()
    with pytest.raises(ModelError, match=r"the model file .*m\.onnx of variant 'm' is missing"):
        manifest.load(path)


def test_an_extra_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"m\.bin of variant 'm' is missing"):
        manifest.load(written(tmp_path, extra_files=["m.bin"]))


def test_a_model_that_was_replaced(tmp_path: Path) -> None:
    path = written(tmp_path, sha256=digest.of_bytes(b"other"), bytes=5000)
    with pytest.raises(ModelError, match=r"\(4 bytes here, 5,000 bytes there\)") as caught:
        manifest.load(path)
    assert "restore it" in caught.value.hint


def test_a_model_that_is_the_one(tmp_path: Path) -> None:
    assert manifest.load(written(tmp_path, sha256=digest.of_bytes(b"onnx"))).name == "m"


# -- what it may not say


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"treshold": 0.5}, "unknown key 'treshold'."),
        ({"input": {"size": [8, 8], "color": "RGB"}}, "unknown key 'input.color'."),
        ({"input": {}}, "the key 'input.size' is missing."),
        ({"input": {"size": [8]}}, "'input.size': tuple should have at least 2 items"),
        ({"input": {"size": [0, 8]}}, "'input': size must be between 1 and 4096 pixels"),
        ({"input": {"size": [8, 8], "std": [1, 0, 1]}}, "'input': std must not be 0"),
        ({"input": {"size": [8, 8], "mean": [0.5]}}, "'input.mean': tuple should have at least 3 items"),
        ({"input": {"size": [8, 8], "layout": "NCWH"}}, "'input.layout': input should be 'NCHW' or 'NHWC', not 'NCWH'"),
        ({"input": {"size": [8, 8], "mean": [float("nan"), 0, 0]}}, "'input.mean.0': input should be a finite number"),
        ({"output": {"index": -1}}, "'output.index': input should be greater than or equal to 0"),
        ({"threshold": 1.5}, "'threshold': input should be less than or equal to 1"),
        ({"positive": "deepfake"}, "positive is 'deepfake', which is not among the classes ['real', 'fake']"),
        ({"file": "../m.onnx"}, "file '../m.onnx' must lie beside its manifest"),
        ({"extra_files": ["/etc/passwd"]}, "file '/etc/passwd' must lie beside its manifest"),
        ({"file": "m.pt"}, "'m.pt' has no known suffix."),
        ({"sha256": "ABC"}, "'sha256': string should match pattern"),
        ({"name": ""}, "'name': string should have at least 1 character"),
        ({"name": "a\x1b[31m"}, "name must be printable"),
        ({"name": "a\nb"}, "name must be printable"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, keys: dict[str, Any], message: str) -> None:
    said = refused(written(tmp_path, **keys))
    assert said.lower().startswith(message.lower())


@pytest.mark.parametrize("name", ["..", ".", ""])
def test_a_folder_is_no_model(tmp_path: Path, name: str) -> None:
    with pytest.raises((ConfigError, ModelError)):
        manifest.load(written(tmp_path, file=name))


@pytest.mark.parametrize(
    "name", ['it\'s "quoted"', "a/b\\c", "<b>&amp;</b>", "Zoë 面", "=1+1", "..", "a b", "[red]x[/]"]
)
def test_a_name_may_be_any_printable_text(tmp_path: Path, name: str) -> None:
    assert manifest.load(written(tmp_path, name=name)).name == name


def test_a_format_may_be_said(tmp_path: Path) -> None:
    (tmp_path / "m.model").write_bytes(b"x")
    assert manifest.load(written(tmp_path, file="m.model", format="tflite")).format == "tflite"


def test_the_helpers_of_these_tests_write_valid_manifests(tmp_path: Path) -> None:
    for path in (models.onnx_model(tmp_path, "a"), models.keras_model(tmp_path, "b"), models.crashing_model(tmp_path)):
        assert manifest.load(path.with_suffix(".toml")).path == path


def test_merging_leaves_both_as_they_were() -> None:
    base, over = {"a": {"x": 1, "y": 2}, "b": 1}, {"a": {"y": 3}, "b": {"z": 1}}
    assert manifest.merged(base, over) == {"a": {"x": 1, "y": 3}, "b": {"z": 1}}
    assert (base, over) == ({"a": {"x": 1, "y": 2}, "b": 1}, {"a": {"y": 3}, "b": {"z": 1}})


def test_the_weights_of_an_xml_belong_to_it(tmp_path: Path) -> None:
    model = tmp_path / "net.xml"
    model.write_text("<net/>")
    manifest_path = models.write_manifest(model, input={"size": [8, 8]})
    with pytest.raises(ModelError, match=r"net\.bin of variant 'net' is missing"):
        manifest.load(manifest_path)
    identities = set()
    for weights in (b"one", b"other"):
        model.with_suffix(".bin").write_bytes(weights)
        variant = manifest.load(manifest_path)
        assert [path.name for path in variant.files] == ["net.xml", "net.bin"]
        assert variant.bytes == len("<net/>") + len(weights)
        identities.add(variant.identity)
    assert len(identities) == 2  # the graph is the same, the model is another
