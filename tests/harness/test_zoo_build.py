"""A recipe from random weights to a measured file; builds that are killed; test faces that nobody looks at."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgerig import digest
from harness import cli
from model_zoo import faceset, manifest
from tests.harness.command import Workplace
from tests.support import faces as small_faces

WHOLE = """
family = "try"
note = "All steps of a small one."
backbone = "meso4"
[input]
size = [64, 64]
[[steps]]
do = "train"
epochs = 1
batch = 8
[[steps]]
do = "prune"
amount = 0.2
of = "channels"
rounds = 1
calibration = 8
[[steps]]
do = "quantize"
calibration = 8
auc_drop = 1.0
flips = 1.0
"""
LONG = """
backbone = "meso4"
[input]
size = [64, 64]
[[steps]]
do = "train"
epochs = 4
batch = 8
average = 0.9
"""
SPLITS = ("train", "train", "val", "test")
OWN = ("--recipes", "recipes", "--faces", "faces")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with recipes and faces in three splits."""
    folder = tmp_path_factory.mktemp("zoo")
    (folder / "recipes").mkdir()
    (folder / "recipes" / "whole.toml").write_text(WHOLE)
    (folder / "recipes" / "long.toml").write_text(LONG)
    small_faces.make(folder / "faces", 48, splits=SPLITS)
    return folder


@pytest.fixture(autouse=True)
def _here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("EDGERIG_CACHE", str(place / "cache"))


def edgerig(*words: object) -> int:
    return cli.main([*map(str, words)])


