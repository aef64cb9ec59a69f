"""Foreign models are read rightly, by trying them on a real agent; what cannot be tried is named."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result

from edgerig.errors import ConfigError, FaceSetError, ModelError
from harness.commands.variants import init
from harness.models import foreign
from harness.models.foreign import Prober
from harness.planning import plan
from model_zoo import faceset, family, manifest, select
from targets import profile
from tests.support import devices, models, openvino, tflite
from tests.support import faces as small_faces


@pytest.fixture(scope="module")
def prober(tmp_path_factory: pytest.TempPathFactory, faces: Path) -> Iterator[Prober]:
    folder = tmp_path_factory.mktemp("foreign")
    face_set = faceset.load(faces)
    with devices.session(folder) as session:
        yield Prober(session, profile.resolve("x86", {}), face_set, faceset.pack(face_set, folder), size=24)


def bytes_model(folder: Path, name: str, size: int | None = 8, **script: Any) -> Path:
    """Write a model that is fed uint8 pixels, for which there is one scaling: so it is tried in .5 s."""
    entry = {"shape": [1, size, size, 3], "dtype": "uint8"}
    return models.null_model(folder, name, manifest=False, input=entry, **{"scores": [0.3, 0.7], **script})


def test_nhwc_pixels_255_single_sigmoid_that_means_real(prober: Prober, tmp_path: Path) -> None:
    finding = prober.probe(models.keras_model(tmp_path, "mobile", manifest=False))
    assert finding.best
    best = finding.best
    assert (best.input.layout, best.input.colour, best.input.mean, best.input.std) == ("NHWC", "RGB", *models.PLAIN)
    assert (best.output.kind, best.output.index, best.output.inverted) == ("probability", 0, True)
    assert best.auc > 0.95
    assert "inverted (it means real)" in finding.why
    assert finding.warnings == ()


def test_nchw_imagenet_softmax_of_bgr_with_mean_and_std_in_that_order(prober: Prober, tmp_path: Path) -> None:
    best = prober.probe(models.onnx_model(tmp_path, "net", head="softmax", colour="BGR", manifest=False)).best
    assert best
    assert (best.scaling, best.input.layout, best.input.colour) == ("ImageNet mean and std", "NCHW", "BGR")
    assert best.input.mean == models.IMAGENET[0][::-1]
    assert best.input.std == models.IMAGENET[1][::-1]
    assert (best.output.kind, best.output.index) == ("softmax", 1)
    assert best.auc > 0.95


def test_a_choice_that_says_nothing_is_warned_of_with_the_other_reading(prober: Prober, tmp_path: Path) -> None:
    scores = [0.1, 0.6, 0.6, 0.1]  # by turns, whatever the label
    finding = prober.probe(bytes_model(tmp_path, "blind", scores=scores))
    assert finding.best
    assert finding.best.auc < foreign.UNDECIDED
    opposite = str(not finding.best.output.inverted).lower()
    assert f"the inverted reading is output.inverted = {opposite}" in finding.warnings[0]


def test_the_inverted_reading_of_two_logits_is_the_other_index(prober: Prober, tmp_path: Path) -> None:
    finding = prober.probe(bytes_model(tmp_path, "blind", outputs=2, scores=[0.1, 0.6, 0.6, 0.1]))
    assert finding.best
    assert f"output.index = {1 - finding.best.output.index}" in finding.warnings[0]


def test_a_model_for_any_size_says_which_was_tried(prober: Prober, tmp_path: Path) -> None:
    finding = prober.probe(bytes_model(tmp_path, "any", size=None))
    assert finding.best
    assert finding.best.input.height == 24
    assert finding.warnings[-1] == "it takes any size: 24x24 was tried. Give --size if it was trained on another."


def test_answers_that_are_no_numbers(prober: Prober, tmp_path: Path) -> None:
    finding = prober.probe(bytes_model(tmp_path, "nan", scores=["nan"]))
    assert finding.error
    assert finding.best is None


def test_a_crash_is_a_finding_and_the_next_model_is_tried(prober: Prober, tmp_path: Path) -> None:
    crashed = prober.probe(models.crashing_model(tmp_path, frame=3))
    assert "SIGSEGV" in crashed.error
    assert prober.probe(bytes_model(tmp_path, "good")).best


def test_what_is_no_picture_is_refused(prober: Prober, tmp_path: Path) -> None:
    flat = prober.probe(models.null_model(tmp_path, "flat", manifest=False, input={"shape": [1, 10]}))
    grey = prober.probe(models.null_model(tmp_path, "grey", manifest=False, input={"shape": [1, 1, 8, 8]}))
    assert flat.error == "its inputs are x [1, 10]: edgerig measures models that take one picture."
    assert "neither the second nor the last dimension is 3 colours" in grey.error


def test_a_quantized_tflite_model_is_fed_by_its_own_levels(prober: Prober, tmp_path: Path) -> None:
    finding = prober.probe(tflite.tflite_model(tmp_path, "mobile", quantized=True, heads=True, manifest=False))
    assert finding.warnings == ("it has 2 outputs: 'y' was read. output.name chooses another: 'l'.",)
    assert finding.best
    best = finding.best
    assert (best.input.layout, best.input.colour, best.input.dtype, best.input.mean) == (
        "NHWC",
        "RGB",
        "int8",
        (0,) * 3,
    )
    assert best.input.scale == pytest.approx(1 / 255)
    assert best.input.zero_point == -128
    assert (best.output.kind, best.output.inverted) == ("probability", True)
    assert best.auc > 0.95
    assert finding.manifest
    assert (finding.manifest["parameters"], finding.manifest["macs"]) == (7, 3)
    assert finding.manifest["techniques"] == ["static int8"]


def test_an_openvino_model_is_tried_with_its_weights(prober: Prober, tmp_path: Path) -> None:
    model = openvino.openvino_model(models.onnx_model(tmp_path, "net", head="softmax", colour="BGR"))
    finding = prober.probe(model)
    assert finding.best
    best = finding.best
    assert (best.scaling, best.input.layout, best.input.colour) == ("ImageNet mean and std", "NCHW", "BGR")
    assert (best.output.kind, best.output.index) == ("softmax", 1)
    model.with_suffix(".bin").unlink()
    assert prober.probe(model).error == "net-ir.bin, which belongs to it, is missing."


@pytest.mark.parametrize(("name", "kind"), [("bad.tflite", "a TensorFlow Lite"), ("bad.xml", "an OpenVINO")])
def test_what_is_no_model_is_said_by_its_format(prober: Prober, tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / name
    path.write_text("<html><body>Not found</body></html>")
    assert f"{name} is not {kind} model that can be read" in prober.probe(path).error


def test_uint8_pixels_are_fed_raw(prober: Prober, tmp_path: Path) -> None:
    finding = prober.probe(bytes_model(tmp_path, "tiny"))
    assert finding.manifest
    assert finding.manifest["input"]["layout"] == "NHWC"
    assert finding.manifest["input"]["dtype"] == "uint8"
    assert np.allclose(finding.manifest["input"]["std"], 1 / 255)


def test_weights_in_a_file_of_their_own_are_found(prober: Prober, tmp_path: Path) -> None:
    path = models.onnx_model(tmp_path, "net", manifest=False)
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="net.onnx.data", size_threshold=0)
    finding = prober.probe(path)
    assert finding.best, finding.error
    assert finding.manifest
    assert finding.manifest["extra_files"] == ["net.onnx.data"]


# -- the command


def run_init(*words: object) -> Result:
    return CliRunner().invoke(init, [str(word) for word in words], standalone_mode=False, catch_exceptions=False)


def table(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text())


def test_two_models_share_a_family_and_their_manifests_load(tmp_path: Path, faces: Path) -> None:
    folder = tmp_path / "my models"
    bytes_model(folder, "big", size=16)
    bytes_model(folder, "small")
    assert run_init(folder, "--faces", faces).return_value == 0
    family, big, small = (table(folder / f"{name}.toml") for name in ("my-models.family", "big", "small"))
    assert family["input"]["layout"] == "NHWC"
    assert "size" not in family["input"]
    assert big["extends"] == small["extends"] == "my-models.family.toml"
    assert big["input"] == {"size": [16, 16]}  # nothing that the family says
    assert small["input"] == {"size": [8, 8]}
    assert "output" not in big
    loaded = manifest.load(folder / "small.toml").manifest
    assert (loaded.input.layout, loaded.input.dtype, loaded.output.kind) == ("NHWC", "uint8", "probability")


def test_a_file_that_is_no_model_is_named_and_the_others_go_on(tmp_path: Path, faces: Path) -> None:
    bytes_model(tmp_path, "good")
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    bytes_model(tmp_path, "long" * 30)
    result = run_init(tmp_path, "--faces", faces, "--json")
    assert result.return_value == 3
    rows = {Path(row["model"]).stem: row for row in json.loads(result.stdout)["findings"]}
    assert "bad.onnx is not an ONNX model that can be read" in rows["bad"]["error"]
    assert "'name'" in rows["long" * 30]["error"]
    assert rows["good"]["error"] == ""
    assert {path.name for path in tmp_path.glob("*.toml")} >= {"good.toml"}
    assert not (tmp_path / "bad.toml").exists()


def test_a_manifest_that_is_there_is_kept_unless_forced(tmp_path: Path, faces: Path) -> None:
    models.write_manifest(bytes_model(tmp_path, "old"), note="written by hand", input={"size": [8, 8]})
    bytes_model(tmp_path, "new", latency_ms=0.1)
    before = (tmp_path / "old.toml").read_bytes()
    result = run_init(tmp_path, "--faces", faces)
    assert result.return_value == 0
    assert "old.null has a manifest already" in result.stderr
    assert (tmp_path / "old.toml").read_bytes() == before
    assert manifest.load(tmp_path / "new.toml").name == "new"

    assert run_init(tmp_path, "--faces", faces, "--force").return_value == 0
    assert manifest.load(tmp_path / "old.toml").manifest.note == ""


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("net", "# of mine\nepochs = 3\n", "net.toml, and that is something else"),
        ("edgerig", "[runs.a]\n", "edgerig.toml, and that is something else"),
        ("edgerig", "", "edgerig.toml, and that is the name of something else"),
    ],
)
def test_what_is_no_manifest_is_never_written_over(
    tmp_path: Path, faces: Path, name: str, text: str, said: str
) -> None:
    bytes_model(tmp_path, name)
    if text:
        (tmp_path / f"{name}.toml").write_text(text)
    for force in ((), ("--force",)):
        with pytest.raises(ConfigError, match=said):
            run_init(tmp_path, "--faces", faces, *force)
    assert not text or (tmp_path / f"{name}.toml").read_text() == text


def test_when_every_model_has_a_manifest_that_is_said(tmp_path: Path, faces: Path) -> None:
    models.null_model(tmp_path, "old")
    with pytest.raises(ModelError, match=r"every model in .* has a manifest"):
        run_init(tmp_path, "--faces", faces)


def test_a_family_that_is_there_is_neither_changed_nor_inherited_from(tmp_path: Path, faces: Path) -> None:
    models.write_manifest(bytes_model(tmp_path, "old"), extends=f"{plan.slug(tmp_path.name)}.family.toml")
    family = tmp_path / f"{plan.slug(tmp_path.name)}.family.toml"
    family.write_text("threshold = 0.9\n[input]\nsize = [8, 8]\nscale = 0.5\nzero_point = 3\n")
    before = family.read_bytes()
    bytes_model(tmp_path, "new", latency_ms=0.1)
    assert run_init(tmp_path, "--faces", faces).return_value == 0
    assert family.read_bytes() == before
    new = manifest.load(tmp_path / "new.toml").manifest
    assert (new.input.scale, new.input.zero_point, new.threshold) == (None, 0, 0.5)


def test_models_that_differ_in_their_suffix_alone_get_a_manifest_each(tmp_path: Path, faces: Path) -> None:
    models.onnx_model(tmp_path, "net", means="real", manifest=False)
    bytes_model(tmp_path, "net")
    assert run_init(tmp_path, "--faces", faces).return_value == 0
    found = {variant.name: variant for variant in select.variants([str(tmp_path)])}
    assert {name: variant.path.name for name, variant in found.items()} == {
        "net.onnx": "net.onnx",
        "net.null": "net.null",
    }
    assert found["net.onnx"].manifest.parameters == 3 + 6 + 2
    assert found["net.onnx"].manifest.output.index == 0  # two logits, of which the first one means fake


def test_when_nothing_can_be_read_nothing_is_written(tmp_path: Path, faces: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    assert run_init(tmp_path, "--faces", faces).return_value == 4
    assert [path.name for path in tmp_path.iterdir()] == ["bad.onnx"]


def test_folders_without_models(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model is in"):
        family.models_in(tmp_path)
    with pytest.raises(ModelError, match="is not a folder"):
        family.models_in(tmp_path / "nowhere")


def test_the_validation_split_is_tried_where_there_is_one(tmp_path: Path) -> None:
    folder = small_faces.make(tmp_path, 40, splits=("val", "test"))
    faces = foreign.validation_faces(folder, 300, 0)
    assert {face.split for face in faces.faces} == {"val"}
    assert len(faces.faces) == 20


def test_a_set_without_a_validation_split_is_refused(tmp_path: Path) -> None:
    folder = small_faces.make(tmp_path, 8, splits=("test",))
    with pytest.raises(FaceSetError, match="no 'val' split, only test"):
        foreign.validation_faces(folder, 300, 0)
