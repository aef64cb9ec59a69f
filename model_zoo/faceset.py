"""Face sets: pictures with labels, where they come from and how they travel.

A face set is a folder with `labels.csv` (path, label, category, group, split; the last three optional), a folder with
`real/` and `fake/`, or a pack. A pack is one ZIP, uncompressed, `labels.csv` first: the original encoded bytes, so
that a device decodes what the user has, and one digest that names all of it.
"""

from __future__ import annotations

import csv
import io
import lzma
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from edgerig import digest, files, toml
from edgerig.errors import ConfigError, FaceSetError

SHIPPED = Path(__file__).parent / "faces" / "drawn.zip"
LABELS = ("real", "fake")
SPLITS = ("train", "val", "test")
COLUMNS = ("path", "label", "category", "group", "split")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".npy"})
# What a damaged archive raises, or one that is encrypted, or packed by a method that Python does not know.
UNREADABLE = (OSError, KeyError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError)
_EPOCH = (1980, 1, 1, 0, 0, 0)  # packs of the same faces are the same bytes


@dataclass(frozen=True)
class Face:
    """One picture: where it lies in its set, what it is, and what it must not be divided from."""

    path: str
    label: str
    category: str
    group: str
    split: str


@dataclass(frozen=True)
class FaceSet:
    """Pictures with labels; see the module's docstring.

    Attributes:
        name: for people.
        source: the folder or pack.
        faces: in the order of labels.csv.
        synthetic: drawn, not photographed.
        note: what a reader of figures must know of these faces.
    """

    name: str
    source: Path
    faces: tuple[Face, ...]
    synthetic: bool = False
    note: str = ""

    def split(self, wanted: str) -> FaceSet:
        """Return the faces of one split; without any splits, all of them. Raises FaceSetError where none is left."""
        if not any(face.split for face in self.faces):
            return self
        chosen = tuple(face for face in self.faces if face.split == wanted)
        if not chosen:
            there = ", ".join(sorted({face.split for face in self.faces if face.split}))
            raise FaceSetError(f"{self.source} has no '{wanted}' split, only {there}.")
        return replace(self, faces=chosen)

    def sample(self, count: int, seed: int) -> FaceSet:
        """Return about `count` faces drawn at random, each label and category in its share, at least one of each."""
        if count >= len(self.faces):
            return self
        random = np.random.default_rng(seed)
        chosen = [place for stratum, share in self._shares(count) for place in random.permutation(stratum)[:share]]
        return replace(self, faces=tuple(self.faces[place] for place in sorted(chosen)))

    def _shares(self, count: int) -> Iterator[tuple[list[int], int]]:
        strata: dict[tuple[str, str], list[int]] = {}
        for place, face in enumerate(self.faces):
            strata.setdefault((face.label, face.category), []).append(place)
        for key in sorted(strata):
            yield strata[key], max(1, round(count * len(strata[key]) / len(self.faces)))

    def counts(self) -> Counter[str]:
        """Return how many faces each category has."""
        return Counter(face.category for face in self.faces)

    def of(self, label: str) -> int:
        """Return how many faces carry a label."""
        return sum(face.label == label for face in self.faces)


def crossing(faces: Iterable[Face]) -> list[str]:
    """Return the groups that are in more than one split, by name."""
    splits: dict[str, set[str]] = {}
    for face in faces:
        splits.setdefault(face.group, set()).add(face.split or "no split")
    return sorted(group for group, where in splits.items() if len(where) > 1)


@dataclass(frozen=True)
class Pack:
    """A face set as one file that travels."""

    path: Path
    sha256: str
    bytes: int


