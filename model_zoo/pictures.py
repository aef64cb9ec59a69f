"""The pictures of a face set, encoded and decoded."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerig.errors import FaceSetError
from model_zoo import faceset
from model_zoo.faceset import Face, FaceSet

MOST_NAMED = 5  # pictures in a sentence


class Pictures:
    """Reads the pictures of a face set, a folder or a pack.

    Args:
        faces: the set; only pictures that are asked for are read, and only its own: who is given the training faces
            of a set cannot look at its test faces.
    """

    def __init__(self, faces: FaceSet) -> None:
        self._faces = faces
        self._own = {face.path for face in faces.faces}

    def encoded(self, face: Face) -> bytes:
        """Return the bytes of a picture's file; raises FaceSetError where it cannot be read, or is not the set's."""
        if face.path not in self._own:
            raise FaceSetError(f"the picture {face.path} is not among the faces that may be looked at here.")
        try:
            return self._archive.read(face.path) if self._archive else (self._faces.source / face.path).read_bytes()
        except faceset.UNREADABLE as error:
            raise self._unreadable(face, str(getattr(error, "strerror", None) or error)) from error

    def decoded(self, face: Face) -> NDArray[np.uint8]:
        """Return a picture's pixels, uint8 [rows, columns, 3], BGR; raises FaceSetError where it is no picture."""
        if face.path.endswith(".npy"):
            raise _pixels(face)
        picture = faceset.decode(self.encoded(face))
        if picture is None:
            raise self._unreadable(face, "it is no image that OpenCV can read")
        return picture

    def _unreadable(self, face: Face, why: str) -> FaceSetError:
        source = self._faces.source
        return FaceSetError(
            f"the picture {face.path} of {source} cannot be read: {why}.",
            f"`edgerig faces check {source}` names all that cannot.",
        )

    def each(self, look: Callable[[Face], object], progress: Callable[[int], object] = bool) -> None:
        """Have all pictures looked at, one after the other.

        Args:
            look: is given each; what it raises as FaceSetError is told when all have been seen.
            progress: is given how many have been.

        Raises:
            FaceSetError: some cannot be read, or are no files as they were saved.
        """
        for face in self._faces.faces:
            if face.path.endswith(".npy"):
                raise _pixels(face)
        broken: dict[str, str] = {}
        for number, face in enumerate(self._faces.faces, 1):
            try:
                look(face)
            except FaceSetError as error:
                broken[face.path] = error.message
            progress(number)
        if broken:
            raise FaceSetError(
                _told(broken, self._faces.source),
                "Mend or remove what is broken; what is removed must leave labels.csv, too.",
            )

    @cached_property
    def _archive(self) -> zipfile.ZipFile | None:
        return zipfile.ZipFile(self._faces.source) if self._faces.source.is_file() else None


def _pixels(face: Face) -> FaceSetError:
    return FaceSetError(f"{face.path} holds pixels, not a file as it was saved.", "Take the set that it was made from.")


def _told(broken: Mapping[str, str], source: Path) -> str:
    if len(broken) == 1:
        return next(iter(broken.values()))
    more = ", …" if len(broken) > MOST_NAMED else ""
    return f"{len(broken):,} pictures ({', '.join([*broken][:MOST_NAMED])}{more}) of {source} cannot be read."


def resized(picture: Any, height: int, width: int, interpolation: str) -> Any:
    """Resize as a device with OpenCV does; a `Resizer` for `edgerig.preprocess.Preprocessor`."""
    kind = cv2.INTER_AREA if interpolation == "area" else cv2.INTER_LINEAR
    return cv2.resize(picture, (width, height), interpolation=kind)
