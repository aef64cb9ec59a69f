"""The shape of a face as a height field, and how light falls on heights."""

from __future__ import annotations

import cv2
import numpy as np

from model_zoo.drawn.canvas import SIDE, Frame, Plane, blur, bump, planes, ramp
from model_zoo.drawn.identity import Identity, Skull
from model_zoo.drawn.scene import Expression, Light

HALF = SIDE // 2


def outline(skull: Skull, a: Plane, b: Plane) -> Plane:
    """Positive inside the face, 0 on its edge, 1 at its centre."""
    jaw = ramp(b, 0.1, skull.chin)
    width = np.float32(skull.width) * (1 - np.float32(0.06) * jaw)
    reach = np.where(b > 0, np.float32(skull.chin), np.float32(skull.top))
    inside: Plane = 1 - (np.abs(a) / width) ** np.float32(skull.round) - (np.abs(b) / reach) ** np.float32(skull.square)
    return inside.astype(np.float32)


def face_height(who: Identity, face: Expression, frame: Frame, rng: np.random.Generator) -> Plane:
    """Height of the skin in head units, [SIDE, SIDE].

    Worked out at half the resolution, which cannot be told from the full one after the blur of the skin.
    """
    a, b = (plane[::2, ::2] for plane in frame.flat)
    u, v = (plane[::2, ::2] for plane in frame.surface)
    side: Plane = np.abs(u)
    dome = np.sqrt(np.clip(outline(who.skull, a, b), 0, 1) + np.float32(0.02)) * np.float32(0.72)
    height = dome + _eye_region(who, face, side, v) + _nose(who, u, side, v) + _lower_face(who, face, u, side, v)
    height -= _creases(who, face, frame, rng)
    whole: Plane = cv2.resize(height, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    pores = noise_pores(rng) * np.float32(0.0005 + 0.0009 * who.age)
    return blur(whole, 1.2) + pores


def noise_pores(rng: np.random.Generator) -> Plane:
    """Fine grain of the skin, about unit spread."""
    return blur(rng.standard_normal((SIDE, SIDE), dtype=np.float32), 0.9) * np.float32(2.5)


def _eye_region(who: Identity, face: Expression, side: Plane, v: Plane) -> Plane:
    eyes, age = who.eyes, who.age
    brow = -0.26 - eyes.brow_lift - 0.04 * face.raised
    ridge = 0.07 * bump(side - 0.42, v - brow, 0.34, 0.08)
    socket = -0.13 * bump(side - eyes.apart + 0.03, v + 0.02, 0.25, 0.15)
    ball = 0.075 * bump(side - eyes.apart, v, 0.17, 0.12)
    bag = (0.012 + 0.03 * age) * bump(side - eyes.apart, v - 0.19, 0.17, 0.035)
    temple = -0.06 * bump(side - 0.92, v + 0.25, 0.14, 0.25)
    height: Plane = ridge + socket + ball + bag + temple
    return height


def _nose(who: Identity, u: Plane, side: Plane, v: Plane) -> Plane:
    nose = who.nose
    tip, wide = nose.length, nose.width
    along = ramp(v, -0.25, tip) * (1 - ramp(v, tip, tip + 0.2))
    bridge = np.float32(nose.bridge) * (0.05 + 0.17 * along) * bump(u, v - 0.1, 0.105 * wide, 0.34)
    ball = 0.11 * nose.tip * bump(u, v - tip, 0.11 * wide, 0.095)
    wings = 0.075 * bump(side - 0.165 * wide, v - tip - 0.05, 0.065, 0.065)
    under = -0.05 * bump(u, v - tip - 0.17, 0.17 * wide, 0.04)
    height: Plane = bridge + ball + wings + under
    return height


def _lower_face(who: Identity, face: Expression, u: Plane, side: Plane, v: Plane) -> Plane:
    smile, mouth = max(0.0, face.smile), who.mouth
    cheek = (0.07 + 0.05 * smile) * who.skull.cheeks * bump(side - 0.56, v - 0.36 + 0.04 * smile, 0.22, 0.19)
    hollow = -0.05 * (1.4 - who.skull.cheeks) * bump(side - 0.62, v - 0.78, 0.16, 0.2)
    mound = 0.08 * bump(u, v - mouth.y, 0.36, 0.2)
    philtrum = -0.025 * bump(u, v - mouth.y + 0.17, 0.035, 0.06)
    below = -0.05 * bump(u, v - mouth.y - 0.2, 0.2, 0.05)
    chin = 0.09 * bump(u, v - who.skull.chin + 0.2, 0.2, 0.12)
    height: Plane = cheek + hollow + mound + philtrum + below + chin
    return height


def _creases(who: Identity, face: Expression, frame: Frame, rng: np.random.Generator) -> Plane:
    """Depth of the lines of the face at half resolution."""
    smile = max(0.0, face.smile)
    ink = np.zeros((SIDE, SIDE), np.float32)
    for sign in (-1, 1):
        for path, weight in _lines(who, smile, sign, rng):
            points = np.round(frame.pixels(path) * 16).astype(np.int32)
            cv2.polylines(ink, [points], False, float(weight), 2, cv2.LINE_AA, 4)
    half: Plane = cv2.resize(blur(ink, 1.8), (HALF, HALF), interpolation=cv2.INTER_AREA)
    return half * np.float32(0.06)


def _lines(who: Identity, smile: float, sign: int, rng: np.random.Generator) -> list[tuple[Plane, float]]:
    """Folds of one side: nose to mouth, forehead, crow's feet; with their weights in [0, 1]."""
    age, nose, mouth = who.age, who.nose, who.mouth
    fold = [(0.24 * nose.width, nose.length), (0.36, nose.length + 0.16), (mouth.width + 0.1, mouth.y - 0.02)]
    lines = [(_curve(fold, sign), min(1.0, 0.12 + 0.4 * age + 0.45 * smile))]
    for row in range(3):
        y = -0.5 - 0.1 * row + float(rng.normal(0, 0.012))
        lines.append((_curve([(0.0, y), (0.3, y - 0.02), (0.52, y + 0.03)], sign), max(0.0, age - 0.3) * 0.9))
    for row in range(3):
        start = (who.eyes.apart + 0.27, -0.04 + 0.05 * row)
        end = (start[0] + 0.1, start[1] + 0.05 * (row - 1))
        lines.append((_curve([start, end], sign), max(0.0, age - 0.25) * (0.5 + 0.5 * smile)))
    return lines


def _curve(points: list[tuple[float, float]], sign: int) -> Plane:
    """A smooth line through two or three points, mirrored by `sign`, [12, 2]."""
    knots = np.array(points, dtype=np.float64)
    where = np.linspace(0, 1, len(knots))
    at = np.linspace(0, 1, 12)
    degree = len(knots) - 1
    xs, ys = (np.polyval(np.polyfit(where, knots[:, axis], degree), at) for axis in (0, 1))
    return np.stack([sign * xs, ys], axis=-1).astype(np.float32)


def normals(height: Plane, unit: float) -> Plane:
    """Unit normals [H, W, 3] of a height in head units, `unit` pixels each; z points at the viewer."""
    dx = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=0.125 * unit)
    dy = cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=0.125 * unit)
    scale = 1 / np.sqrt(dx * dx + dy * dy + 1)
    return planes([-dx * scale, -dy * scale, scale])