def load(path: Path) -> FaceSet:
    """Return the face set of a folder or a pack.

    Raises:
        FaceSetError: nothing is there, it is empty, or labels.csv holds something that it may not.
    """
    if path.is_dir():
        faces = _from_csv(_text(path / "labels.csv"), path) if (path / "labels.csv").exists() else _from_folders(path)
    elif path.is_file():
        faces = _from_pack(path)
    else:
        raise FaceSetError(
            f"there is no face set at {path}.", "Give a folder with labels.csv, or with real/ and fake/."
        )
    if not faces:
        raise FaceSetError(f"the face set {path} is empty.", "It needs pictures of real and of fake faces.")
    return FaceSet(faces=tuple(faces), source=path, **_about(path))  # type: ignore[arg-type]


def _about(path: Path) -> dict[str, object]:
    """Return name, synthetic and note, from faceset.toml in a folder or NAME.toml beside a pack."""
    about = path / "faceset.toml" if path.is_dir() else path.with_suffix(".toml")
    known = {"name": path.resolve().stem, "synthetic": False, "note": ""}
    if not about.is_file():
        return known
    said = toml.load(about)
    for key, value in said.items():
        if key not in known:
            raise ConfigError(f"{about}: unknown key '{key}'.", toml.nearest(key, known))
        if type(value) is not type(known[key]):
            raise ConfigError(f"{about}: '{key}' must be a {type(known[key]).__name__}, not {value!r}.")
    return {**known, **said}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FaceSetError(f"{path} cannot be read: {error}.") from error


def _from_csv(text: str, source: Path) -> list[Face]:
    try:
        table = csv.DictReader(io.StringIO(text, newline=""))
        columns, rows = table.fieldnames or (), [(table.line_num, row) for row in table]
    except csv.Error as error:
        raise FaceSetError(f"labels.csv of {source} is no CSV: {error}.") from error
    missing = {"path", "label"} - set(columns)
    if missing:
        raise FaceSetError(f"labels.csv of {source} has no column '{min(missing)}'.", f"Columns: {', '.join(COLUMNS)}.")
    faces = [_from_row(row, f"line {number} of labels.csv of {source}") for number, row in rows]
    doubles = [path for path, times in Counter(face.path for face in faces).items() if times > 1]
    if doubles:
        raise FaceSetError(f"labels.csv of {source} names '{doubles[0]}' more than once.")
    return faces


def _from_row(row: dict[str, str | None], where: str) -> Face:
    path, label = (row["path"] or "").strip(), (row["label"] or "").strip().lower()
    if label not in LABELS:
        raise FaceSetError(f"{where}: unknown label '{label}'.", "A label is 'real' or 'fake'.")
    parts = PurePosixPath(path)
    if not path or parts.is_absolute() or ".." in parts.parts or "\0" in path:
        raise FaceSetError(f"{where}: {path!r} must be a path inside the face set.")
    split = (row.get("split") or "").strip()
    if split and split not in SPLITS:
        raise FaceSetError(f"{where}: unknown split '{split}'.", toml.nearest(split, SPLITS))
    category, group = (row.get("category") or "").strip(), (row.get("group") or "").strip()
    path = str(parts)  # "./a.png" is a.png
    return Face(path, label, category or label, group or path, split)


def _from_folders(folder: Path) -> list[Face]:
    if not any((folder / label).is_dir() for label in LABELS):
        raise FaceSetError(f"{folder} has neither labels.csv nor the folders real/ and fake/.")
    return [
        Face(f"{label}/{path.name}", label, label, f"{label}/{path.name}", "")
        for label in LABELS
        if (folder / label).is_dir()
        for path in sorted((folder / label).iterdir())
        if path.suffix.lower() in SUFFIXES
    ]


def _from_pack(path: Path) -> list[Face]:
    try:
        with zipfile.ZipFile(path) as archive:
            faces, members = _from_csv(archive.read("labels.csv").decode("utf-8-sig"), path), set(archive.namelist())
    except (*UNREADABLE, UnicodeDecodeError) as error:
        raise FaceSetError(f"{path} is not a pack of faces: {error}.") from error
    absent = next((face.path for face in faces if face.path not in members), None)
    if absent:
        raise FaceSetError(f"the pack {path} has no {absent}, which its labels.csv names.")
    return faces


