"""One sample: the JPEG bytes of a real or a forged face, and what is known about who is on it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2

from model_zoo.drawn.camera import encode, expose, through_jpeg
from model_zoo.drawn.edits import EDITS, forge, retouched
from model_zoo.drawn.shots import portrait, shot
from model_zoo.drawn.streams import stream

CATEGORIES: tuple[str, ...] = tuple(EDITS)
"""The forgeries, after the methods of FaceForensics++."""

REAL = "real"
"""Category of a face that was not edited."""


@dataclass(frozen=True)
class Traits:
    """What slices of the results are cut by: `skin` from 1 (lightest) to 6, `age` in [0, 1]."""

    skin: int
    glasses: bool
    beard: str
    hair: str
    age: float


def traits(seed: int, index: int) -> Traits:
    """Traits of the person of a pair; a swapped-in face shares all but the age."""
    who = shot(seed, index).who
    return Traits(
        skin=who.skin.tone + 1,
        glasses=who.glasses is not None,
        beard=who.hair.beard,
        hair=who.hair.style,
        age=who.age,
    )


def draw(seed: int, index: int, category: str) -> bytes:
    """JPEG bytes of one sample, 224 x 224.

    `index` is the scene: a real face and a forged one of the same index are a pair, with person, light,
    camera and both JPEG qualities in common and other noise. Raises ValueError for an unknown category.
    """
    if category != REAL and category not in EDITS:
        raise ValueError(f"no category {category!r}: use {REAL} or one of {', '.join(CATEGORIES)}")
    camera = shot(seed, index).camera
    photo = expose(portrait(seed, index), camera, stream(seed, index, f"noise {category}"))
    photo = through_jpeg(retouched(photo, seed, index), camera.first)
    if category != REAL:
        photo = forge(category, photo, seed, index)
    return encode(photo, camera.second)


def single_threaded() -> None:
    """Keep OpenCV to one thread: its pool is slower on pictures of this size, and starves other workers."""
    cv2.setNumThreads(1)
