"""What is done to training pictures: one change for both faces of a pair, so that the edit alone tells them apart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from model_zoo.building.recipe import Augment

Picture = NDArray[np.uint8]

_GREY = np.array([0.114, 0.587, 0.299])  # of BGR, ITU-R BT.601 as OpenCV has it
_MIDDLE = 128.0  # contrast turns around it, not around a picture's own mean, which the faces of a pair do not share


@dataclass(frozen=True)
class Change:
    """One augmentation, drawn.

    Attributes:
        mirrored: left and right change places.
        angle: degrees.
        scale: by which the face grows.
        dx, dy: shares of width and height by which it moves.
        brightness, contrast, saturation: factors.
    """

    mirrored: bool = False
    angle: float = 0.0
    scale: float = 1.0
    dx: float = 0.0
    dy: float = 0.0
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0

    @classmethod
    def drawn(cls, wanted: Augment, rng: np.random.Generator) -> Change:
        """Draw one; the stream of random numbers advances alike whatever is wanted."""
        chance, *signed = rng.random(), *rng.uniform(-1, 1, 8)
        angle, scale, dx, dy, gain, brightness, contrast, saturation = map(float, signed)
        return cls(
            mirrored=bool(chance < wanted.flip),
            angle=angle * wanted.rotate,
            scale=1 + scale * wanted.scale,
            dx=dx * wanted.shift,
            dy=dy * wanted.shift,
            brightness=(1 + gain * wanted.gain) * (1 + brightness * wanted.colour),
            contrast=1 + contrast * wanted.colour,
            saturation=1 + saturation * wanted.colour,
        )

    def __call__(self, picture: Picture) -> Picture:
        """Return a picture changed, uint8 [rows, columns, 3] BGR as it came."""
        return self._coloured(self.moved(picture))

    def moved(self, picture: Picture) -> Picture:
        """Return a picture, or a map of one channel, moved alone: mirrored, turned, scaled, shifted."""
        if self.mirrored:
            picture = np.ascontiguousarray(picture[:, ::-1])
        return self._warped(picture) if self.angle or self.scale != 1 else self._shifted(picture)

    def _shifted(self, picture: Picture) -> Picture:
        """Whole pixels, so that nothing is resampled: resampling may be the very evidence."""
        rows, columns = picture.shape[:2]
        dx, dy = round(self.dx * columns), round(self.dy * rows)
        if not dx and not dy:
            return picture
        wide = cv2.copyMakeBorder(picture, abs(dy), abs(dy), abs(dx), abs(dx), cv2.BORDER_REPLICATE)
        top, left = abs(dy) - dy, abs(dx) - dx
        return np.ascontiguousarray(wide[top : top + rows, left : left + columns], dtype=np.uint8)

    def _warped(self, picture: Picture) -> Picture:
        rows, columns = picture.shape[:2]
        matrix = cv2.getRotationMatrix2D(((columns - 1) / 2, (rows - 1) / 2), self.angle, self.scale)
        matrix[:, 2] += self.dx * columns, self.dy * rows
        warped = cv2.warpAffine(
            picture, matrix, (columns, rows), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return warped.astype(np.uint8, copy=False)

    def _coloured(self, picture: Picture) -> Picture:
        if self._colours is None:
            return picture
        return cv2.transform(picture, self._colours).astype(np.uint8, copy=False)

    @cached_property
    def _colours(self) -> NDArray[np.float64] | None:
        """Brightness, contrast and saturation as one matrix [3, 4]: a single pass, clipped once."""
        if self.brightness == self.contrast == self.saturation == 1:
            return None
        mixing = self.saturation * np.eye(3) + (1 - self.saturation) * _GREY[None, :]
        offset = np.full((3, 1), (1 - self.contrast) * _MIDDLE)
        return np.hstack([self.brightness * self.contrast * mixing, offset])
