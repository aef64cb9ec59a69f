"""Eyes, brows and mouth, painted over the lit skin."""

from __future__ import annotations

import numpy as np

from model_zoo.drawn.canvas import SIDE, Frame, Plane, blur, bump, coverage, noise, paint, ramp, strokes
from model_zoo.drawn.identity import Identity
from model_zoo.drawn.scene import Expression, Light, Scene
from model_zoo.drawn.skin import Lit

DARK = (0.015, 0.010, 0.009)


def draw_eyes(picture: Plane, who: Identity, scene: Scene, frame: Frame, lit: Lit) -> None:
    """Paint both eyes."""
    for sign in (-1, 1):
        spot = frame.window((sign * who.eyes.apart, 0.0), 1.9 * who.eyes.width)
        u, v = (plane[spot] for plane in frame.surface)
        x = (u * np.float32(sign) - np.float32(who.eyes.apart)) / np.float32(who.eyes.width)
        y = v / np.float32(who.eyes.width) + np.float32(who.eyes.slant) * x
        light = blur(lit.received[spot], 6)
        patch = picture[spot]
        _eye(patch, who, scene, (x, y), sign, light)


def _lids(who: Identity, face: Expression, x: Plane) -> tuple[Plane, Plane]:
    """Heights (y) of the upper and lower lid at x, in eye widths; x runs from the nose outwards."""
    arc = np.sqrt(np.clip(1 - x * x, 0, 1))
    opening = who.eyes.opening * (1 - 0.45 * face.squint + 0.12 * face.raised)
    upper: Plane = np.float32(-opening) * arc * (1 - np.float32(0.16) * x) + np.float32(0.02)
    lower: Plane = np.float32(0.52 * opening * (1 - 0.25 * face.squint)) * arc * (1 + np.float32(0.2) * x)
    return upper, lower


def _eye(patch: Plane, who: Identity, scene: Scene, at: tuple[Plane, Plane], sign: int, light: Plane) -> None:
    x, y = at
    upper, lower = _lids(who, scene.face, x)
    px = who.eyes.width * scene.pose.size * SIDE  # pixels per eye width
    open_part = np.clip(np.minimum(y - upper, lower - y) * px + 0.5, 0, 1) * (np.abs(x) < 1)
    shade = 0.42 + 0.58 * ramp(y - upper, 0.0, 0.34)  # the upper lid's shadow on the ball
    ball = light * (shade * (1 - 0.28 * x * x))[..., None]
    white = ball * np.array([0.66, 0.62, 0.60], np.float32)
    corner = bump(x + 0.97, y - 0.03, 0.13, 0.13)[..., None] * np.array([0.1, 0.32, 0.3], np.float32)
    white -= np.clip(corner, 0, 0.5) * white
    paint(patch, white, open_part)
    _iris(patch, who, scene, (x, y), sign, (ball, open_part, px))
    _lid_lines(patch, who, (x, y), (upper, lower), px)


def _iris(
    patch: Plane, who: Identity, scene: Scene, at: tuple[Plane, Plane], sign: int, inner: tuple[Plane, Plane, float]
) -> None:
    ball, open_part, px = inner
    radius = np.float32(0.44)
    x = at[0] - np.float32(0.16 * scene.face.gaze_x * sign)
    y = at[1] + np.float32(0.10 - 0.1 * scene.face.gaze_y)
    r = np.sqrt(x * x + y * y) / radius
    angle = np.arctan2(y, x)
    rays = 1 + 0.16 * np.sin(angle * 17 + who.seed % 7) + 0.12 * np.sin(angle * 29 + who.seed % 5)
    depth = (0.55 + 0.75 * ramp(y, -0.35, 0.4)) * rays * (1 - 0.75 * ramp(r, 0.78, 1.0))
    iris = ball * (np.array(who.eyes.colour, np.float32) * depth[..., None] * np.float32(1.2))
    paint(patch, iris, np.clip((1 - r) * radius * px + 0.5, 0, 1) * open_part)
    paint(patch, DARK, np.clip((0.42 - r) * radius * px + 0.5, 0, 1) * open_part)
    lx, ly, _ = scene.light.direction
    spark = np.hypot(at[0] - 0.22 * lx * sign - 0.16 * scene.face.gaze_x * sign, y - 0.26 * ly) / 0.115
    paint(patch, (1.05, 1.05, 1.05), np.clip((1 - spark) * 0.115 * px + 0.5, 0, 1) * open_part * 0.92)


