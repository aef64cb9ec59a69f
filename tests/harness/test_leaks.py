"""Face sets that give their labels away, and one that does not."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgerig.errors import FaceSetError
from harness.models import leaks
from harness.models.leaks import Checked
from model_zoo import faceset, traits
from model_zoo.traits import NAMES
from tests.harness.command import Workplace

Picture = NDArray[np.uint8]
Row = tuple[str, str, str, str]  # path, label, group, split
COUNT = 60


def picture(seed: int, side: int = 96) -> Picture:
    """Return a smooth picture with some noise."""
    draw = np.random.default_rng(seed)
    smooth = cv2.resize(draw.integers(0, 256, (6, 6, 3), np.uint8), (side, side), interpolation=cv2.INTER_CUBIC)
    noisy: Picture = np.clip(smooth + draw.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)
    return noisy


def written(folder: Path, rows: Sequence[Row], content: Callable[[int, Row], bytes]) -> Path:
    folder.mkdir()
    for number, row in enumerate(rows):
        (folder / row[0]).write_bytes(content(number, row))
    with (folder / "labels.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", "label", "group", "split"))
        writer.writerows(rows)
    return folder


def jpeg(image: Picture, quality: int = 90) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def blurred(image: Picture) -> Picture:
    return cv2.blur(image, (3, 3)).astype(np.uint8)


def png(image: Picture) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def even(count: int = COUNT) -> list[Row]:
    """Return rows of a set whose classes, groups and splits are in order."""
    splits = ("train", "val", "test")
    return [
        (f"{number}.img", ("real", "fake")[number % 2], f"g{number // 2}", splits[number // 2 % 3])
        for number in range(count)
    ]


def checked(folder: Path) -> Checked:
    return leaks.check(faceset.load(folder))


def kinds(found: Checked) -> list[str]:
    return [warning.kind for warning in found.warnings]


def plain(number: int, _: Row) -> bytes:
    return jpeg(picture(number))


def test_a_set_that_gives_nothing_away(tmp_path: Path) -> None:
    found = checked(written(tmp_path / "set", even(), plain))
    assert kinds(found) == []
    assert {trait.name for trait in found.traits} == {*NAMES, "all of them"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("PNG", lambda number, row: (png if row[1] == "fake" else jpeg)(picture(number))),
        ("JPEG quantization", lambda number, row: jpeg(picture(number), 95 if row[1] == "fake" else 70)),
        ("width", lambda number, row: jpeg(picture(number, 96 if row[1] == "fake" else 112))),
        ("brightness", lambda number, row: jpeg(picture(number) // (2 if row[1] == "fake" else 1))),
        (
            "sharpness",
            lambda number, row: jpeg(blurred(picture(number)) if row[1] == "fake" else picture(number)),
        ),
    ],
)
def test_a_trait_that_tells_the_classes_apart(tmp_path: Path, name: str, content: Any) -> None:
    found = checked(written(tmp_path / "set", even(), content))
    told = {trait.name for trait in found.traits if trait.tells}
    assert name in told
    assert any(warning.sentence.startswith(f"{name} alone tells") for warning in found.warnings)


def test_traits_that_tell_only_together(tmp_path: Path) -> None:
    def content(number: int, row: Row) -> bytes:
        """Let brightness and contrast go against each other, and both be a little higher in fakes."""
        chance, sign = np.random.default_rng(number).uniform(-1, 1), 1 if row[1] == "fake" else -1
        image = picture(number).astype(float)
        contrast, brightness = 30 - 12 * chance + 2 * sign, 125 + 40 * chance + 5 * sign
        return jpeg(np.clip((image - image.mean()) / image.std() * contrast + brightness, 0, 255).astype(np.uint8))

    found = checked(written(tmp_path / "set", even(120), content))
    together = next(trait for trait in found.traits if trait.name == "all of them")
    assert together.tells
    assert together.auc > max(trait.auc for trait in found.traits if trait.name in ("brightness", "contrast"))


@pytest.mark.parametrize("fakes", [1, 2])
def test_a_label_with_too_few_faces_to_know_how_they_spread(tmp_path: Path, fakes: int) -> None:
    rows = [(path, "fake" if n < fakes else "real", path, "") for n, (path, *_) in enumerate(even(24))]
    found = checked(written(tmp_path / "set", rows, plain))
    assert {trait.name for trait in found.traits} == set(NAMES)


def test_a_group_in_two_splits(tmp_path: Path) -> None:
    rows = [(path, label, "g0" if path == "59.img" else group, split) for path, label, group, split in even()]
    found = checked(written(tmp_path / "set", rows, plain))
    assert kinds(found) == ["group"]
    assert "'g0'" in found.warnings[0].sentence


def copied(sources: dict[int, int], change: Callable[[Picture], Picture] = lambda image: image) -> Any:
    """Return content where pictures are, changed or not, those of others."""

    def content(number: int, _: Row) -> bytes:
        source = sources.get(number, number)
        return png(picture(source) if source == number else change(picture(source)))

    return content


@pytest.mark.parametrize(
    ("sources", "kind", "said"),
    [
        ({1: 0}, "contradiction", "both real and fake: 1 pair, e.g. 0.img and 1.img"),
        ({8: 6}, "duplicate", "in two splits: 1 pair, e.g. 6.img and 8.img"),
        ({6: 0}, "duplicate", "more than once, and counts as often: 1 pair"),
    ],
)
def test_duplicates(tmp_path: Path, sources: dict[int, int], kind: str, said: str) -> None:
    found = checked(written(tmp_path / "set", even(), copied(sources)))
    assert kinds(found) == [kind]
    assert said in found.warnings[0].sentence


def test_a_picture_that_was_saved_anew_is_nearly_the_same(tmp_path: Path) -> None:
    def again(image: Picture) -> Picture:
        decoded = cv2.imdecode(np.frombuffer(jpeg(image, 60), np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        return decoded.astype(np.uint8)

    found = checked(written(tmp_path / "set", even(), copied({8: 6}, again)))
    assert kinds(found) == ["duplicate"]
    assert set(found.warnings[0].faces) == {"6.img", "8.img"}


def test_alike_is_counted_in_bits() -> None:
    assert list(traits.alike([0b0, 0b11, 0b111, 1 << 63], 2)) == [(0, 1), (0, 3), (1, 2)]


def test_a_set_of_pixels_cannot_be_checked(tmp_path: Path) -> None:
    rows = [("a.npy", "real", "", ""), ("b.npy", "fake", "", "")]
    with pytest.raises(FaceSetError, match=r"a\.npy holds pixels"):
        checked(written(tmp_path / "set", rows, plain))


def test_the_command(workplace: Workplace) -> None:
    written(workplace.folder / "good", even(), plain)
    written(workplace.folder / "bad", even(), lambda n, row: (png if row[1] == "fake" else jpeg)(picture(n)))
    assert "Nothing gives the labels away" in workplace.run("faces", "check", "good", "--strict").stdout
    assert "PNG alone tells" in workplace.run("faces", "check", "bad", "--strict", code=1).stdout
    found = workplace.json("faces", "check", "bad", "--sample", "40")
    assert found["faces"] == 40
    assert {"trait"} == {warning["kind"] for warning in found["warnings"]}
    (workplace.folder / "good" / "0.img").unlink()
    assert (
        "0.img of good cannot be read: No such file or directory."
        in workplace.run("faces", "check", "good", code=2).stderr
    )
