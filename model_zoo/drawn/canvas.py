"""The drawing plane: pixel grids in head units, soft shapes, noise, and painting with a coverage mask."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from model_zoo.drawn.scene import Pose

Plane = NDArray[Any]
"""One value per pixel, [H, W]; or a picture in linear RGB, [H, W, 3]. float32, which numpy's stubs lose sight of."""

SIDE = 320
"""Edge of the drawing plane in pixels; pictures are reduced from it."""


@dataclass(frozen=True)
class Frame:
    """Maps pixels to head units for one pose.

    (a, b) lie flat on the picture and carry outlines. (u, v) are shifted with the depth of the surface by
    yaw and pitch and carry what lies on the face.
    """

    pose: Pose

    @property
    def unit(self) -> float:
        """Pixels per head unit."""
        return self.pose.size * SIDE

    @cached_property
    def flat(self) -> tuple[Plane, Plane]:
        """(a, b), each [SIDE, SIDE]."""
        ys, xs = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
        x = (xs - self.pose.x * SIDE) / self.unit
        y = (ys - self.pose.y * SIDE) / self.unit
        cos, sin = np.float32(np.cos(self.pose.roll)), np.float32(np.sin(self.pose.roll))
        return cos * x + sin * y, cos * y - sin * x

    @cached_property
    def surface(self) -> tuple[Plane, Plane]:
        """(u, v), each [SIDE, SIDE]."""
        a, b = self.flat
        z = _depth(a, b)
        return a - np.float32(self.pose.yaw) * z, b - np.float32(self.pose.pitch) * z

    def pixels(self, points: NDArray[np.floating], *, on_surface: bool = True) -> Plane:
        """Head units [..., 2] to canvas pixels [..., 2]."""
        u, v = points[..., 0], points[..., 1]
        a, b = u, v
        for _ in range(3 if on_surface else 0):
            z = _depth(a, b)
            a, b = u + self.pose.yaw * z, v + self.pose.pitch * z
        cos, sin = np.cos(self.pose.roll), np.sin(self.pose.roll)
        x, y = cos * a - sin * b, sin * a + cos * b
        spots = np.stack([self.pose.x * SIDE + self.unit * x, self.pose.y * SIDE + self.unit * y], axis=-1)
        return spots.astype(np.float32)

    def window(self, centre: tuple[float, float], reach: float) -> tuple[slice, slice]:
        """Slices of the square of half width `reach` (head units) around a point on the face."""
        x, y = (float(value) for value in self.pixels(np.array(centre)))
        half = reach * self.unit
        return _clamped(y - half, y + half), _clamped(x - half, x + half)


def _depth(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.clip(1 - a * a / 1.1 - b * b / 2.2, 0, 1)


def _clamped(low: float, high: float) -> slice:
    return slice(max(0, int(low)), min(SIDE, int(high) + 1))


def bump(x: Plane, y: Plane, wide: float, high: float) -> Plane:
    """A Gaussian hill of height 1 at x = y = 0."""
    hill: Plane = np.exp(-0.5 * ((x / np.float32(wide)) ** 2 + (y / np.float32(high)) ** 2))
    return hill


def ramp(x: Plane, low: float, high: float) -> Plane:
    """Smooth step from 0 at `low` to 1 at `high`."""
    t = np.clip((x - np.float32(low)) / np.float32(high - low), 0, 1)
    step: Plane = t * t * (3 - 2 * t)
    return step


def coverage(inside: Plane, feather: float = 1.0) -> Plane:
    """Mask of inside > 0 with an edge of about `feather` pixels, whatever the scale of `inside`."""
    dx = cv2.Sobel(inside, cv2.CV_32F, 1, 0, scale=0.125)
    dy = cv2.Sobel(inside, cv2.CV_32F, 0, 1, scale=0.125)
    slope = np.sqrt(dx * dx + dy * dy) + np.float32(1e-6)
    mask: Plane = np.clip(inside / (slope * np.float32(feather)) + np.float32(0.5), 0, 1)
    return mask


def blur(plane: Plane, sigma: float) -> Plane:
    """Gaussian blur, sigma in pixels."""
    soft: Plane = cv2.GaussianBlur(plane, (0, 0), sigma)
    return soft


def noise(rng: np.random.Generator, cell: float, shape: tuple[int, int] = (SIDE, SIDE)) -> Plane:
    """Smooth noise of zero mean and about unit spread, with grains of `cell` pixels."""
    small = (max(2, int(shape[0] / cell) + 2), max(2, int(shape[1] / cell) + 2))
    grains = rng.standard_normal(small, dtype=np.float32)
    field: Plane = cv2.resize(grains, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return field


def tinted(plane: Plane, colour: tuple[float, float, float]) -> Plane:
    """Plane times colour, [H, W, 3], laid out as `planes` does."""
    return planes([plane * np.float32(channel) for channel in colour])


def planes(channels: list[Plane]) -> Plane:
    """Three planes as one picture [H, W, 3], each plane contiguous in memory.

    numpy's loops over a last axis of three cost several times those over whole planes.
    """
    return np.stack(channels).transpose(1, 2, 0)


def paint(picture: Plane, colour: Plane | tuple[float, float, float], mask: Plane) -> None:
    """Lay a colour (one, or one per pixel) over the picture, in place."""
    rows, columns = np.flatnonzero(mask.max(axis=1) > 1e-3), np.flatnonzero(mask.max(axis=0) > 1e-3)
    if not len(rows):
        return
    spot = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    cover = mask[spot]
    for channel in range(3):
        below = picture[spot][..., channel]
        above = np.float32(colour[channel]) if isinstance(colour, tuple) else colour[spot][..., channel]
        below += cover * (above - below)


def strokes(paths: NDArray[np.floating], tones: NDArray[np.floating], thick: int = 1) -> tuple[Plane, Plane]:
    """Draw polylines; returns (tone, cover), each [SIDE, SIDE] in [0, 1].

    `paths` is [N, K, 2] in canvas pixels, `tones` [N] in [0, 1]. They are drawn in a dozen batches, since one
    call for many lines costs far less than many calls.
    """
    fixed = np.round(paths * 16).astype(np.int32)
    tone = np.full((SIDE, SIDE), 128, np.uint8)
    cover = np.zeros((SIDE, SIDE), np.uint8)
    groups = np.array_split(np.argsort(tones), 12)
    for turn in (5, 0, 8, 3, 10, 1, 6, 11, 2, 7, 4, 9):  # neither light nor dark strands always on top
        if len(groups[turn]):
            level = int(255 * float(np.mean(tones[groups[turn]])))
            cv2.polylines(tone, list(fixed[groups[turn]]), False, level, thick, cv2.LINE_AA, 4)
    cv2.polylines(cover, list(fixed), False, 255, thick, cv2.LINE_AA, 4)
    return tone.astype(np.float32) / 255, cover.astype(np.float32) / 255
