"""The skin: face, ears and neck, from albedo and height to lit colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model_zoo.drawn.canvas import SIDE, Frame, Plane, blur, bump, coverage, noise, paint, ramp, tinted
from model_zoo.drawn.identity import Identity, Skin
from model_zoo.drawn.relief import diffuse, face_height, glint, hollows, normals, outline
from model_zoo.drawn.scene import Light, Scene


@dataclass(frozen=True)
class Lit:
    """Light on the face, kept for what is painted over it: diffuse [H, W, 3] and mask [H, W]."""

    received: Plane
    normal: Plane
    mask: Plane


def draw_face(picture: Plane, who: Identity, scene: Scene, frame: Frame, rng: np.random.Generator) -> Lit:
    """Paint the bare face and return the light that falls on it."""
    height = face_height(who, scene.face, frame, rng)
    normal = normals(height, frame.unit)
    mask = coverage(outline(who.skull, *frame.flat), 1.2)
    open_sky = hollows(height, frame.unit)
    received = diffuse(normal, scene.light) * open_sky[..., None]
    colour = received * _albedo(who, frame, rng) + _shine(who.skin, normal, scene.light, open_sky)
    paint(picture, colour, mask)
    return Lit(received, normal, mask)


def _shine(skin: Skin, normal: Plane, light: Light, open_sky: Plane) -> Plane:
    broad = glint(normal, light, 14) * np.float32(0.045 * skin.oil)
    sharp = glint(normal, light, 60) * np.float32(0.075 * skin.oil)
    both: Plane = ((broad + sharp) * open_sky**2 * np.float32(light.key))[..., None]
    return both


def _albedo(who: Identity, frame: Frame, rng: np.random.Generator) -> Plane:
    u, v = frame.surface
    skin = who.skin
    base = np.array(skin.albedo, dtype=np.float32)
    red = _flush(who, np.abs(u), u, v) + np.float32(0.09 * skin.mottle) * noise(rng, 14)
    tint = np.exp(tinted(red, (0.10, -0.22, -0.20)))
    shade = np.exp(np.float32(0.035 * (0.5 + skin.mottle)) * (noise(rng, 5) + noise(rng, 30)))
    shade *= 1 - (0.10 + 0.12 * who.age) * bump(np.abs(u) - who.eyes.apart, v - 0.12, 0.2, 0.07)
    albedo = base * tint * shade[..., None]
    spots = np.clip(_freckles(who, u, v, rng), 0, 0.6)
    spotted: Plane = np.clip(albedo * (1 - tinted(spots, (0.5, 0.7, 0.8))), 0, 1)
    return spotted


def _flush(who: Identity, side: Plane, u: Plane, v: Plane) -> Plane:
    """Redness of cheeks, nose and chin."""
    cheeks = bump(side - 0.56, v - 0.42, 0.2, 0.16)
    nose = bump(u, v - who.nose.length, 0.14, 0.1)
    chin = 0.5 * bump(u, v - who.skull.chin + 0.2, 0.22, 0.12)
    red: Plane = np.float32(0.9 * who.skin.flush) * (cheeks + 0.8 * nose + chin)
    return red


def _freckles(who: Identity, u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    spots = np.zeros((SIDE, SIDE), np.float32)
    count = int(30 + 500 * who.skin.freckles) if who.skin.freckles else int(8 * who.age + 3)
    ys, xs = rng.integers(2, SIDE - 2, (2, 2 * count))
    spots[ys, xs] = rng.uniform(0.5, 2.5, 2 * count)
    zone = bump(np.abs(u) - 0.35, v - 0.28, 0.35, 0.22) if who.skin.freckles else np.ones_like(u)
    return blur(spots, 1.1) * 2.2 * zone


def draw_ears(picture: Plane, who: Identity, scene: Scene, frame: Frame) -> None:
    """Paint both ears; the face is painted over their roots."""
    a, b = frame.flat
    skin = np.array(who.skin.albedo, dtype=np.float32) * np.array([1.0, 0.9, 0.88], np.float32)
    for sign in (-1, 1):
        x = (a - np.float32(sign * (who.skull.width + 0.045) + 0.25 * scene.pose.yaw)) / np.float32(0.14)
        x = x - np.float32(0.35 * sign) * -(b - 0.1)
        y = (b - np.float32(0.1)) / np.float32(0.29)
        inside: Plane = (1 - x * x - y * y).astype(np.float32)
        height = np.float32(0.12) * np.sqrt(np.clip(inside, 0, 1)) - 0.10 * bump(x - 0.1 * sign, y, 0.42, 0.5)
        light = diffuse(normals(blur(height.astype(np.float32), 1.0), frame.unit), scene.light)
        paint(picture, light * skin * np.float32(0.85), coverage(inside, 1.2))
        if who.earrings:
            stud = bump(a - np.float32(sign * (who.skull.width + 0.03)), b - 0.40, 0.022, 0.022)
            paint(picture, (0.85, 0.75, 0.5), np.clip(stud * 1.6, 0, 1))


def draw_neck(picture: Plane, who: Identity, scene: Scene, frame: Frame) -> None:
    """Paint the neck with the shadow of the chin on it."""
    a, b = frame.flat
    lean = np.float32(0.12 * scene.pose.yaw)
    wide = np.float32(0.50 + 0.05 * who.skull.width) + np.float32(0.5) * ramp(b, 1.35, 2.1) ** 2
    inside: Plane = np.minimum(1 - ((a - lean) / wide) ** 2, b - np.float32(0.4)).astype(np.float32)
    height: Plane = np.float32(0.45) * np.sqrt(np.clip(inside, 0, 1) + np.float32(0.03))
    cords = 0.05 * bump(np.abs(a - lean) - 0.26 + 0.25 * (b - 1.5), b - 1.65, 0.05, 0.3)
    throat = 0.04 * bump(a - lean, b - 1.62, 0.06, 0.1)
    light = diffuse(normals(blur((height + cords + throat).astype(np.float32), 1.5), frame.unit), scene.light)
    x, y, _ = scene.light.direction
    cast = outline(who.skull, a + np.float32(0.35 * x), b - np.float32(0.16 - 0.12 * y))
    shadow = 1 - np.float32(0.62) * blur(coverage(cast, 9), 3)
    skin = np.array(who.skin.albedo, dtype=np.float32) * np.float32(0.92)
    paint(picture, light * shadow[..., None] * skin, coverage(inside, 1.3))