def _lid_lines(patch: Plane, who: Identity, at: tuple[Plane, Plane], lids: tuple[Plane, Plane], px: float) -> None:
    x, y = at
    upper, lower = lids
    inner = 1 - ramp(np.abs(x), 0.93, 1.08)
    thick = np.float32(0.055 + 0.05 * who.eyes.lashes) * (0.7 + 0.5 * ramp(x, -0.6, 0.9))
    lash = np.clip((thick - np.abs(y - upper + thick * 0.6)) * px + 0.5, 0, 1) * inner
    paint(patch, DARK, lash * np.float32(0.9))
    rim = np.clip((0.03 - np.abs(y - lower - 0.02)) * px + 0.5, 0, 1) * inner
    paint(patch, patch * np.array([0.62, 0.48, 0.46], np.float32), rim * np.float32(0.7))
    flick = bump(x - 1.02, y + 0.07, 0.13, 0.06) * who.eyes.lashes
    paint(patch, DARK, np.clip(flick, 0, 1) * np.float32(0.55))
    crease = np.exp(-(((y - upper * 1.12 + 0.20) / 0.05) ** 2)) * (1 - ramp(np.abs(x), 0.75, 1.1))
    paint(patch, patch * np.array([0.58, 0.46, 0.44], np.float32), np.clip(crease, 0, 1) * np.float32(0.65))


def draw_brows(picture: Plane, who: Identity, scene: Scene, frame: Frame, rng: np.random.Generator) -> None:
    """Paint the brows hair by hair over a soft shadow."""
    eyes = who.eyes
    count = int(95 * max(0.5, eyes.brow_weight))
    paths = []
    for sign in (-1, 1):
        t = rng.uniform(0, 1, count)
        spread = rng.normal(0, 0.020, count) * (1.15 - 0.8 * t) * eyes.brow_weight
        root = _brow_line(who, scene.face, t) + np.stack([0 * t, spread], -1)
        turn = -1.15 + 1.25 * t + rng.normal(0, 0.16, count)
        length = rng.uniform(0.05, 0.10, count)
        steps = np.linspace(0, 1, 4)[None, :, None]
        way = np.stack([np.cos(turn), np.sin(turn)], -1) * length[:, None]
        hairs = root[:, None, :] + steps * way[:, None, :]
        paths.append(frame.pixels(hairs * np.array([sign, 1.0])))
    tone, cover = strokes(np.concatenate(paths), rng.uniform(0.2, 0.8, 2 * count))
    # White brows on dark skin read as no brows, to a detector more than to people: darker than the skin, always.
    base = np.minimum(np.array(who.hair.colour) * 0.55, np.array(who.skin.albedo) * 0.42).astype(np.float32)
    colour = base * (0.4 + tone[..., None])
    soft = blur(cover, 1.6)
    skin_weight = np.float32(0.35 + 0.3 * min(1.0, eyes.brow_weight))
    paint(picture, colour, np.clip(soft * skin_weight, 0, 1))
    paint(picture, colour, cover * np.float32(0.78))


def _brow_line(who: Identity, face: Expression, t: Plane) -> Plane:
    """Points of the right brow, t in [0, 1] from the nose outwards, [N, 2]."""
    eyes = who.eyes
    x = 0.16 + 0.56 * t
    arch = eyes.brow_arch * np.sin(np.pi * np.clip(t * 0.85, 0, 1)) * 1.4
    y = -0.27 - eyes.brow_lift - 0.07 * face.raised - arch + 0.07 * t**3 + 0.03 * max(0.0, -face.smile) * (t - 0.5)
    return np.stack([x, y], -1)


def draw_nostrils(picture: Plane, who: Identity, frame: Frame) -> None:
    """Paint nostrils and the shadow line of the wings."""
    u, v = frame.surface
    y = who.nose.length + 0.075
    wide = who.nose.width
    holes = bump(np.abs(u) - 0.085 * wide, v - y - 0.15 * (np.abs(u) - 0.085), 0.042 * wide, 0.024)
    paint(picture, picture * np.array([0.22, 0.13, 0.11], np.float32), np.clip(holes * 1.2, 0, 0.85))
    wing = np.hypot((np.abs(u) - 0.155 * wide) / 0.085, (v - y + 0.035) / 0.085)
    edge = np.exp(-(((wing - 1.0) / 0.16) ** 2)) * ramp(np.abs(u), 0.15 * wide, 0.22 * wide)
    paint(picture, picture * np.array([0.66, 0.52, 0.5], np.float32), edge * np.float32(0.5))


