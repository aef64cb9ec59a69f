"""Face sets: read from folders, labels.csv and packs; every bad one is named in a sentence."""

from __future__ import annotations

import shutil
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerig.errors import ConfigError, FaceSetError, OutputError
from model_zoo import faceset
from model_zoo.faceset import Face, FaceSet
from tests.support import faces as small_faces
from tests.support.faces import write_labels


def refused(path: Path) -> str:
    with pytest.raises(FaceSetError) as caught:
        faceset.load(path)
    return caught.value.message


# -- folders and labels.csv


def test_two_folders_say_all(faces: Path) -> None:
    loaded = faceset.load(faces)
    assert (loaded.of("real"), loaded.of("fake")) == (20, 20)
    assert loaded.faces[0] == Face("real/000.png", "real", "real", "real/000.png", "")
    assert loaded.name == "small"


def test_what_is_no_picture_by_its_name_is_left_out(tmp_path: Path) -> None:
    small_faces.make(tmp_path, 4)
    (tmp_path / "real" / "Thumbs.db").write_bytes(b"")
    (tmp_path / "real" / "notes.txt").write_bytes(b"")
    assert len(faceset.load(tmp_path).faces) == 4


def test_labels_csv_wins_and_says_more(tmp_path: Path) -> None:
    small_faces.make(tmp_path, 8, splits=("val", "test"))
    loaded = faceset.load(tmp_path)
    assert Counter(face.split for face in loaded.faces) == {"val": 4, "test": 4}
    assert loaded.counts() == {"real": 4, "faceswap": 2, "diffusion": 2}
    assert loaded.faces[1].group == "person-000"


def test_only_two_columns_are_needed(tmp_path: Path) -> None:
    write_labels(tmp_path, [{"label": " Fake ", "path": " a.png "}, {"label": "REAL", "path": "b.png"}])
    first, second = faceset.load(tmp_path).faces
    assert first == Face("a.png", "fake", "fake", "a.png", "")
    assert second.label == "real"


