"""What is done to training pictures: one change for both faces of a pair, so that the edit alone tells them apart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

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
        kept: share of the sides that is left by the crop.
        right, down: where the crop lies, shares of what is cut away.
        gains: factors of blue, green and red.
        lift: levels that are added to all three.
        contrast, saturation: factors.
    """

    mirrored: bool = False
    angle: float = 0.0
    scale: float = 1.0
    dx: float = 0.0
    dy: float = 0.0
    kept: float = 1.0
    right: float = 0.5
    down: float = 0.5
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    lift: float = 0.0
    contrast: float = 1.0
    saturation: float = 1.0

    @classmethod
    def drawn(cls, wanted: Augment, rng: np.random.Generator) -> Change:
        """Draw one; the stream of random numbers advances alike whatever is wanted."""
        chance, cut, right, down = map(float, rng.random(4))
        angle, scale, dx, dy, gain, lift, bright, contrast, saturation, *cast = map(float, rng.uniform(-1, 1, 12))
        gain = (1 + gain * wanted.gain) * (1 + bright * wanted.colour)
        blue, green, red = (gain * (1 + own * wanted.cast) for own in cast)
        return cls(
            mirrored=chance < wanted.flip,
            angle=angle * wanted.rotate,
            scale=1 + scale * wanted.scale,
            dx=dx * wanted.shift,
            dy=dy * wanted.shift,
            kept=1 - cut * wanted.crop,
            right=right,
            down=down,
            gains=(blue, green, red),
            lift=255 * lift * wanted.lift,
            contrast=1 + contrast * wanted.colour,
            saturation=1 + saturation * wanted.colour,
        )

    def __call__(self, picture: Picture) -> Picture:
        """Return a picture changed, uint8 [rows, columns, 3] BGR; a crop makes it smaller."""
        if self.mirrored:
            picture = cv2.flip(picture, 1).astype(np.uint8, copy=False)
        picture = self._warped(picture) if self._resampling else self._shifted(picture)
        left, top, columns, rows = self.box(*picture.shape[:2])
        return self._coloured(picture[top : top + rows, left : left + columns])

    @property
    def _resampling(self) -> bool:
        return self.angle != 0 or self.scale != 1

    def box(self, rows: int, columns: int) -> tuple[int, int, int, int]:
        """Return left, top, width and height of the crop, in pixels of a picture."""
        high, wide = max(1, round(rows * self.kept)), max(1, round(columns * self.kept))
        return round((columns - wide) * self.right), round((rows - high) * self.down), wide, high

    def motion(self, rows: int, columns: int) -> NDArray[np.float64]:
        """Return the way of a pixel (x, y, 1) of a picture before the crop, [3, 3]."""
        flip = np.array([[-1, 0, columns - 1], [0, 1, 0], [0, 0, 1.0]]) if self.mirrored else np.eye(3)
        turn = np.eye(3)
        if self._resampling:
            turn[:2] = cv2.getRotationMatrix2D(((columns - 1) / 2, (rows - 1) / 2), self.angle, self.scale)
        turn[:2, 2] += np.array(self._pixels(rows, columns))
        moved: NDArray[np.float64] = turn @ flip
        return moved

    def _pixels(self, rows: int, columns: int) -> tuple[float, float]:
        dx, dy = self.dx * columns, self.dy * rows
        return (dx, dy) if self._resampling else (round(dx), round(dy))

    def _shifted(self, picture: Any) -> Any:
        """Whole pixels, so that nothing is resampled: resampling may be the very evidence."""
        rows, columns = picture.shape[:2]
        dx, dy = map(int, self._pixels(rows, columns))
        if not dx and not dy:
            return picture
        wide = cv2.copyMakeBorder(picture, abs(dy), abs(dy), abs(dx), abs(dx), cv2.BORDER_REPLICATE)
        top, left = abs(dy) - dy, abs(dx) - dx
        return wide[top : top + rows, left : left + columns]

    def _warped(self, picture: Any) -> Any:
        rows, columns = picture.shape[:2]
        matrix = cv2.getRotationMatrix2D(((columns - 1) / 2, (rows - 1) / 2), self.angle, self.scale)
        matrix[:, 2] += np.array(self._pixels(rows, columns))
        return cv2.warpAffine(picture, matrix, (columns, rows), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def _coloured(self, picture: Any) -> Picture:
        return picture if self._colours is None else cv2.transform(picture, self._colours).astype(np.uint8, copy=False)

    @cached_property
    def _colours(self) -> NDArray[np.float64] | None:
        """Gains, lift, contrast and saturation as one matrix [3, 4]: a single pass, clipped once."""
        if {*self.gains, self.contrast, self.saturation} == {1.0} and not self.lift:
            return None
        mixing = self.saturation * np.eye(3) + (1 - self.saturation) * _GREY[None, :]
        offset = np.full((3, 1), (1 - self.contrast) * _MIDDLE + self.contrast * self.lift)
        return np.hstack([self.contrast * mixing * np.array(self.gains), offset])
