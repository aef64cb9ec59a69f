"""The pictures of a face set, encoded and decoded."""

from __future__ import annotations

import zipfile
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerig.errors import FaceSetError
from model_zoo.faceset import Face, FaceSet


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
        except (OSError, KeyError) as error:
            raise FaceSetError(f"the picture {face.path} of {self._faces.source} cannot be read: {error}") from error

    def decoded(self, face: Face) -> NDArray[np.uint8]:
        """Return a picture's pixels, uint8 [rows, columns, 3], BGR; raises FaceSetError where it is no picture."""
        if face.path.endswith(".npy"):
            raise FaceSetError(f"{face.path} holds pixels; training and calibrating want encoded pictures.")
        picture = cv2.imdecode(np.frombuffer(self.encoded(face), np.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            raise FaceSetError(f"{face.path} is no picture.")
        return picture.astype(np.uint8, copy=False)

    @cached_property
    def _archive(self) -> zipfile.ZipFile | None:
        return zipfile.ZipFile(self._faces.source) if self._faces.source.is_file() else None


def resized(picture: Any, height: int, width: int, interpolation: str) -> Any:
    """Resize as a device with OpenCV does; a `Resizer` for `edgerig.preprocess.Preprocessor`."""
    kind = cv2.INTER_AREA if interpolation == "area" else cv2.INTER_LINEAR
    return cv2.resize(picture, (width, height), interpolation=kind)