def test_a_byte_order_mark_and_other_line_ends(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(b"\xef\xbb\xbfpath,label\r\na.png,real\r\n\r\nb.png,fake\r\n")
    assert [face.path for face in faceset.load(tmp_path).faces] == ["a.png", "b.png"]


def test_names_with_commas_quotes_and_umlauts(tmp_path: Path) -> None:
    text = 'path,label\n"Müller, Jr ""x"".png",real\n<b>.png,fake\n'
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
    assert [face.path for face in faceset.load(tmp_path).faces] == ['Müller, Jr "x".png', "<b>.png"]


def test_faceset_toml_says_what_a_reader_must_know(tmp_path: Path) -> None:
    small_faces.make(tmp_path, 4)
    (tmp_path / "faceset.toml").write_text("name = 'drawn'\nsynthetic = true\nnote = 'no real people'\n")
    loaded = faceset.load(tmp_path)
    assert (loaded.name, loaded.synthetic, loaded.note) == ("drawn", True, "no real people")


@pytest.mark.parametrize(
    ("text", "told"), [("nmae = 'x'", "unknown key 'nmae'"), ("name = 5", "'name' must be a str, not 5")]
)
def test_a_wrong_faceset_toml(tmp_path: Path, text: str, told: str) -> None:
    small_faces.make(tmp_path, 4)
    (tmp_path / "faceset.toml").write_text(text)
    with pytest.raises(ConfigError, match=told):
        faceset.load(tmp_path)


def test_nothing_there(tmp_path: Path) -> None:
    assert refused(tmp_path / "none") == f"there is no face set at {tmp_path}/none."
    assert refused(tmp_path) == f"{tmp_path} has neither labels.csv nor the folders real/ and fake/."


def test_empty_sets(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    assert refused(tmp_path) == f"the face set {tmp_path} is empty."
    (tmp_path / "labels.csv").write_text("path,label\n")
    assert refused(tmp_path) == f"the face set {tmp_path} is empty."


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("path,lable\na.png,real\n", "labels.csv of {} has no column 'label'."),
        ("", "labels.csv of {} has no column 'label'."),
        ("path,label\na.png,real\nb.png,genuine\n", "line 3 of labels.csv of {}: unknown label 'genuine'."),
        ("path,label\na.png\n", "line 2 of labels.csv of {}: unknown label ''."),
        ("path,label\n,real\n", "line 2 of labels.csv of {}: '' must be a path inside the face set."),
        ("path,label\n../a.png,real\n", "line 2 of labels.csv of {}: '../a.png' must be a path inside the face set."),
        ("path,label\nx/../../a,real\n", "line 2 of labels.csv of {}: 'x/../../a' must be a path inside the face set."),
        ("path,label\n/a.png,real\n", "line 2 of labels.csv of {}: '/a.png' must be a path inside the face set."),
        ("path,label\na\0.png,real\n", "line 2 of labels.csv of {}: 'a\\x00.png' must be a path inside the face set."),
        ("path,label,split\na.png,real,tset\n", "line 2 of labels.csv of {}: unknown split 'tset'."),
        ("path,label\na.png,real\na.png,fake\n", "labels.csv of {} names 'a.png' more than once."),
        ("path,label\na.png,real\n./a.png,fake\n", "labels.csv of {} names 'a.png' more than once."),
        ("path,label\n" + "x" * 200_000 + ",real\n", "labels.csv of {} is no CSV: field larger than field limit"),
        ("path,label\na.png,real\n\n\nb.png,x\n", "line 5 of labels.csv of {}: unknown label 'x'."),
    ],
    ids=lambda text: text[:30].encode().decode("unicode_escape"),
)
def test_a_wrong_labels_csv_is_named(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
    assert refused(tmp_path).startswith(told.format(tmp_path))


def test_labels_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes("path,label\nMüller.png,real\n".encode("latin-1"))
    assert f"{tmp_path}/labels.csv cannot be read" in refused(tmp_path)


def test_one_class_only(tmp_path: Path) -> None:
    small_faces.make(tmp_path, 6)
    shutil.rmtree(tmp_path / "fake")
    with pytest.raises(FaceSetError, match=r"has only real faces \(3 of them\)"):
        faceset.require_both_labels(faceset.load(tmp_path))


# -- splits and samples


def test_a_split(tmp_path: Path) -> None:
    loaded = faceset.load(small_faces.make(tmp_path, 12, splits=("train", "val", "test")))
    assert len(loaded.split("test").faces) == 4
    assert {face.split for face in loaded.split("val").faces} == {"val"}


def test_without_splits_all_of_it_is_test(faces: Path) -> None:
    loaded = faceset.load(faces)
    assert loaded.split("test") == loaded


def test_a_split_that_is_not_there(tmp_path: Path) -> None:
    loaded = faceset.load(small_faces.make(tmp_path, 8, splits=("train", "val")))
    with pytest.raises(FaceSetError, match="has no 'test' split, only train, val"):
        loaded.split("test")


def of_strata(sizes: dict[tuple[str, str], int]) -> FaceSet:
    names = [(label, category, n) for (label, category), size in sizes.items() for n in range(size)]
    faces = tuple(Face(f"{label}-{category}-{n}", label, category, "", "") for label, category, n in names)
    return FaceSet("drawn", Path("nowhere"), faces)


strata = st.dictionaries(st.tuples(st.sampled_from(["real", "fake"]), st.sampled_from("abcd")), st.integers(1, 60))


@given(strata.filter(bool), st.integers(1, 100), st.integers(0, 2**32))
def test_a_sample_keeps_the_shares_and_is_the_seeds(sizes: dict[tuple[str, str], int], count: int, seed: int) -> None:
    everything = of_strata(sizes)
    sample = everything.sample(count, seed)
    assert sample == everything.sample(count, seed)
    assert [face for face in everything.faces if face in set(sample.faces)] == list(sample.faces)  # the set's order
    if count >= len(everything.faces):
        assert sample == everything
        return
    taken = Counter((face.label, face.category) for face in sample.faces)
    for stratum, size in sizes.items():
        exact = count * size / len(everything.faces)
        assert taken[stratum] >= 1
        assert abs(taken[stratum] - max(1.0, exact)) <= 0.5


def test_another_seed_is_another_sample() -> None:
    everything = of_strata({("real", "real"): 50, ("fake", "a"): 50})
    assert everything.sample(20, 0) != everything.sample(20, 1)
    assert everything.sample(20, 0).of("real") == 10


# -- packs


def test_a_pack_is_the_same_set(tmp_path: Path) -> None:
    folder = small_faces.make(tmp_path / "set", 12, splits=("val", "test"))
    loaded = faceset.load(folder)
    packed = faceset.pack(loaded, tmp_path)
    again = faceset.load(packed.path)
    assert again.faces == loaded.faces
    assert packed.path.name == f"{packed.sha256}.zip"
    assert packed.bytes == packed.path.stat().st_size
    with zipfile.ZipFile(packed.path) as archive:
        assert archive.namelist()[0] == "labels.csv"
        assert {(entry.compress_type, entry.date_time) for entry in archive.infolist()} == {
            (zipfile.ZIP_STORED, (1980, 1, 1, 0, 0, 0))  # nothing of the clock
        }
        assert archive.read("real/000.png") == (folder / "real" / "000.png").read_bytes()


def test_the_same_faces_are_the_same_bytes_wherever_and_whenever(tmp_path: Path, faces: Path) -> None:
    copied = Path(shutil.copytree(faces, tmp_path / "elsewhere"))
    for path in copied.rglob("*.png"):
        path.touch()
    one, two = (faceset.pack(faceset.load(folder), tmp_path / folder.name) for folder in (faces, copied))
    assert one.sha256 == two.sha256
    assert one.path.read_bytes() == two.path.read_bytes()


def test_other_labels_are_another_pack(tmp_path: Path, faces: Path) -> None:
    loaded = faceset.load(faces)
    fewer = FaceSet(loaded.name, loaded.source, loaded.faces[:-1])
    assert faceset.pack(loaded, tmp_path).sha256 != faceset.pack(fewer, tmp_path).sha256


def test_a_pack_is_taken_as_it_is(tmp_path: Path, faces: Path) -> None:
    packed = faceset.pack(faceset.load(faces), tmp_path)
    assert faceset.pack(faceset.load(packed.path), tmp_path / "other") == packed
    assert not (tmp_path / "other").exists()


def test_a_pack_that_was_cut_off_is_written_again(tmp_path: Path, faces: Path) -> None:
    packed = faceset.pack(faceset.load(faces), tmp_path)
    packed.path.write_bytes(packed.path.read_bytes()[:100])
    assert faceset.pack(faceset.load(faces), tmp_path) == packed
    assert packed.path.stat().st_size == packed.bytes


def test_progress_is_told(tmp_path: Path, faces: Path) -> None:
    told: list[tuple[int, int]] = []
    faceset.pack(faceset.load(faces), tmp_path, lambda done, total: told.append((done, total)))
    assert told == [(number, 40) for number in range(1, 41)]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".npy"])
