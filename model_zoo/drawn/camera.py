"""The camera and the two JPEG files that every picture goes through, real or fake."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from model_zoo.drawn.canvas import Plane, blur, noise
from model_zoo.drawn.streams import chance, uniform


@dataclass(frozen=True)
class Camera:
    """Optics, sensor and encoder; a real picture and its fake share one camera.

    `softness` is a blur in pixels, `shot` and `read` the spread of the noise in sRGB at full and at no
    light, `chroma` its part in colour, `grain` its grain in pixels. `retouch` smooths the inner face of
    both classes, so that smooth skin alone is no evidence. `first` and `second` are JPEG qualities.
    """

    softness: float
    vignette: float
    contrast: float
    warmth: float
    shot: float
    read: float
    chroma: float
    grain: float
    sharpen: float
    retouch: float
    shrink: float
    first: int
    second: int


def sample_camera(rng: np.random.Generator) -> Camera:
    """Draw a camera, from a good one to a cheap one."""
    return Camera(
        softness=uniform(rng, 0.25, 0.85),
        vignette=uniform(rng, 0.0, 0.25),
        contrast=uniform(rng, 0.92, 1.12),
        warmth=uniform(rng, -0.04, 0.05),
        shot=uniform(rng, 0.004, 0.016),
        read=uniform(rng, 0.002, 0.009),
        chroma=uniform(rng, 0.3, 0.8),
        grain=uniform(rng, 0.4, 0.9),
        sharpen=uniform(rng, 0.0, 0.8),
        retouch=uniform(rng, 0.2, 1.0) if chance(rng, 0.25) else 0.0,
        shrink=uniform(rng, 0.62, 0.95) if chance(rng, 0.4) else 1.0,
        first=int(rng.integers(84, 97)),
        second=int(rng.integers(70, 89)),
    )


def expose(scene: Plane, camera: Camera, rng: np.random.Generator) -> Plane:
    """Photograph a rendered picture: sRGB [H, W, 3] in [0, 1], noise from `rng`."""
    picture = blur(scene, camera.softness)
    picture = (picture - 0.5) * np.float32(camera.contrast) + 0.5
    tint = np.array([1 + camera.warmth, 1.0, 1 - camera.warmth], np.float32)
    picture = picture * tint * _falloff(picture.shape[0], camera.vignette)
    picture = resampled(picture, camera.shrink)
    if camera.sharpen:
        picture = picture + np.float32(camera.sharpen) * (picture - blur(picture, 1.1))
    photo: Plane = np.clip(picture + sensor_noise(picture, camera, rng), 0, 1)
    return photo


def sensor_noise(picture: Plane, camera: Camera, rng: np.random.Generator) -> Plane:
    """Noise of the sensor for a picture, [H, W, 3]: more in the light, luma and chroma apart."""
    height, width = picture.shape[:2]
    level = np.sqrt(camera.read**2 + camera.shot**2 * np.clip(picture.mean(axis=-1), 0, 1))
    luma = blur(rng.standard_normal((height, width), dtype=np.float32), camera.grain)
    luma *= np.float32(1 + camera.grain)  # what the blur took
    colour = np.stack([noise(rng, 2.0, (height, width)) for _ in range(3)], axis=-1)
    grains: Plane = level[..., None] * (luma[..., None] + np.float32(camera.chroma) * colour)
    return grains.astype(np.float32)


def resampled(picture: Plane, factor: float) -> Plane:
    """The picture reduced by a factor and enlarged again."""
    if factor >= 1:
        return picture
    height, width = picture.shape[:2]
    small = cv2.resize(picture, (round(width * factor), round(height * factor)), interpolation=cv2.INTER_AREA)
    large: Plane = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return large


def encode(picture: Plane, quality: int) -> bytes:
    """JPEG bytes of an sRGB picture in [0, 1]."""
    pixels = np.ascontiguousarray(np.clip(np.round(picture * 255), 0, 255).astype(np.uint8)[..., ::-1])
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done, "encoding an 8-bit picture in memory cannot fail"
    return data.tobytes()


def through_jpeg(picture: Plane, quality: int) -> Plane:
    """The picture after one JPEG file."""
    data = np.frombuffer(encode(picture, quality), np.uint8)
    pixels: NDArray[np.uint8] = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(pixels[..., ::-1]).astype(np.float32) / 255


def _falloff(side: int, amount: float) -> Plane:
    ys, xs = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
    shade: Plane = 1 - np.float32(amount * 2) * (xs * xs + ys * ys)
    return shade[..., None]
