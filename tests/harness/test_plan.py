"""The plan: every cell that makes sense, none that does not, and files that are the ones that were planned."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerig import digest
from edgerig.errors import ConfigError, FaceSetError, ModelError, UserError
from harness import config, runtimes
from harness.config import Config, RunTable, Workspace
from harness.planning import method, plan
from harness.planning.plan import Plan
from harness.runtimes import Spec, provider_of, runtime_of
from model_zoo import faceset
from tests.support import faces as small_faces
from tests.support import models


@pytest.fixture
def folder(tmp_path: Path, faces: Path) -> Path:
    """Return a folder of two models of two formats."""
    models.onnx_model(tmp_path / "models", "net")
    models.null_model(tmp_path / "models", "script", keys={"name": 'it\'s a "script" /<b>'})
    return tmp_path


def made(folder: Path, faces: Path, **keys: Any) -> Plan:
    table = RunTable.model_validate({"variants": (str(folder / "models"),), "faces": str(faces), **keys})
    return plan.make(Workspace(Config(), None), table, packs=folder / "packs", argv=["edgerig", "run", "a b"])


def keys(of: Plan) -> list[str]:
    return [str(cell.key) for cell in of.cells]


def test_each_variant_meets_the_runtimes_that_read_it(folder: Path, faces: Path) -> None:
    assert keys(made(folder, faces, threads=(1, 2))) == [
        "net on x86, onnxruntime cpu, 1 thread",
        "net on x86, onnxruntime cpu, 2 threads",
        'it\'s a "script" /<b> on x86, null cpu, 1 thread',
        'it\'s a "script" /<b> on x86, null cpu, 2 threads',
    ]


def test_what_is_said_twice_is_measured_once(folder: Path, faces: Path) -> None:
    assert len(made(folder, faces, threads=(1, 1), providers=("cpu", "cpu")).cells) == 2


def test_a_target_that_is_named_twice_is_measured_once(folder: Path, faces: Path) -> None:
    table = RunTable(variants=(str(folder / "models"),), faces=str(faces), targets=("x86", "x86"))
    twice = plan.make(Workspace(Config(), None), table, packs=folder / "packs")
    assert [target.name for target in twice.targets] == ["x86"]
    assert len(twice.cells) == 2


def test_names_of_cells_are_safe_and_their_own(folder: Path, faces: Path) -> None:
    ids = [cell.id for cell in made(folder, faces, threads=(1, 2), providers=("cpu", "cuda")).cells]
    assert len(set(ids)) == 8
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,120}", cell_id) for cell_id in ids)


def test_thread_counts_share_an_accuracy_pass_and_providers_do_not(folder: Path, faces: Path) -> None:
    cells = made(folder, faces, threads=(1, 2), providers=("cpu", "cuda")).cells
    assert len({cell.scores_id for cell in cells}) == 4


def test_an_asked_runtime_leaves_out_what_it_does_not_read(folder: Path, faces: Path) -> None:
    assert keys(made(folder, faces, runtimes=("null",))) == ['it\'s a "script" /<b> on x86, null cpu, 1 thread']


def test_a_targets_own_runtimes_hold_where_the_run_says_nothing(folder: Path, faces: Path) -> None:
    table = RunTable(variants=(str(folder / "models"),), faces=str(faces), targets=("bench",))
    workspace = Workspace(Config(targets={"bench": {"runtimes": ["onnxruntime"]}}), None)
    assert keys(plan.make(workspace, table, packs=folder / "packs")) == ["net on bench, onnxruntime cpu, 1 thread"]


@pytest.mark.parametrize(
    ("model_format", "asked", "had", "chosen"),
    [
        ("onnx", (), (), ["onnxruntime"]),  # openvino would double every cell
        ("onnx", ("openvino", "tflite"), (), ["openvino"]),
        ("onnx", ("onnxruntime==1.2", "onnxruntime==1.3"), (), ["onnxruntime==1.2", "onnxruntime==1.3"]),
        ("onnx", (), ("tflite", "openvino"), ["openvino"]),  # the only one there that reads it
        ("onnx", (), ("onnxruntime", "openvino"), ["onnxruntime"]),
        ("openvino", (), ("onnxruntime",), []),
        ("tflite", (), (), ["tflite"]),
        ("openvino", (), (), ["openvino"]),
    ],
)
def test_runtimes_of_a_format(
    model_format: str, asked: tuple[str, ...], had: tuple[str, ...], chosen: list[str]
) -> None:
    assert runtimes.chosen(model_format, asked, had) == chosen


@pytest.mark.parametrize(
    ("keys", "error", "message"),
    [
        ({"runtimes": ("onxruntime",)}, ConfigError, "there is no runtime 'onxruntime'"),
        ({"targets": ("x68",)}, ConfigError, "there is no target 'x68'"),
        ({"variants": ("nobody",)}, ConfigError, "there is no variant 'nobody'"),
        ({"faces": "nowhere"}, FaceSetError, "there is no face set at nowhere"),
    ],
    ids=["runtime", "target", "variant", "faces"],
)
def test_what_is_not_there_is_named(
    folder: Path, faces: Path, keys: dict[str, Any], error: type[UserError], message: str
) -> None:
    table = {"variants": (str(folder / "models"),), "faces": str(faces), **keys}
    with pytest.raises(error, match=message):
        plan.make(Workspace(Config(), None), RunTable.model_validate(table), packs=folder / "packs")


def test_a_targets_misspelt_runtime_is_named_too(folder: Path, faces: Path) -> None:
    table = RunTable(variants=(str(folder / "models"),), faces=str(faces), targets=("bench",))
    workspace = Workspace(Config(targets={"bench": {"runtimes": ["onnxruntme"]}}), None)
    with pytest.raises(ConfigError, match="there is no runtime 'onnxruntme'") as caught:
        plan.make(workspace, table, packs=folder / "packs")
    assert caught.value.hint == "Did you mean 'onnxruntime'?"


def test_nothing_to_measure_is_refused(folder: Path, faces: Path) -> None:
    (folder / "models" / "script.toml").unlink()
    with pytest.raises(ConfigError, match="there is nothing to measure"):
        made(folder, faces, runtimes=("null",))


def test_only_the_test_split_is_packed(folder: Path, tmp_path: Path) -> None:
    split = small_faces.make(tmp_path / "split", 24, splits=("train", "val", "test"))
    made_plan = made(folder, split)
    assert {face.split for face in made_plan.faces.images} == {"test"}
    assert (made_plan.faces.info.split, made_plan.faces.info.images) == ("test", 8)
    assert made_plan.warnings == ()


def test_a_set_without_splits_is_warned_of(folder: Path, faces: Path) -> None:
    made_plan = made(folder, faces)
    assert made_plan.faces.info.split == "all"
    assert made_plan.warnings == (
        "small has no splits: all of it counts as test, so it must not have been trained on.",
    )


def test_one_class_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.png").write_bytes(small_faces.encoded(small_faces.picture("real", 0)))
    with pytest.raises(FaceSetError, match="has only real faces"):
        made(folder, tmp_path)


def test_the_asked_width_is_the_methods(folder: Path, faces: Path) -> None:
    assert made(folder, faces).method.half_width == method.HALF_WIDTH
    assert made(folder, faces, half_width=0.1).method.half_width == 0.1


def test_a_sample_is_of_the_seed_and_the_pack_is_whole(folder: Path, faces: Path) -> None:
    first, again, other = (made(folder, faces, sample=10, seed=seed).faces for seed in (1, 1, 2))
    assert first.images == again.images != other.images
    assert first.info.images == 10
    assert first.info.sha256 == other.info.sha256  # pushed once, whatever the sample


def test_a_plan_survives_its_journal(folder: Path, faces: Path) -> None:
    made_plan = made(folder, faces, threads=(1, 2), tag="night")
    assert Plan.model_validate_json(made_plan.model_dump_json()) == made_plan
    assert made_plan.command == "edgerig run 'a b'"


def test_what_is_pushed_is_counted_once(folder: Path, faces: Path) -> None:
    made_plan = made(folder, faces, threads=(1, 2))
    sizes = sum(variant.info.bytes for variant in made_plan.variants)
    assert made_plan.push_bytes("x86") == sizes + made_plan.faces.bytes


def test_seconds_grow_with_the_cells(folder: Path, faces: Path) -> None:
    one, two = made(folder, faces), made(folder, faces, threads=(1, 2))
    assert 0 < one.seconds("x86")[0] <= one.seconds("x86")[1]
    assert one.seconds("x86")[0] < two.seconds("x86")[0]
    quick = made(folder, faces, setting="quick").seconds("x86")
    assert quick[0] == quick[1] < one.seconds("x86")[0]


@pytest.mark.parametrize("change", ["replaced", "gone"])
def test_a_model_that_changed_since_is_refused(folder: Path, faces: Path, change: str) -> None:
    made_plan = made(folder, faces)
    plan.recheck(made_plan)
    path = folder / "models" / "net.onnx"
    path.unlink() if change == "gone" else path.write_bytes(b"another")
    with pytest.raises(ModelError, match=r"net\.onnx of variant 'net' is gone or has changed"):
        plan.recheck(made_plan)


def test_faces_that_changed_since_are_refused(folder: Path, faces: Path) -> None:
    made_plan = made(folder, faces)
    made_plan.faces.pack.unlink()
    with pytest.raises(FaceSetError, match=r"the packed faces .* are gone or have changed"):
        plan.recheck(made_plan)


def test_files_are_found_from_another_folder(folder: Path, faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = faceset.pack(faceset.load(faces), folder)
    packed.path.rename(folder / "faces.zip")
    monkeypatch.chdir(folder)
    made_plan = made(Path(), Path("faces.zip"))
    monkeypatch.chdir("/")
    plan.recheck(made_plan)
    assert digest.of_file(made_plan.faces.pack) == packed.sha256


@given(st.text(max_size=80))
def test_a_slug_is_safe_everywhere(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9.-]{1,40}", plan.slug(text))
    assert not plan.slug(text).startswith(".")


def test_the_configurations_names_are_those_of_the_plan(folder: Path, faces: Path, tmp_path: Path) -> None:
    (tmp_path / "edgerig.toml").write_text(f"[runs.night]\nvariants = ['models']\nfaces = '{faces}'\nthreads = [2]\n")
    workspace = config.load(tmp_path / "edgerig.toml")
    made_plan = plan.make(workspace, workspace.run_table("night"), name="night", packs=folder / "packs")
    assert re.fullmatch(r"\d{8}-\d{6}-night-[0-9a-f]{4}", made_plan.id)
    assert {cell.key.threads for cell in made_plan.cells} == {2}


def test_a_runtime_may_be_asked_for_in_a_version_and_a_provider_with_options() -> None:
    assert runtime_of("onnxruntime==1.23.2") == Spec("onnxruntime", "1.23.2")
    assert runtime_of("tflite") == Spec("tflite", "")
    assert provider_of("cpu?a=1&b=") == ("cpu", {"a": "1", "b": ""})
    assert provider_of("cpu") == ("cpu", {})
    with pytest.raises(ConfigError, match=r"cpu\?a"):
        provider_of("cpu?a")


def test_an_emulator_runs_few_frames_on_few_faces(folder: Path, faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(method, "EMULATED_FACES", 4)
    tables: dict[str, Any] = {"slow": {"extends": "x86", "emulated": True}}
    table = RunTable(variants=(str(folder / "models"),), faces=str(faces), targets=("x86", "slow"))
    planned = plan.make(Workspace(Config(targets=tables), None), table, packs=folder / "packs")
    assert planned.method_on("slow").model_dump(include={"setting", "rounds_min", "round_frames"}) == {
        "setting": "emulated",
        "rounds_min": 1,
        "round_frames": 8,
    }
    assert planned.method_on("x86") == planned.method
    few, everything = planned.images_on("slow"), planned.images_on("x86")
    assert {face.label for face in few} == {"real", "fake"}
    assert len(few) == 4 < len(everything)
    assert planned.seconds("slow")[1] < planned.seconds("x86")[1]  # and each of its processes takes longer
    assert planned.round_seconds("slow") > 0.6
    asked = plan.make(
        Workspace(Config(targets=tables), None), table.model_copy(update={"sample": 6}), packs=folder / "packs"
    )
    assert len(asked.images_on("slow")) == 6
