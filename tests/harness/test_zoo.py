"""`edgerig zoo`: recipes built from the command line, and what is refused before anything begins."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from edgerig import files
from edgerig.errors import ConfigError, DiskFull, ModelError
from harness import cli
from harness.models import build_progress, zoo
from harness.models.zoo import Outcome
from model_zoo import drawn, faceset, family
from model_zoo.building import folder as variants_folder
from model_zoo.building.build import Builder
from tests.support import faces as small_faces

TINY = """
family = "try"
note = "A trial."
backbone = "mobilenetv3-small"
[input]
size = [32, 32]
[[steps]]
do = "train"
epochs = 1
batch = 8
"""
TAUGHT = """
family = "try"
from = "tiny"
[[steps]]
do = "train"
epochs = 1
batch = 8
teacher = "tiny"
"""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder with two recipes, faces in three splits, and a cache of its own."""
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "tiny.toml").write_text(TINY)
    (tmp_path / "recipes" / "tiny-taught.toml").write_text(TAUGHT)
    small_faces.make(tmp_path / "faces", 48, splits=("train", "train", "val", "test"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGERIG_CACHE", str(tmp_path / "cache"))
    return tmp_path


OWN = ("--recipes", "recipes", "--faces", "faces")


def edgerig(*words: object) -> int:
    return cli.main([*map(str, words)])


def listed(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    capsys.readouterr()
    assert edgerig("zoo", "list", *words, "--json") == 0
    return {row["recipe"]: row for row in json.loads(capsys.readouterr().out)}


def test_a_family_is_trained_once(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(capsys, "try", *OWN)["tiny"]["built"] == ""
    assert edgerig("zoo", "train", "try", *OWN) == 0
    said = capsys.readouterr().err
    assert "tiny: training, step 1 of 2" in said
    assert "tiny-taught: built (validation AUC" in said
    rows = listed(capsys, "try", *OWN)
    assert rows["tiny-taught"]["steps"] == ["train 1 epoch, taught by tiny"]
    assert rows["tiny-taught"]["teachers"] == ["tiny"]
    assert {row["built"] for row in rows.values()} == {"in part"}  # nothing is exported
    assert edgerig("zoo", "train", "TRY", *OWN, "--json") == 0
    done = capsys.readouterr()
    assert "training" not in done.err
    assert [row["error"] for row in json.loads(done.out)["recipes"]] == ["", ""]
    assert edgerig("clean", "--zoo", "--json") == 0
    kept = json.loads(capsys.readouterr().out)
    assert sorted(entry["what"] for entry in kept) == ["tiny-taught: train", "tiny: train"]
    assert edgerig("clean", "--zoo", "--unused", "30") == 0
    assert "unused for 30 days" in capsys.readouterr().err
    assert edgerig("clean", "--zoo", "--yes") == 0
    assert listed(capsys, "try", *OWN)["tiny"]["built"] == ""


def test_cleaning_beside_a_build_tells_what_it_left(
    bench: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = bench / "cache" / "drawn" / "drawn-8.zip"
    drawn.write_set(files.make_folder(pack.parent) / pack.name, seed=1, counts={"train": 1, "val": 1})
    again = ("zoo", "train", "tiny", *OWN[:2], "--pairs", 8)
    assert edgerig(*again) == 0
    left: dict[str, str] = {}

    def net(build: Builder, name: str, only: object = None) -> Outcome:
        assert edgerig("clean", "--zoo", "--yes") == 0
        said = " ".join(capsys.readouterr().err.split())
        assert "0.0 MB removed." in said
        assert "MB were left, as a build at work needs them: the same command removes it when the build has" in said
        assert edgerig("clean", "--zoo", "--yes", "--json") == 0
        left.update({row["what"]: row["left"] for row in json.loads(capsys.readouterr().out)})
        return Outcome(name)

    monkeypatch.setattr(zoo, "net", net)
    assert edgerig(*again) == 0
    assert left == dict.fromkeys(["tiny: train", "faces drawn-8"], "a build at work needs it")
    assert edgerig("clean", "--zoo", "--yes") == 0
    assert not pack.exists()


def test_a_recipe_is_named_by_its_file_too(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(listed(capsys, "recipes/tiny.toml")) == ["tiny"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train", "tyni", *OWN), "no recipe 'tyni'. Did you mean 'tiny'?"),
        (("train", "tiny", "--recipes", "nowhere"), "no folder of recipes nowhere"),
        (("train", "tiny", "--recipes", "faces"), "no recipe is in faces"),
        (("train", "tiny", *OWN[:2], "--faces", "nowhere"), "no face set at nowhere"),
        (("export", "tiny", *OWN), "the recipe 'tiny' is not built with these faces and this seed: a step is missing"),
        (("train", "tiny", *OWN, "--seed", 2**32), "4294967296 is not in the range"),
        (("train", "recipes", *OWN), "recipes is no file of a recipe. --recipes DIR"),
        (("train", "recipes/tyni.toml", *OWN), "recipes/tyni.toml is no file of a recipe."),
        (("build", "tiny", *OWN, "--out", "faces/labels.csv"), "labels.csv cannot be written"),
        (("card", "mobilenetv3-smal-int8"), "Did you mean 'mobilenetv3-small-int8'?"),
        (("card", "faces"), "faces is a folder."),
    ],
    ids=str,
)
def test_what_is_refused(bench: Path, capsys: pytest.CaptureFixture[str], words: tuple[object, ...], said: str) -> None:
    assert edgerig("zoo", *words) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_recipe_that_needs_itself_is_in_the_list(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bench / "recipes" / "tiny.toml").write_text(TINY + 'teacher = "tiny"\n')
    assert listed(capsys, "tiny", *OWN)["tiny"]["built"] == ""


def test_a_folder_that_is_called_like_a_family(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bench / "try").mkdir()
    assert list(listed(capsys, "try", *OWN)) == ["tiny", "tiny-taught"]


def test_faces_that_nobody_can_train_on(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_faces.make(bench / "plain", 12)
    (bench / "plain" / "real").rename(bench / "plain" / "reals")
    small_faces.make(bench / "bare", 12)
    assert edgerig("zoo", "train", "tiny", *OWN[:2], "--faces", "bare") == 2
    assert "bare has no splits" in capsys.readouterr().err
    assert edgerig("zoo", "train", "tiny", *OWN[:2], "--faces", "plain") == 2
    capsys.readouterr()
    labels = bench / "faces" / "labels.csv"
    kept = [line for line in labels.read_text().splitlines() if not ("val" in line and "fake" in line)]
    labels.write_text("\n".join(kept) + "\n")
    assert edgerig("zoo", "train", "tiny", *OWN) == 2
    assert "the face set faces has only real faces in its val split" in " ".join(capsys.readouterr().err.split())


def test_broken_pictures_are_told_before_anything_is_trained(
    bench: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo, "net", lambda *_: pytest.fail("something was built"))
    part = [face.path for face in faceset.load(bench / "faces").split("val").faces][:2]
    for path, content in zip(part, (b"", b"no picture"), strict=True):
        (bench / "faces" / path).write_bytes(content)
    for command in (("zoo", "train", "tiny", *OWN), ("faces", "check", "faces")):
        assert edgerig(*command) == 2
        said = " ".join(capsys.readouterr().err.split())
        assert f"2 pictures ({part[0]}, {part[1]}) of faces cannot be read. Mend or remove what is broken" in said


def test_a_gpu_that_is_not_there(
    bench: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch  # noqa: PLC0415

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert edgerig("zoo", "train", "tiny", *OWN, "--device", "cuda") == 2
    assert "CUDA was asked for" in capsys.readouterr().err


def test_the_extra_that_is_missing(
    bench: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "timm" else found(name))
    assert edgerig("zoo", "train", "tiny", *OWN) == 2
    said = capsys.readouterr().err
    assert "timm is not installed" in said
    assert "pip install '.[zoo]'" in said


def test_a_card_of_a_shipped_variant(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert edgerig("zoo", "card", "mobilenetv3-small-int8") == 0
    card = capsys.readouterr().out
    assert card.startswith("# mobilenetv3-small-int8\n")
    assert "## What it must not be used for" in card
    assert "1,519,906" in card
    assert "knows nothing of people" in card


def test_a_card_of_a_folder_tells_that_it_does_not_know_the_recipe(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = {
        "name": "own",
        "file": "own.null",
        "input": {"size": [32, 32]},
        "training": {"data": "x", "recipe": "tiny"},
    }
    (files.make_folder(bench / "mine") / "own.null").write_text("{}")
    family.write_alone(bench / "mine", [table])
    assert edgerig("zoo", "card", "own", "--out", "mine") == 0
    card, said = capsys.readouterr()
    assert card.startswith("# own\n\nA classifier of face crops (real or fake), task deepfake-face.\n")
    assert "The recipe 'tiny', or one that it goes on from, is not known here" in said
    assert "--recipes DIR names a folder" in said
    assert edgerig("zoo", "card", "own", "--out", "mine", "--recipes", "recipes") == 0
    card, said = capsys.readouterr()
    assert "on the backbone mobilenetv3-small" in card
    assert "1. train 1 epoch\n" in card
    assert said == ""
    (bench / "recipes" / "tiny.toml").write_text('from = "gone"\n')
    assert edgerig("zoo", "card", "own", "--out", "mine", "--recipes", "recipes") == 0
    assert "is not known here" in capsys.readouterr().err
    assert edgerig("zoo", "card", "own", "--out", "mine", "--run", "latest", "--runs", "nowhere") == 2


def test_a_recipe_that_fails_is_told_and_the_others_go_on(
    bench: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def net(build: object, name: str, only: object = None) -> Outcome:
        tried.append(name)
        if name == "tiny":
            raise ModelError("the loss is no number.", "Try a smaller rate.")
        if name == "tiny-taught":
            raise ZeroDivisionError("a bug")
        return Outcome(name, "validation AUC 0.9")

    (bench / "recipes" / "zzz.toml").write_text(TINY)
    monkeypatch.setattr(zoo, "net", net)
    assert edgerig("zoo", "train", "try", *OWN) == 3
    said = capsys.readouterr().err
    assert tried == ["tiny", "tiny-taught", "zzz"]
    assert "tiny: failed: the loss is no number. Try a smaller rate." in said
    assert "tiny-taught: failed: internal error, ZeroDivisionError: a bug" in said
    assert "zzz: built (validation AUC 0.9)" in said


def test_ctrl_c_stops_all_though_a_library_hides_it(
    bench: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As torch.save does, whose file writer fails as it is left by a KeyboardInterrupt."""
    tried: list[str] = []

    def net(build: object, name: str, only: object = None) -> Outcome:
        tried.append(name)
        try:
            raise KeyboardInterrupt
        finally:
            raise RuntimeError("unexpected pos 486336 vs 486224")

    monkeypatch.setattr(zoo, "net", net)
    assert edgerig("zoo", "train", "try", *OWN) == 130
    assert tried == ["tiny"]
    assert "the same command goes on from here" in " ".join(capsys.readouterr().err.split())


def test_nothing_is_made_for_a_recipe_that_is_refused(bench: Path) -> None:
    assert edgerig("zoo", "build", "tyni", *OWN) == 2
    assert not (bench / "zoo").exists()


def test_names_in_the_list_are_whole(
    bench: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert edgerig("zoo", "list") == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert "  efficientnet-lite0-defakeq32-haq-litert" in lines
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("backbone", "size", "said"),
    [
        ("squeezenet", 8, "squeezenet cannot be used with pictures of 8 x 8: Given input size"),
        ("timm:inception_v4", 96, "InceptionV4 has none of classifier, fc, head"),
        ("svm", 16, "svm answers nothing before it is fitted"),
    ],
)
def test_a_net_that_cannot_be_is_refused_before_anything_is_trained(
    bench: Path, capsys: pytest.CaptureFixture[str], backbone: str, size: int, said: str
) -> None:
    text = f'backbone = "{backbone}"\n[input]\nsize = [{size}, {size}]\n'
    (bench / "recipes" / "never.toml").write_text(text)
    assert edgerig("zoo", "build", "tiny", "never", *OWN) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "the recipe 'never': " in told
    assert said in told
    assert not (bench / "cache" / "zoo").exists()


def test_a_step_that_cannot_be_is_refused_before_faces_are_drawn(
    bench: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawn, "write_set", lambda *_, **__: pytest.fail("faces were drawn"))
    pruned = 'from = "shufflenetv2"\n[[steps]]\ndo = "prune"\namount = 0.2\n'
    (bench / "recipes" / "pruned.toml").write_text(pruned)
    assert edgerig("zoo", "build", "pruned", *OWN[:2]) == 2
    assert "shufflenetv2 cannot be pruned" in " ".join(capsys.readouterr().err.split())


def test_what_a_net_is_too_poor_for() -> None:
    assert "too little" in zoo._figures({"val_auc": 0.7})
    assert "too little" not in zoo._figures({"val_auc": 0.9})
    assert zoo._figures({}) == ""


def test_a_full_disk_ends_all_and_says_what_to_do(
    bench: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def net(build: object, name: str, only: object = None) -> Outcome:
        raise DiskFull("the disk is full: a could not be written.", "edgerig resume")

    monkeypatch.setattr(zoo, "net", net)
    assert edgerig("zoo", "train", "try", *OWN) == 4
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("the disk is full") == 1
    assert "the same command goes on" in said


def test_what_is_no_recipe_may_lie_beside_one_that_is_named(bench: Path) -> None:
    (bench / "tiny.toml").write_text(TINY)
    (bench / "other.toml").write_text('from = "tiny"\n')
    (bench / "edgerig.toml").write_text("[faces]\n")
    known = zoo.shelf([], ["tiny.toml"])
    assert known["other"].origin == "tiny"
    assert "edgerig" not in known
    (bench / "other.toml").write_text('from = "tiny"\nexport = []\n')
    with pytest.raises(ConfigError, match="unknown key 'export'"):
        zoo.shelf([], ["tiny.toml"])


def test_a_format_that_fails_does_not_keep_the_others_back(bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Shop:
        builder = SimpleNamespace(shelf={"a": SimpleNamespace(variants={"a": "onnx", "a-tflite": "tflite"})})

        def missing(self, name: str) -> list[str]:
            return []

        def of(self, name: str, variant: str) -> Any:
            if variant == "a-tflite":
                raise ConfigError("LiteRT runs depthwise convolutions with 8 bits alone.", "Leave 'pin' at true.")
            return SimpleNamespace(name=variant, table={"training": {}})

    placed: list[str] = []
    monkeypatch.setattr(variants_folder, "place", lambda made, folder: placed.extend(one.name for one in made))
    found = zoo.exported(cast("Any", Shop()), "a", bench)
    assert placed == ["a"]
    assert found.variants == ("a",)
    assert found.error == "LiteRT runs depthwise convolutions with 8 bits alone."


def test_faces_are_drawn_once_where_none_are_given(
    bench: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    write = drawn.write_set

    def few(path: Path, **wanted: Any) -> None:
        asked.append(wanted)
        write(path, seed=wanted["seed"], counts=dict.fromkeys(wanted["counts"], 1), progress=wanted["progress"])

    monkeypatch.setattr(drawn, "write_set", few)
    progress = build_progress.Lines(Console(stderr=True))
    path = zoo.draw(5000, progress)
    assert zoo.draw(5000, progress) == path
    assert [(wanted["seed"], wanted["counts"]) for wanted in asked] == [(20, {"train": 5000, "val": 250})]
    assert "drawing 5,000 pairs" in capsys.readouterr().err
    faces = zoo.training_faces(path)
    assert (len(faces.train.faces), len(faces.val.faces)) == (2, 2)
    assert faces.synthetic
    assert "no photograph" in faces.note
    assert sorted(entry.suffix for entry in path.parent.iterdir()) == [".toml", ".zip"]


def test_groups_in_two_splits_are_warned_of(tmp_path: Path) -> None:
    rows = [
        f"{label}/{n}.jpg,{label},{label},g{n},{split}" for label in ("real", "fake") for n, split in enumerate(SPLIT)
    ]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label,category,group,split", *rows]) + "\n")
    heard: list[str] = []
    zoo.training_faces(tmp_path, heard.append)
    assert heard == []
    (tmp_path / "labels.csv").write_text((tmp_path / "labels.csv").read_text().replace("g2,test", "g0,test"))
    zoo.training_faces(tmp_path, heard.append)
    assert len(heard) == 1
    assert heard[0].startswith("Note: groups of ")
    assert "'g0'" in heard[0]


SPLIT = ("train", "val", "test")
