"""What is around the face: backdrop, clothes, glasses."""

from __future__ import annotations

import cv2
import numpy as np

from model_zoo.drawn.canvas import SIDE, Frame, Plane, blur, bump, coverage, noise, paint, planes, ramp
from model_zoo.drawn.identity import Glasses, Identity
from model_zoo.drawn.relief import diffuse, normals
from model_zoo.drawn.scene import Scene


def draw_backdrop(scene: Scene, rng: np.random.Generator) -> Plane:
    """A new picture with the backdrop, [SIDE, SIDE, 3] linear."""
    ys, xs = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE - 0.5
    x, y, _ = scene.light.direction
    fall = 0.75 + 0.55 * bump(xs - 0.3 * x, ys - 0.3 * y, 0.5, 0.5)
    picture: Plane = np.array(scene.wall, np.float32) * fall[..., None]
    _BACKDROPS[scene.backdrop](picture, rng)
    soft = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(1.5, 4.0)))
    return planes([soft[..., channel] for channel in range(3)])


def _studio(picture: Plane, rng: np.random.Generator) -> None:
    picture *= np.exp(0.05 * noise(rng, 60))[..., None]


def _bokeh(picture: Plane, rng: np.random.Generator) -> None:
    for _ in range(22):
        layer = np.zeros((SIDE, SIDE), np.float32)
        spot = (int(rng.integers(SIDE)), int(rng.integers(SIDE)))
        cv2.circle(layer, spot, int(rng.integers(8, 34)), 1.0, -1, cv2.LINE_AA)
        glow = rng.uniform(0.2, 1.1) * rng.uniform(0.5, 1.0, 3)
        paint(picture, (float(glow[0]), float(glow[1]), float(glow[2])), layer * np.float32(rng.uniform(0.1, 0.5)))


def _wall(picture: Plane, rng: np.random.Generator) -> None:
    step = int(rng.integers(24, 60))
    picture *= np.exp(0.06 * noise(rng, 3) + 0.06 * noise(rng, 20))[..., None]
    for row, top in enumerate(range(0, SIDE, step)):
        picture[top : top + 2] *= 0.72
        for left in range((row % 2) * step, SIDE, 2 * step):
            picture[top : top + step, left : left + 2] *= 0.75


def _window(picture: Plane, rng: np.random.Generator) -> None:
    left, width = int(rng.integers(-40, 200)), int(rng.integers(70, 150))
    picture[:, max(0, left) : max(0, left + width)] += np.array([0.5, 0.56, 0.62], np.float32)
    for bar in (left, left + width // 2, left + width):
        picture[:, max(0, bar - 4) : max(0, bar + 4)] *= 0.25
    picture[int(SIDE * 0.4) : int(SIDE * 0.4) + 7] *= 0.4


def _leaves(picture: Plane, rng: np.random.Generator) -> None:
    green = np.array([0.45, 0.8, 0.3], np.float32)
    tone = np.clip(0.55 + 0.35 * noise(rng, 12) + 0.3 * noise(rng, 5), 0.05, 2)
    picture *= tone[..., None] * green * 1.2
    picture += (np.clip(noise(rng, 16) - 1.2, 0, 1) * 0.7)[..., None]


_BACKDROPS = {"studio": _studio, "bokeh": _bokeh, "wall": _wall, "window": _window, "leaves": _leaves}


def draw_clothes(picture: Plane, who: Identity, scene: Scene, frame: Frame, rng: np.random.Generator) -> None:
    """Paint shoulders with a collar."""
    a, b = frame.flat
    slope = 1.62 + 0.28 * np.abs(a) ** 1.4
    inside: Plane = (b - slope).astype(np.float32) - _neckline(scene.collar, a, b)
    height: Plane = 0.5 * np.sqrt(np.clip(b - slope, 0, 1) + 0.02) - 0.12 * a * a
    height = blur(height.astype(np.float32), 2) + 0.012 * noise(rng, 18)
    light = diffuse(normals(height, frame.unit), scene.light, (0.2, 0.2, 0.2))
    weave = 1 + 0.06 * rng.standard_normal((SIDE, SIDE), dtype=np.float32)
    mask = coverage(inside.astype(np.float32), 1.5)
    fold = 1 - 0.45 * np.exp(-((inside / 0.045) ** 2))
    paint(picture, light * np.array(scene.cloth, np.float32) * (weave * fold)[..., None], mask)


def _neckline(collar: str, a: Plane, b: Plane) -> Plane:
    """How far the edge of the cloth is pushed down at each x."""
    side = np.abs(a)
    if collar == "vee":
        cut: Plane = 0.75 * np.clip(1 - side / 0.55, 0, 1)
    elif collar == "shirt":
        cut = 0.5 * np.clip(1 - side / 0.30, 0, 1) - 0.22 * np.exp(-(((side - 0.45) / 0.13) ** 2))
    elif collar == "hood":
        cut = 0.25 * np.clip(1 - (side / 0.5) ** 2, 0, 1) - 0.30 * np.exp(-(((side - 0.62) / 0.2) ** 2))
    else:
        cut = 0.22 * np.clip(1 - (side / 0.58) ** 2, 0, 1)
    return cut.astype(np.float32)


def draw_glasses(picture: Plane, glasses: Glasses, who: Identity, scene: Scene, frame: Frame) -> None:
    """Paint a thin frame with clear lenses: a tinted lens whitens the sockets and hides the eyes."""
    u, v = frame.surface
    x = (np.abs(u) - np.float32(who.eyes.apart + 0.01)) / np.float32(glasses.width)
    y = (v - np.float32(0.025)) / np.float32(glasses.height)
    r: Plane = (np.abs(x) ** np.float32(glasses.shape) + np.abs(y) ** np.float32(glasses.shape)) ** np.float32(
        1 / glasses.shape
    )
    ring = np.abs(r - 1) * np.float32(glasses.height) - np.float32(glasses.thickness / 2)
    px = np.float32(frame.unit)
    rims = np.clip(0.5 - ring * px, 0, 1)
    bridge = np.abs(v + 0.055 - 0.5 * u * u) - np.float32(glasses.thickness / 2)
    rims = np.maximum(rims, np.clip(0.5 - bridge * px, 0, 1) * (np.abs(u) < who.eyes.apart + 0.02 - glasses.width))
    arm = np.abs(v + 0.06) - np.float32(glasses.thickness / 2)
    outer = (np.abs(u) > who.eyes.apart + glasses.width) & (np.abs(frame.flat[0]) < who.skull.width + 0.02)
    rims = np.maximum(rims, np.clip(0.5 - arm * px, 0, 1) * outer)
    shadow = blur(np.roll(rims.astype(np.float32), 4, axis=0), 2.0)
    paint(picture, picture * np.float32(0.6), shadow * np.float32(0.4))
    gloss = 0.6 + 0.9 * ramp(-y, 0.2, 1.0)
    paint(picture, np.array(glasses.colour, np.float32) * gloss[..., None] + 0.012, rims.astype(np.float32))
    lx = scene.light.direction[0]
    streak = np.exp(-(((x * np.sign(u) * 0.8 + y * 0.6 - 0.4 * lx + 0.35) / 0.10) ** 2)) * (r < 0.93)
    picture += (streak * np.float32(0.05 * scene.light.key))[..., None]