def test_half_a_picture_is_named(tmp_path: Path, suffix: str) -> None:
    folder = small_faces.make(tmp_path / "set", 4, suffix=suffix)
    faceset.pack(faceset.load(folder), tmp_path)
    broken = folder / "fake" / f"001{suffix}"
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    with pytest.raises(FaceSetError, match=f"fake/001{suffix} is not "):
        faceset.pack(faceset.load(folder), tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n"], ids=["empty", "text", "header"])
def test_what_is_no_picture_is_named_and_nothing_else_is_said(
    tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = small_faces.make(tmp_path / "set", 4)
    (folder / "real" / "000.png").write_bytes(content)
    with pytest.raises(FaceSetError, match=r"real/000\.png is not an image that OpenCV can read"):
        faceset.pack(faceset.load(folder), tmp_path)
    assert capfd.readouterr().err == ""


def test_a_picture_that_is_missing_or_a_folder(tmp_path: Path) -> None:
    write_labels(tmp_path / "set", [{"path": "a.png", "label": "real"}])
    with pytest.raises(FaceSetError, match=r"a\.png cannot be read: No such file"):
        faceset.pack(faceset.load(tmp_path / "set"), tmp_path)
    (tmp_path / "set" / "a.png").mkdir()
    with pytest.raises(FaceSetError, match=r"a\.png cannot be read: Is a directory"):
        faceset.pack(faceset.load(tmp_path / "set"), tmp_path)


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.float32), np.zeros((0, 8, 3), np.uint8)],
    ids=["grey", "float", "empty"],
)
def test_pixels_of_another_kind_are_named(tmp_path: Path, pixels: np.typing.NDArray[np.generic]) -> None:
    folder = small_faces.make(tmp_path / "set", 4, suffix=".npy")
    np.save(folder / "real" / "000.npy", pixels)
    with pytest.raises(FaceSetError, match=r"real/000\.npy is not uint8 pixels \[rows, columns, 3\]"):
        faceset.pack(faceset.load(folder), tmp_path)


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.mkdir, (self.path,)


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    folder = small_faces.make(tmp_path / "set", 4, suffix=".npy")
    np.save(folder / "real" / "000.npy", np.array([Bomb(tmp_path / "exploded")], dtype=object), allow_pickle=True)
    with pytest.raises(FaceSetError, match="is not uint8 pixels"):
        faceset.pack(faceset.load(folder), tmp_path)
    assert not (tmp_path / "exploded").exists()