def diffuse(normal: Plane, light: Light, wrap: tuple[float, float, float] = (0.32, 0.18, 0.14)) -> Plane:
    """Light received, [H, W, 3]. Red wraps further round than blue, which looks like skin."""
    facing = _dot(normal, light.direction)
    x, y, z = light.direction
    fill = np.clip(_dot(normal, (-x, y, z)), 0, 1) * np.float32(light.fill)
    up = (0.65 - 0.27 * normal[..., 1]) * np.float32(light.ambient)
    channels = []
    for soft, tint, sky in zip(wrap, light.tint, light.sky, strict=True):
        key = np.clip(facing + np.float32(soft), 0, 1 + soft) * np.float32(light.key * tint / (1 + soft))
        channels.append(key + fill + up * np.float32(sky))
    return planes(channels)


def glint(normal: Plane, light: Light, power: float) -> Plane:
    """Specular highlight (Blinn), [H, W]; `power` is the sharpness."""
    x, y, z = light.direction
    half = np.array([x, y, z + 1]) / np.sqrt(x * x + y * y + (z + 1) ** 2)
    towards = np.clip(_dot(normal, (float(half[0]), float(half[1]), float(half[2]))), 0, 1)
    shine: Plane = towards ** np.float32(power)
    return shine


def hollows(height: Plane, unit: float) -> Plane:
    """Ambient occlusion, [H, W] in [0.35, 1]: a point below its surroundings gets less light."""
    small = cv2.resize(height, (HALF, HALF), interpolation=cv2.INTER_AREA)
    sunk = blur(small, unit * 0.06) - small
    open_sky: Plane = cv2.resize(np.clip(1 - 4.0 * sunk, 0.42, 1.08), (SIDE, SIDE))
    return open_sky


def _dot(normal: Plane, vector: tuple[float, float, float]) -> Plane:
    x, y, z = (np.float32(value) for value in vector)
    product: Plane = normal[..., 0] * x + normal[..., 1] * y + normal[..., 2] * z
    return product