def draw_mouth(picture: Plane, who: Identity, scene: Scene, frame: Frame, lit: Lit, rng: np.random.Generator) -> None:
    """Paint lips, and teeth when the mouth is open."""
    mouth, face = who.mouth, scene.face
    spot = frame.window((0.0, mouth.y), 0.62)
    u, v = (plane[spot] for plane in frame.surface)
    wide = mouth.width * (1 + 0.16 * max(0.0, face.smile) - 0.1 * max(0.0, -face.smile))
    x = u / np.float32(wide)
    y = v - np.float32(mouth.y) + np.float32(0.14 * face.smile) * (x * x - 0.3)
    arc = np.clip(1 - x * x, 0, 1)
    gap = np.float32(0.16 * face.open) * arc
    top, bottom = -gap * 0.12, gap * 0.88
    level = np.zeros_like(x)
    cupid = 1 - 0.30 * bump(x, level, 0.13, 1) + 0.10 * bump(np.abs(x) - 0.25, level, 0.13, 1)
    lip_top = top - np.float32(mouth.upper * 1.15) * arc**0.8 * cupid
    lip_bottom = bottom + np.float32(mouth.lower * 1.15) * arc**0.65
    px = frame.unit
    patch, light = picture[spot], blur(lit.received[spot], 3)
    _lips(patch, who, scene.light, (x, y), (lip_top, top, bottom, lip_bottom), light, rng)
    if face.open > 0:
        _inside(patch, (x, y), (top, bottom), light, px)
    seam = np.exp(-(((y - top) * px / 1.3) ** 2)) * (np.abs(x) < 1.04)
    paint(patch, patch * np.array([0.22, 0.12, 0.11], np.float32), seam * np.float32(0.8))
    corner = bump(np.abs(x) - 1.0, y, 0.06, 0.03)
    paint(patch, patch * np.float32(0.45), np.clip(corner, 0, 1) * np.float32(0.6))


def _lips(
    patch: Plane,
    who: Identity,
    light: Light,
    at: tuple[Plane, Plane],
    edges: tuple[Plane, Plane, Plane, Plane],
    received: Plane,
    rng: np.random.Generator,
) -> None:
    """Both lips; `edges` are y of upper lip's top and bottom, lower lip's top and bottom."""
    x, y = at
    red = np.float32(who.mouth.redness)
    skin = np.array(who.skin.albedo, np.float32)
    tint = np.exp(np.array([-0.12, -0.95, -0.75], np.float32) * (0.45 + 0.75 * red))
    creases = 1 + 0.07 * noise(rng, 2.2, (8, x.shape[1]))[4][None, :]
    for upper, top, bottom in ((True, edges[0], edges[1]), (False, edges[2], edges[3])):
        across = np.clip((y - top) / np.maximum(bottom - top, np.float32(1e-3)), 0, 1)
        roll = (0.72 + 0.25 * across) if upper else (1.16 - 0.45 * across)
        mask = coverage(np.minimum(y - top, bottom - y).astype(np.float32), 2.2) * (np.abs(x) < 1.02)
        paint(patch, received * skin * tint * (roll * creases)[..., None], mask * np.float32(0.93))
        if not upper:
            shine = bump(x - 0.35 * light.direction[0], across - 0.35, 0.28, 0.14) * mask
            shine *= np.float32(0.05 + 0.10 * red) * np.float32(light.key)
            patch += (shine * creases**3)[..., None]


def _inside(patch: Plane, at: tuple[Plane, Plane], gap: tuple[Plane, Plane], light: Plane, px: float) -> None:
    """Dark of the mouth, teeth below the upper lip, a hint of tongue."""
    x, y = at
    hole = np.clip(np.minimum(y - gap[0], gap[1] - y) * px + 0.5, 0, 1) * (np.abs(x) < 1)
    paint(patch, light * np.array([0.09, 0.025, 0.022], np.float32), hole)
    tongue = bump(x, (y - gap[1]) / 0.05, 0.45, 0.8)
    paint(patch, light * np.array([0.33, 0.10, 0.09], np.float32), hole * tongue * np.float32(0.7))
    teeth = (
        np.clip((gap[0] + 0.075 * (1 - 0.25 * x * x) - y) * px + 0.5, 0, 1) * hole * (1 - ramp(np.abs(x), 0.72, 0.95))
    )
    between = 1 - 0.22 * np.exp(-(((np.abs(np.sin(x * 3.14159 * 3.1))) / 0.16) ** 2))
    shade = (between * (0.55 + 0.45 * ramp(y - gap[0], 0, 0.04)) * (1 - 0.45 * x * x))[..., None]
    paint(patch, light * shade * np.array([0.80, 0.76, 0.69], np.float32), teeth)
