"""Where a fake differs from its original: what inner layers are asked in training."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerig.preprocess import InputSpec
from model_zoo.training.augment import Change, Picture

Map = NDArray[np.float32]

CELL = 8  # pixels: JPEG's blocks, whose noise is evened out in them
GRID = 28  # cells of a side as nets are asked


def changed(original: Picture, fake: Picture) -> Map:
    """Return 1 where the pictures of a pair differ by more than their noise, float32 [rows / 8, columns / 8].

    Nothing where they have not the same shape. Most of a face is not edited: the 20th percentile of its cells is noise.
    """
    rows, columns = (max(1, side // CELL) for side in original.shape[:2])
    if original.shape != fake.shape:
        return np.zeros((rows, columns), np.float32)
    difference = cv2.absdiff(original, fake).mean(axis=2).astype(np.float32)
    cells = cv2.resize(difference, (columns, rows), interpolation=cv2.INTER_AREA)
    limit = 2 * np.percentile(cells, 20) + 1.5
    edited: Map = np.where(cv2.blur(cells, (3, 3)) > limit, 1, 0).astype(np.float32)
    return edited


def weight(edit: Map) -> float:
    """Return what a pair counts: little where hardly anything was edited, as its label may well be wrong."""
    return 0.1 if edit.mean() < 0.03 else 1.0


def seen(edit: Map, shape: tuple[int, int], change: Change, spec: InputSpec) -> Map:
    """Return a map of a picture as it lies in what a net is fed, float32 [28, 28], shares of cells.

    Args:
        edit: from `changed`.
        shape: rows and columns of the picture.
        change: what was done to it.
        spec: how it was fed.
    """
    rows, columns = shape
    left, top, wide, high = _fitted(change.box(rows, columns), spec)
    cells = _scaled(columns / edit.shape[1], rows / edit.shape[0])
    crop = _scaled(GRID / wide, GRID / high, -left, -top)
    matrix = crop @ change.motion(rows, columns) @ cells
    return cv2.warpAffine(  # type: ignore[return-value]
        edit, matrix[:2], (GRID, GRID), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def _scaled(across: float, down: float, dx: float = 0, dy: float = 0) -> NDArray[np.float64]:
    """Return the matrix that moves, then scales; the middle of the first pixel lies at 0, its edge at -.5."""
    return np.array([[across, 0, (dx + 0.5) * across - 0.5], [0, down, (dy + 0.5) * down - 0.5], [0, 0, 1]])


def _fitted(box: tuple[int, int, int, int], spec: InputSpec) -> tuple[int, int, int, int]:
    """Return the part of a box that `edgerig.preprocess.centre_crop` leaves."""
    left, top, wide, high = box
    if spec.fit != "crop":
        return box
    if high * spec.width > wide * spec.height:
        keep = max(1, wide * spec.height // spec.width)
        return left, top + (high - keep) // 2, wide, keep
    keep = max(1, high * spec.width // spec.height)
    return left + (wide - keep) // 2, top, keep, high