@pytest.fixture(scope="module")
def built(place: Path) -> Path:
    """Build the whole recipe, once, and return the folder of its variant."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("EDGERIG_CACHE", str(place / "cache"))
        assert edgerig("zoo", "build", "whole", *OWN) == 0
    return place / "zoo"


def test_a_recipe_becomes_a_file_with_a_complete_manifest(built: Path) -> None:
    variant = manifest.load(built / "whole.toml")
    said = variant.manifest
    assert "structured pruning (taylor, global, one shot)" in said.techniques
    assert any("int8" in technique for technique in said.techniques)
    assert said.parameters is not None
    assert 0 < said.parameters < 27_977  # it is pruned
    assert said.macs
    assert "All steps of a small one." in said.note
    assert said.training is not None
    assert said.training.data == "faces, 24 training faces"
    assert said.training.command == "edgerig zoo build whole --recipes DIR --faces DIR --seed 0"
    assert said.training.recipe == "whole"
    assert "val_auc" not in said.training.figures  # of the net before it was pruned


def test_a_second_build_builds_nothing(built: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in (place / "cache" / "zoo").rglob("*.pt")}
    file = digest.of_file(built / "whole.onnx")
    assert len(before) == 2
    assert edgerig("zoo", "build", "whole", *OWN, "--json") == 0
    done = capsys.readouterr()
    assert json.loads(done.out)["recipes"][0]["variants"] == ["whole"]
    assert "training" not in done.err
    assert "export" not in done.err
    assert {path: path.stat().st_mtime_ns for path in (place / "cache" / "zoo").rglob("*.pt")} == before
    assert digest.of_file(built / "whole.onnx") == file


def test_a_recipe_that_fails_leaves_no_file_of_an_earlier_build(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "variants"
    shutil.copytree(built, out)
    (out / "whole.notes").write_text("mine")
    stranger = (out / "whole.toml").read_text().replace('name = "whole"', 'name = "older"')
    stranger = stranger.replace('recipe = "whole"', 'recipe = "older"').replace("seed = 0\n", "seed = 3\n")
    (out / "older.toml").write_text(stranger.replace("whole.onnx", "older.onnx"))
    shutil.copy(out / "whole.onnx", out / "older.onnx")
    (tmp_path / "whole.toml").write_text(WHOLE.replace("flips = 1.0", "flips = 0.0").replace("= 1.0", "= 0.0"))
    strict = ("zoo", "build", "whole", "--recipes", tmp_path, "--faces", "faces", "--out", out, "--json")
    assert edgerig(*strict) == 3
    done = capsys.readouterr()
    said, printed = " ".join(done.err.split()), json.loads(done.out)
    assert f"whole: whole of an earlier build was moved to {out}/earlier/, as it was not built now" in said
    assert f"Note: {out}/ also holds older (faces, 24 training faces, seed 3), built with other faces" in said
    assert printed["recipes"][0]["set_aside"] == ["whole"]
    assert printed["beside"] == [{"variant": "older", "data": "faces, 24 training faces", "seed": 3}]
    assert sorted(path.name for path in (out / "earlier").iterdir()) == ["whole.onnx", "whole.toml"]
    assert sorted(path.name for path in out.iterdir()) == ["earlier", "older.onnx", "older.toml", "whole.notes"]


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"half of it")])
def test_a_damaged_file_of_the_cache_is_told_and_not_handed_out(
    built: Path, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], object]
) -> None:
    [kept] = (place / "cache" / "zoo").glob("*/whole.onnx")
    before = kept.read_bytes()
    damage(kept)
    try:
        assert edgerig("zoo", "build", "whole", *OWN, "--out", tmp_path) == 3
    finally:
        kept.write_bytes(before)
    said = " ".join(capsys.readouterr().err.split())
    assert "what is kept of 'whole: export' cannot be read: it is damaged, or from other versions" in said
    assert f"Remove {kept.parent}" in said
    assert not (tmp_path / "whole.onnx").exists()


def test_what_is_built_is_measured(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert edgerig("run", "--variants", built, "--faces", "faces", "--quick", "--json") == 0
    run = json.loads(capsys.readouterr().out)
    assert [cell["outcome"] for cell in run["cells"]] == ["ok"]
    assert edgerig("zoo", "card", "whole", "--recipes", "recipes", "--run", "latest") == 0
    card = capsys.readouterr().out
    assert "2. prune 20 % of channels, at once\n3. int8\n" in card
    assert f"Run {run['id']}, on faces (test split, 12 faces)." in card
    assert " ms | under-sampled | " in card  # a quick run's times are no more than that, on a card neither


def test_test_faces_are_never_touched(built: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = small_faces.make(place / "elsewhere" / "faces", 48, splits=SPLITS)
    for number, face in enumerate(faceset.load(other).split("test").faces):
        (other / face.path).unlink() if number % 2 else (other / face.path).write_bytes(b"no picture")
    monkeypatch.setenv("EDGERIG_CACHE", str(place / "elsewhere" / "cache"))
    assert edgerig("zoo", "build", "whole", *OWN[:2], "--faces", other, "--out", place / "elsewhere" / "zoo") == 0
    assert _kept(place / "elsewhere") == _kept(place)
    for name in ("whole.onnx", "whole.toml"):
        assert (place / "elsewhere" / "zoo" / name).read_bytes() == (built / name).read_bytes()


def _kept(folder: Path) -> set[str]:
    """Return the names of all outcomes of the whole recipe."""
    found = (folder / "cache" / "zoo").glob("*/facts.json")
    return {path.parent.name for path in found if json.loads(path.read_text())["what"].startswith("whole")}


def test_a_build_that_is_stopped_goes_on(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Workplace(place)
    bench.environment["EDGERIG_CACHE"] = str(tmp_path)
    process = bench.start("zoo", "train", "long", *OWN)
    until = time.monotonic() + 60
    while not list(tmp_path.glob("zoo/*.work/*.pt")):
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    code, said = bench.stopped(process, signal.SIGTERM)
    assert code == 143
    assert "the same command goes on from here" in said
    epochs = _counted(monkeypatch)
    monkeypatch.setenv("EDGERIG_CACHE", str(tmp_path))
    assert edgerig("zoo", "train", "long", *OWN) == 0
    assert 0 < len(epochs) < 4
    assert not list(tmp_path.glob("zoo/*.work"))
    monkeypatch.setenv("EDGERIG_CACHE", str(place / "cache"))
    assert edgerig("zoo", "train", "long", *OWN) == 0
    assert _weights(tmp_path) == _weights(place / "cache")


def test_a_picture_that_goes_away_stops_a_build_that_goes_on_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from model_zoo.training import batches  # noqa: PLC0415

    faces = small_faces.make(tmp_path / "faces", 48, splits=SPLITS)
    monkeypatch.setenv("EDGERIG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(batches.Album.__init__, "__defaults__", (0,))  # as if there were more than the memory holds
    broken = faces / faceset.load(faces).split("train").faces[3].path
    content, again = broken.read_bytes(), ("zoo", "train", "long", *OWN[:2], "--faces", faces)
    epochs = _counted(monkeypatch, lambda: broken.write_bytes(b"no picture" if epochs == [0, 1, 2] else content))
    assert edgerig(*again) == 3
    said = " ".join(capsys.readouterr().err.split())
    name = broken.relative_to(faces)
    assert f"long: failed: the picture {name} of {faces} cannot be read: it is no image that OpenCV can read." in said
    assert f"`edgerig faces check {faces}` names all that cannot. When the picture is there again as it was" in said
    broken.write_bytes(content)
    assert edgerig(*again) == 0
    assert epochs == [0, 1, 2, 2, 3]


def _counted(monkeypatch: pytest.MonkeyPatch, begun: Callable[[], object] = bool) -> list[int]:
    """Return the numbers of the epochs that are trained from now on; `begun` is called as each begins."""
    from model_zoo.training import fit  # noqa: PLC0415

    epochs: list[int] = []
    train = fit._Run._epoch

    def counted(self: fit._Run, number: int) -> None:
        epochs.append(number)
        begun()
        train(self, number)

    monkeypatch.setattr(fit._Run, "_epoch", counted)
    return epochs


def _weights(cache: Path) -> str:
    """Return a digest of the weights of the long recipe's net."""
    from model_zoo.building.store import Store  # noqa: PLC0415

    shelved = Store(cache / "zoo")
    name = next(entry.name for entry in shelved.entries() if entry.what == "long: train")
    weights = shelved.get(name).model.state_dict()
    return digest.of_bytes(b"".join(weights[key].numpy().tobytes() for key in sorted(weights)))
