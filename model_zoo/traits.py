"""Cheap traits of a picture: what its file is, and how it looks without any face being looked at.

A detector that is no better than these has learned how the pictures were made, saved or cropped, not what a fake is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerig import digest
from edgerig.errors import FaceSetError
from model_zoo import faceset

# Of a face, in the order of `Traits.values`.
NAMES = (
    *("PNG", "JPEG", "file size", "bytes per pixel", "width", "height", "JPEG quantization", "block edges"),
    *("brightness", "contrast", "saturation", "red against blue", "sharpness", "noise"),
)
Picture = NDArray[np.uint8]

_BITS = np.array([bin(value).count("1") for value in range(256)], np.uint8)  # np.bitwise_count came with numpy 2
_SIDE = 9  # of the picture that a difference hash is made of


@dataclass(frozen=True)
class Traits:
    """What is known of one picture.

    Attributes:
        values: float64 [len(NAMES)].
        sha256: of the file.
        pixels: sha256 of the decoded pixels.
        look: 64 bits that stay nearly the same when a picture is saved anew or scaled (difference hash).
    """

    values: NDArray[np.float64]
    sha256: str
    pixels: str
    look: int


def of_picture(data: bytes, path: str) -> Traits:
    """Return the traits of an encoded picture; raises FaceSetError where it is none."""
    picture = faceset.decode(data)
    if picture is None:
        raise FaceSetError(f"{path} is no picture.")
    height, width = picture.shape[:2]
    table = quantization(data)
    size = float(len(data))
    # Scaled to one size, so that sharpness and noise do not tell the size of the picture once more.
    even: Picture = cv2.resize(picture, (128, 128), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    values = [
        float(data[:8] == b"\x89PNG\r\n\x1a\n"),
        float(data[:2] == b"\xff\xd8"),
        *(size, size / (width * height), float(width), float(height)),
        *(0.0 if table is None else float(np.mean(table)), _block_edges(picture)),
        *_colours(even),
        *_detail(even),
    ]
    shape = f"{height} {width}\n".encode()
    return Traits(np.array(values), digest.of_bytes(data), digest.of_bytes(shape + picture.tobytes()), look(picture))


def quantization(data: bytes) -> NDArray[np.uint8] | None:
    """Return the first quantization table of a JPEG, uint8 [64]; None where there is none (ITU-T T.81, B.2.4.1)."""
    place = data.find(b"\xff\xdb") if data[:2] == b"\xff\xd8" else -1
    table = np.frombuffer(data[place + 5 : place + 69], np.uint8)
    return table if place >= 0 and table.size == 64 and data[place + 4] >> 4 == 0 else None


def _block_edges(picture: Picture) -> float:
    """Return how much larger steps are between the 8x8 blocks of a JPEG than inside them; 1 where there is no grid."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float64)
    if min(grey.shape) < 17:
        return 1.0
    steps = np.abs(np.diff(grey, axis=1)).mean(axis=0)
    edges = steps[7::8]
    return float((edges.mean() + 1e-3) / (np.delete(steps, np.s_[7::8]).mean() + 1e-3))


def _colours(picture: Picture) -> Iterator[float]:
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    yield float(grey.mean())
    yield float(grey.std())
    yield float(cv2.cvtColor(picture, cv2.COLOR_BGR2HSV)[..., 1].mean())
    yield float(picture[..., 2].mean() - picture[..., 0].mean())


def _detail(picture: Picture) -> Iterator[float]:
    """Yield the log variance of the Laplacian, and the median of what a 3x3 median filter takes away."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    yield float(np.log1p(cv2.Laplacian(grey, cv2.CV_64F).var()))
    yield float(np.mean(cv2.absdiff(grey, cv2.medianBlur(grey, 3))))


def look(picture: Picture) -> int:
    """Return the difference hash of a picture: 64 bits, whether brightness rises from column to column of 8 rows."""
    grey = cv2.cvtColor(cv2.resize(picture, (_SIDE, _SIDE - 1), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    bits = (grey[:, 1:].astype(int) > grey[:, :-1].astype(int)).ravel()
    return int("".join("1" if bit else "0" for bit in bits), 2)


def alike(looks: Iterable[int], most: int) -> Iterator[tuple[int, int]]:
    """Yield the places of pictures whose looks differ in at most `most` of their 64 bits."""
    words = np.array(list(looks), np.uint64).view(np.uint8).reshape(-1, 8)
    for place in range(len(words) - 1):
        differing = _BITS[words[place + 1 :] ^ words[place]].sum(axis=1)
        for other in np.flatnonzero(differing <= most):
            yield place, place + 1 + int(other)
