"""Small face sets whose answer is known: coloured noise, real and fake told apart by two of its three colours.

Green carries brightness: fakes are brighter, so that the mean of a picture tells most of them (AUC about .95), as the
null runtime's {"scores": {"mode": "mean"}} does. Red carries a bump: real faces lie on both sides of the fakes, so that
only a model which gets its pixels in the right order and scale finds it. Blue carries nothing.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from model_zoo.faceset import Face, labels_csv

FAKE_RED = 120  # of 255; real faces have 60 or 180
Picture = NDArray[np.uint8]


def picture(label: str, number: int, size: int = 32) -> Picture:
    """Return picture `number` of a label, uint8 [size, size, 3] in BGR order; the same one at each call."""
    draw = np.random.default_rng([number, label == "fake"])
    red = FAKE_RED if label == "fake" else (60, 180)[number % 2]
    green = draw.normal(200 if label == "fake" else 75, 20)
    means = np.array([draw.uniform(100, 156), green, red + draw.normal(0, 12)])
    return np.clip(draw.normal(means, 12, (size, size, 3)), 0, 255).astype(np.uint8)


def faces_of(count: int, suffix: str = ".png", splits: Sequence[str] = ("",)) -> list[Face]:
    """Return `count` faces, real and fake by turns, fakes of two categories; the splits by turns of two faces."""
    return [
        Face(
            path=f"{label}/{number:03}{suffix}",
            label=label,
            category=label if label == "real" else ("faceswap", "diffusion")[number % 2],
            group=f"person-{number:03}",
            split=splits[number % len(splits)],
        )
        for number in range((count + 1) // 2)
        for label in ("real", "fake")
    ][:count]


def make(
    folder: Path,
    count: int = 40,
    *,
    suffix: str = ".png",
    size: int = 32,
    splits: Sequence[str] = (),
    csv: bool | None = None,
) -> Path:
    """Make a face set in `folder` and return the folder.

    Args:
        folder: made where it is missing.
        count: pictures, half of them real.
        suffix: .png, .jpg, .bmp, .webp, or .npy for pixels as they are.
        size: rows and columns of a picture.
        splits: given to the faces by turns, e.g. ("val", "test"); needs labels.csv.
        csv: with labels.csv; by default where there are splits. Without, real/ and fake/ say all.
    """
    faces = faces_of(count, suffix, splits or ("",))
    for face in faces:
        path = folder / face.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture(face.label, int(path.stem), size), suffix))
    if csv or (csv is None and splits):
        (folder / "labels.csv").write_bytes(labels_csv(faces))
    return folder


def encoded(pixels: Picture, suffix: str = ".png") -> bytes:
    """Return a picture as the bytes of a file."""
    if suffix == ".npy":
        stream = io.BytesIO()
        np.save(stream, pixels)
        return stream.getvalue()
    done, data = cv2.imencode(suffix, pixels)
    assert done
    return data.tobytes()


def write_labels(folder: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write labels.csv with just these rows and the columns of the first, however wrong, and return the folder."""
    lines = [",".join(rows[0]), *(",".join(str(value) for value in row.values()) for row in rows)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
