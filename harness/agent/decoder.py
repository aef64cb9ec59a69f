"""Pictures: out of the pack, and from encoded bytes to pixels, by OpenCV where the device has it."""

from __future__ import annotations

import io
import os
import platform
import zipfile
from pathlib import Path
from typing import Any, Callable, Sequence

import numpy as np

from harness.agent.failures import FailedError, UnsupportedError

Array = Any
MAX_BYTES = 64 << 20  # of one member of a pack
MAX_PIXELS = 1 << 26  # of one picture: 64 million, a 192 MB array
RAW = ".npy"

# Read by OpenCV when it is imported; its own limit of 2^30 pixels is 3 GB.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))


class Pack:
    """The members of a face set's zip, read whole.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(str(path))
        except zipfile.BadZipFile as error:
            raise FailedError(f"the face set {path.name[:12]} is no zip: {error}") from error

    def read(self, name: str) -> bytes:
        """Return the bytes of one member; raises FailedError."""
        try:
            member = self._zip.getinfo(name)
            if member.file_size > MAX_BYTES:
                raise FailedError(f"{name} has {member.file_size} bytes, more than a picture may have")
            return self._zip.read(member)
        except KeyError as error:
            raise FailedError(f"the face set has no {name}") from error
        except (zipfile.BadZipFile, NotImplementedError) as error:
            raise FailedError(f"{name} cannot be read from the face set: {error}") from error


class Decoder:
    """How the pictures of a job become pixels.

    Args:
        names: all members that the job will feed: raw pixels (*.npy) or encoded files, not both.

    Attributes:
        raw: the pixels come decoded, so that there is no decode stage.
        resize: what Preprocessor is to resize with, None for its own.
        facts: decoder and resizer, with their versions.
    """

    def __init__(self, names: Sequence[str]) -> None:
        raw = {name.endswith(RAW) for name in names}
        if len(raw) > 1:
            raise FailedError("the job mixes raw and encoded pictures")
        self.raw = raw == {True}
        self._cv2 = _opencv()
        if self._cv2 is None and not self.raw:
            raise UnsupportedError(
                f"OpenCV is not installed on this device for Python {platform.python_version()}, "
                "and the faces are encoded"
            )
        self.resize = _resizer(self._cv2) if self._cv2 else None
        library = f"opencv {self._cv2.__version__}" if self._cv2 else f"numpy {np.__version__}"
        self.facts: dict[str, str] = {"decoder": "none" if self.raw else library, "resizer": library}

    def prepare(self, data: bytes, name: str) -> Array:
        """Return what `decode` takes: the picture where it is raw, else the encoded bytes as an array."""
        if not self.raw:
            return np.frombuffer(data, np.uint8)
        try:
            picture = np.load(io.BytesIO(data), allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise FailedError(f"{name} is no array: {error}") from error
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
            raise FailedError(f"{name} is no picture: {picture.dtype} {list(picture.shape)}")
        return np.ascontiguousarray(picture)

    @property
    def decode(self) -> Callable[[Array], Array]:
        """Return what turns a prepared picture into uint8 [height, width, 3], BGR; None where it is no picture."""
        if self.raw:
            return _same
        imdecode, colour = self._cv2.imdecode, self._cv2.IMREAD_COLOR
        return lambda source: imdecode(source, colour)

    def try_decode(self, source: Array) -> Array | None:
        """Decode, or return None where it is no picture: the decoder has several ways to say so."""
        try:
            return self.decode(source)
        except (MemoryError, KeyboardInterrupt):
            raise
        except Exception:  # noqa: BLE001 (cv2.error cannot be named where OpenCV is not)
            return None


def _same(picture: Array) -> Array:
    return picture


def _opencv() -> Any:
    try:
        import cv2  # noqa: PLC0415 (not every device has it, and not every job needs it)
    except ImportError:
        return None
    # Its own threads would run beside those that the cell asks for, and make decode and resize depend on the cores.
    cv2.setNumThreads(1)
    return cv2


def _resizer(cv2: Any) -> Callable[[Array, int, int, str], Array]:
    def resize(picture: Array, height: int, width: int, method: str) -> Array:
        rows, columns = picture.shape[:2]
        if method == "linear" or (height >= rows and width >= columns):
            return cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
        if height <= rows and width <= columns:
            return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        # INTER_AREA enlarges in a way of its own as soon as one side grows, so each side gets what it needs.
        smaller = min(height, rows), min(width, columns)
        shrunk = cv2.resize(picture, (smaller[1], smaller[0]), interpolation=cv2.INTER_AREA)
        return cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR)

    return resize