def test_a_pack_of_pixels_shows_the_same_pictures(tmp_path: Path, faces: Path) -> None:
    loaded = faceset.load(faces)
    packed = faceset.pack(loaded, tmp_path)
    raw = faceset.decoded(packed.path, loaded.faces[:3], tmp_path)
    assert [face.path for face in faceset.load(raw.path).faces] == [f"{face.path}.npy" for face in loaded.faces[:3]]
    with zipfile.ZipFile(raw.path) as archive, archive.open("real/002.png.npy") as stream:
        assert np.array_equal(np.load(stream), small_faces.picture("real", 2))


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06" + bytes(18)], ids=["empty", "text", "no labels"])
def test_what_is_no_pack(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "faces.zip").write_bytes(content)
    assert "is not a pack of faces" in refused(tmp_path / "faces.zip")


@pytest.mark.parametrize(
    ("kind", "at", "value"),
    [
        (zipfile.ZIP_STORED, 6, 1),
        (zipfile.ZIP_STORED, 8, 9),
        (zipfile.ZIP_DEFLATED, 45, 255),
        (zipfile.ZIP_LZMA, 45, 255),
    ],
    ids=["encrypted", "a method of Windows", "damaged", "damaged LZMA"],
)
def test_an_archive_that_cannot_be_opened(tmp_path: Path, kind: int, at: int, value: int) -> None:
    path = tmp_path / "faces.zip"
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr("labels.csv", "path,label\n" + "".join(f"{n}.png,real\n" for n in range(50)))
    data = bytearray(path.read_bytes())
    data[at] = value
    if at < 30:  # in the directory at the end, too
        data[data.find(b"PK\x01\x02") + at + 2] = value
    else:
        data[at : at + 20] = bytes([value]) * 20
    path.write_bytes(data)
    assert "is not a pack of faces" in refused(path)


def test_half_a_pack(tmp_path: Path, faces: Path) -> None:
    path = faceset.pack(faceset.load(faces), tmp_path).path
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "is not a pack of faces" in refused(path)


def test_a_pack_without_one_of_its_pictures(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as archive:
        archive.writestr("labels.csv", "path,label\na.png,real\n")
    assert refused(tmp_path / "faces.zip").endswith("faces.zip has no a.png, which its labels.csv names.")


def test_a_folder_for_packs_that_cannot_be_written(tmp_path: Path, faces: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written"):
        faceset.pack(faceset.load(faces), tmp_path / "file")