def require_both_labels(faces: FaceSet, split: str = "") -> None:
    """Raise FaceSetError where only one label is there: nothing can be told apart; `split` is named, where given."""
    for label, other in (LABELS, LABELS[::-1]):
        if not faces.of(label):
            raise FaceSetError(
                f"the face set {faces.source} has only {other} faces"
                f"{f' in its {split} split' if split else ''} ({len(faces.faces)} of them).",
                "Accuracy, AUC and EER need both.",
            )


def pack(faces: FaceSet, folder: Path, progress: Callable[[int, int], None] | None = None) -> Pack:
    """Write the pictures of a face set as one pack into `folder`, named by its digest, and return it.

    A pack is taken as it is. Every picture is decoded once, so that a broken one is named now and not on the device.

    Raises:
        FaceSetError: a picture is missing or is none.
        OutputError: `folder` cannot be written.
    """
    if faces.source.is_file():
        return Pack(faces.source, digest.of_file(faces.source), faces.source.stat().st_size)
    return _stored(_zipped(_members(faces, progress)), folder)


def decoded(packed: Path, faces: Sequence[Face], folder: Path) -> Pack:
    """Return a pack of the same pictures as pixels (uint8 [rows, columns, 3], BGR, `.npy`), for devices without OpenCV.

    Its members are called as in `packed`, with `.npy` added. Raises OutputError where `folder` cannot be written.
    """
    with zipfile.ZipFile(packed) as archive:
        members = [(f"{face.path}.npy", _pixels(archive.read(face.path), face.path)) for face in faces]
    data = _zipped([("labels.csv", labels_csv([replace(face, path=f"{face.path}.npy") for face in faces])), *members])
    return _stored(data, folder)


def _stored(data: bytes, folder: Path) -> Pack:
    sha256 = digest.of_bytes(data)
    path = folder / f"{sha256}.zip"
    if not path.exists() or path.stat().st_size != len(data):
        files.write(files.make_folder(folder) / path.name, data)
    return Pack(path, sha256, len(data))


def _pixels(encoded: bytes, name: str) -> bytes:
    if name.endswith(".npy"):
        return encoded
    picture = decode(encoded)
    if picture is None:
        raise FaceSetError(f"{name} is not an image that OpenCV can read.")
    stream = io.BytesIO()
    np.save(stream, picture)
    return stream.getvalue()


def _members(faces: FaceSet, progress: Callable[[int, int], None] | None) -> Iterator[tuple[str, bytes]]:
    yield "labels.csv", labels_csv(faces.faces)
    for number, face in enumerate(faces.faces, 1):
        yield face.path, _picture(faces.source / face.path)
        if progress:
            progress(number, len(faces.faces))


def labels_csv(faces: Sequence[Face]) -> bytes:
    """Return labels.csv for these faces."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((face.path, face.label, face.category, face.group, face.split) for face in faces)
    return text.getvalue().encode()


def _picture(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FaceSetError(f"the picture {path} cannot be read: {error.strerror}.") from error
    if not (_is_pixels(data) if path.suffix == ".npy" else decode(data) is not None):
        what = "uint8 pixels [rows, columns, 3]" if path.suffix == ".npy" else "an image that OpenCV can read"
        raise FaceSetError(f"{path} is not {what}.", "Remove it, also from labels.csv.")
    return data


def _is_pixels(data: bytes) -> bool:
    try:
        pixels = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError):
        return False
    return bool(pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size)


def decode(data: bytes) -> NDArray[np.uint8] | None:
    """Return the pixels of an encoded picture, uint8 [rows, columns, 3] BGR; None where it is none."""
    import cv2  # noqa: PLC0415 - 0.1 s that only packing needs

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what is wrong is told by us, in a sentence
    # The decoder answers None for what is no picture and raises for no bytes at all.
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    return None if picture is None else picture.astype(np.uint8, copy=False)


def _zipped(members: Iterable[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)
    return buffer.getvalue()
