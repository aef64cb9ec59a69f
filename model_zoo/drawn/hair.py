"""Hair and beards, drawn strand by strand along a direction field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_zoo.drawn.canvas import Frame, Plane, blur, coverage, noise, paint, ramp, strokes
from model_zoo.drawn.identity import Hair, Identity
from model_zoo.drawn.relief import diffuse, glint, normals
from model_zoo.drawn.scene import Scene
from model_zoo.drawn.skin import Lit

Points = NDArray[np.float64]
Field = Callable[[Points], Points]


@dataclass(frozen=True)
class Style:
    """How hair grows: thickness outside the skull, strand length, curl (radians a step), strand count.

    `back` is how far down the hair hangs behind the head (None: not at all), all in head units.
    """

    thick: float
    length: float
    curl: float
    count: int
    back: float | None = None
    wide: float = 0.0


STYLES: dict[str, Style] = {
    "buzz": Style(0.03, 0.05, 0.05, 1100),
    "crop": Style(0.13, 0.17, 0.10, 1100),
    "parted": Style(0.17, 0.55, 0.06, 900),
    "swept": Style(0.22, 0.50, 0.08, 900),
    "fringe": Style(0.16, 0.55, 0.06, 950, back=0.45, wide=0.14),
    "bob": Style(0.18, 0.75, 0.07, 950, back=1.05, wide=0.24),
    "long": Style(0.17, 0.95, 0.10, 950, back=2.2, wide=0.26),
    "curls": Style(0.26, 0.26, 0.62, 1500, back=1.15, wide=0.34),
    "afro": Style(0.42, 0.14, 1.30, 1500, back=0.55, wide=0.42),
    "bun": Style(0.08, 0.60, 0.05, 900),
}


def draw_back_hair(picture: Plane, who: Identity, scene: Scene, frame: Frame, rng: np.random.Generator) -> None:
    """Paint what hangs behind the head, before neck and face."""
    style = STYLES.get(who.hair.style)
    if who.hair.style == "bun":
        _bun(picture, who, scene, frame, rng)
    if style is None or style.back is None:
        return
    inside = _back_shape(who, style, *frame.flat)
    mask = coverage(inside, 2.0)
    reach = style.wide + who.skull.width
    low = min(style.back, 1.9)
    roots = np.stack([rng.uniform(-reach, reach, 900), rng.uniform(-who.skull.top, low, 900)], -1)
    roots = roots[_sampled(mask, frame.pixels(roots, on_surface=False)) > 0.5]
    paths = _grow(roots, _falling, 0.45, style.curl, rng)
    _lay(picture, who.hair, scene, (mask, paths), frame, shade=0.62)


def _back_shape(who: Identity, style: Style, a: Plane, b: Plane) -> Plane:
    volume = np.float32(0.75 + 0.25 * who.hair.volume)
    wide = np.float32(who.skull.width) + np.float32(style.wide) * volume * ramp(b, -1.3, 0.1)
    dome: Plane = (
        1
        - (np.abs(a) / wide) ** 2.4
        - (np.minimum(b, 0) / np.float32(who.skull.top + style.thick * float(volume))) ** 2
    )
    end = np.float32(style.back or 0.0) - b - np.float32(0.28) * np.abs(a / wide) ** 3
    shape: Plane = np.minimum(dome, end * 2).astype(np.float32)
    return shape


def draw_front_hair(picture: Plane, who: Identity, scene: Scene, frame: Frame, rng: np.random.Generator) -> None:
    """Paint the hair on the skull, with its shadow on the forehead."""
    style = STYLES.get(who.hair.style)
    if style is None:
        return
    mask = _cap(who, style, frame, rng)
    shadow = blur(np.roll(mask, 5, axis=0), 5) * (1 - mask)
    weight = np.float32(0.2 if who.hair.style == "buzz" else 0.6)
    paint(picture, picture * np.array([0.5, 0.42, 0.4], np.float32), shadow * weight)
    reach, tries = who.skull.width + style.thick, 4 * style.count
    xs, ys = rng.uniform(-reach, reach, tries), rng.uniform(-who.skull.top - style.thick, 0.45, tries)
    roots = np.stack([xs, ys], -1)
    roots = roots[_sampled(mask, frame.pixels(roots, on_surface=False)) > 0.45][: style.count]
    paths = _grow(roots, FIELDS[who.hair.style](who), style.length, style.curl, rng)
    _lay(picture, who.hair, scene, (mask * _density(who), paths), frame)
    if who.hair.style == "fringe":
        bare = np.zeros_like(mask)
        _lay(picture, who.hair, scene, (bare, _fringe(who, rng)), frame, shade=0.6, clip=False)


def _density(who: Identity) -> np.float32:
    return np.float32(0.72 if who.hair.style == "buzz" else 0.97)


def _cap(who: Identity, style: Style, frame: Frame, rng: np.random.Generator) -> Plane:
    """Mask of the hair on the skull: inside a swollen outline, above the hairline."""
    (a, b), (u, v) = frame.flat, frame.surface
    thick = np.float32(style.thick * (0.7 + 0.3 * who.hair.volume))
    lift = thick * ramp(-b, -0.1, 0.9)
    wide = np.float32(who.skull.width + 0.015) + lift * np.float32(0.75)
    dome: Plane = 1 - (np.abs(a) / wide) ** np.float32(2.3) - (b / (np.float32(who.skull.top + 0.02) + thick)) ** 2
    dome += np.float32(0.03) * noise(rng, 9) * np.float32(min(1.0, style.curl * 2 + 0.3))
    line = _hairline(who, u) + np.float32(0.018) * noise(rng, 4)
    above = (line - v).astype(np.float32)
    mask: Plane = coverage(dome.astype(np.float32), 2.5) * np.clip(above * np.float32(frame.unit / 5) + 0.5, 0, 1)
    return mask


def _hairline(who: Identity, u: Plane) -> Plane:
    """y of the hairline at u: high in the middle, falling to the sideburns."""
    side = np.abs(u)
    temple = np.float32(0.10 * who.age) * np.exp(-(((side - 0.5) / 0.18) ** 2))
    line: Plane = np.float32(who.hair.hairline) + 0.16 * side**2 - temple + 0.95 * ramp(side, 0.72, 1.0)
    return line.astype(np.float32)


def _falling(p: Points) -> Points:
    return np.stack([0.3 * p[:, 0] * np.clip(-p[:, 1], 0, 1), 0.3 + np.abs(p[:, 1])], -1)


def _from_part(who: Identity) -> Field:
    """Round the skull and down, away from the parting."""

    def field(p: Points) -> Points:
        side = np.tanh((p[:, 0] - who.hair.part) * 6)
        return np.stack([side * np.clip(-p[:, 1] - 0.15, 0.0, 2), 0.15 + 0.9 * np.abs(p[:, 0] - who.hair.part)], -1)

    return field


def _swept(who: Identity) -> Field:
    """Up from the forehead and over to one side."""
    lean = float(np.sign(who.hair.part))

    def field(p: Points) -> Points:
        away = np.abs(p[:, 0])
        return np.stack([lean * 0.8 * np.clip(-p[:, 1], 0, 1) + 0.2 * p[:, 0], -0.75 + 1.7 * away**2], -1)

    return field


def _upright(who: Identity) -> Field:
    """Up on the crown, down at the sides."""

    def field(p: Points) -> Points:
        return np.stack([p[:, 0] * 0.35 + 0.25 * who.hair.part, -0.8 + 1.9 * np.abs(p[:, 0]) ** 2], -1)

    return field


def _to_crown(who: Identity) -> Field:
    crown = np.array([0.0, -who.skull.top - 0.15])

    def field(p: Points) -> Points:
        return crown - p

    return field


FIELDS: dict[str, Callable[[Identity], Field]] = {
    "buzz": _upright,
    "crop": _upright,
    "parted": _from_part,
    "swept": _swept,
    "fringe": _from_part,
    "bob": _from_part,
    "long": _from_part,
    "curls": _from_part,
    "afro": _upright,
    "bun": _to_crown,
}


def _grow(roots: Points, field: Field, length: float, curl: float, rng: np.random.Generator) -> Points:
    """Follow the field from each root; paths are [N, K, 2] in head units."""
    steps = 9
    count = len(roots)
    stride = length * rng.uniform(0.6, 1.15, (count, 1)) / steps
    bend = rng.normal(0, curl, count)
    lean = rng.normal(0, 0.10, count)
    points, path = roots, [roots]
    for step in range(steps):
        way = field(points)
        way /= np.linalg.norm(way, axis=-1, keepdims=True) + 1e-6
        turn = lean + bend * step
        cos, sin = np.cos(turn), np.sin(turn)
        way = np.stack([cos * way[:, 0] - sin * way[:, 1], sin * way[:, 0] + cos * way[:, 1]], -1)
        points = points + stride * way
        path.append(points)
    return np.stack(path, axis=1)


def _fringe(who: Identity, rng: np.random.Generator) -> Points:
    """Strands over the forehead that stop above the brows."""
    count = 900
    x = rng.uniform(-0.78, 0.78, count)
    top = who.hair.hairline - 0.12 + 0.16 * x**2
    end = -0.47 + 0.10 * x**2 + rng.normal(0, 0.035, count)
    t = np.linspace(0, 1, 8)[None, :]
    drift = (0.10 * np.sign(who.hair.part) + rng.normal(0, 0.05, count))[:, None] * t**2
    return np.stack([x[:, None] * (1 + 0.05 * t) + drift, top[:, None] + (end - top)[:, None] * t], -1)


def _lay(
    picture: Plane,
    hair: Hair,
    scene: Scene,
    grown: tuple[Plane, Points],
    frame: Frame,
    shade: float = 1.0,
    clip: bool = True,
) -> None:
    """Light and paint a mass of hair: its mask, and strands in head units."""
    mask, paths = grown
    rng = np.random.default_rng(hair.seed)
    tone, cover = strokes(frame.pixels(paths, on_surface=False), rng.uniform(0.05, 1, len(paths)))
    cover *= np.clip(blur(mask, 2.5) * np.float32(2.2), 0, 1) if clip else np.float32(1)
    swell: Plane = blur(mask.astype(np.float32), frame.unit * 0.11) * np.float32(0.55)
    normal = normals(swell, frame.unit)
    light = diffuse(normal, scene.light, (0.3, 0.3, 0.3))
    fibre = 0.35 + 1.2 * tone * tone
    body = np.array(hair.colour, np.float32) * light * fibre[..., None] * np.float32(shade)
    shine = glint(normal, scene.light, 9) * np.float32(0.10 * shade) * tone**2
    colour = body + shine[..., None] * (0.25 + np.array(hair.colour, np.float32))
    paint(picture, colour, np.maximum(mask, cover * np.float32(0.75 if clip else 0.95)))


def _bun(picture: Plane, who: Identity, scene: Scene, frame: Frame, rng: np.random.Generator) -> None:
    centre = np.array([0.0, -who.skull.top - 0.16])
    a, b = frame.flat
    mask = coverage((1 - ((a - centre[0]) / 0.36) ** 2 - ((b - centre[1]) / 0.3) ** 2).astype(np.float32), 2)
    angle = rng.uniform(0, 2 * np.pi, 260)
    radius = np.sqrt(rng.uniform(0, 1, 260)) * 0.33
    sweep = np.linspace(0, 1.1, 8)[None, :] + angle[:, None]
    paths = centre + radius[:, None, None] * np.stack([np.cos(sweep), 0.85 * np.sin(sweep)], -1)
    _lay(picture, who.hair, scene, (mask, paths), frame, shade=0.85)


def draw_beard(picture: Plane, who: Identity, scene: Scene, frame: Frame, lit: Lit, rng: np.random.Generator) -> None:
    """Paint stubble as a shadow and the rest as short strands."""
    if who.hair.beard == "none":
        return
    zone = _beard_zone(who, *frame.surface) * lit.mask
    shadow = zone * (0.34 + 0.05 * noise(rng, 2)) if who.hair.beard == "stubble" else zone * 0.5
    colour = np.array(who.hair.colour, np.float32) * np.float32(0.7)
    paint(picture, blur(lit.received, 2) * colour, np.clip(blur(shadow.astype(np.float32), 1.5), 0, 0.85))
    count = 900 if who.hair.beard == "stubble" else 2600
    roots = np.stack([rng.uniform(-1, 1, count), rng.uniform(0.35, 1.5, count)], -1)
    roots = roots[_sampled(zone, frame.pixels(roots)) > rng.uniform(0.15, 0.7, count)]
    length = 0.035 if who.hair.beard == "stubble" else 0.13
    paths = frame.pixels(_grow(roots, _beard_field, length, 0.12, rng))
    if not len(paths):
        return
    tone, cover = strokes(paths, rng.uniform(0.1, 1, len(paths)))
    fibre = (0.35 + 1.1 * tone)[..., None]
    strength = 0.45 if who.hair.beard == "stubble" else 0.85
    paint(picture, blur(lit.received, 3) * np.array(who.hair.colour, np.float32) * fibre, cover * np.float32(strength))


def _beard_field(p: Points) -> Points:
    return np.stack([0.45 * p[:, 0], 0.6 + 0 * p[:, 0]], -1)


def _beard_zone(who: Identity, u: Plane, v: Plane) -> Plane:
    """Where the beard grows, [H, W] in [0, 1]."""
    mouth, side = who.mouth, np.abs(u)
    lip = np.exp(-((np.maximum(side - 0.26, 0) / 0.09) ** 2)) * np.exp(
        -(((v - mouth.y + 0.17 - 0.25 * side**2) / 0.055) ** 4)
    )
    if who.hair.beard == "moustache":
        return lip.astype(np.float32)
    chin = ramp(v, mouth.y + 0.13, mouth.y + 0.24) * (1 - ramp(side, 0.30, 0.46))
    sides = (
        np.exp(-(((side - mouth.width - 0.09) / 0.07) ** 2))
        * ramp(v, mouth.y - 0.16, mouth.y)
        * (1 - ramp(v, 1.15, 1.3))
    )
    if who.hair.beard == "goatee":
        goatee: Plane = np.clip(lip + chin + 0.9 * sides, 0, 1).astype(np.float32)
        return goatee
    edge = mouth.y - 0.12 - 0.55 * ramp(side, 0.55, 0.98) + 0.25 * (1 - ramp(side, 0.3, 0.6))
    full = ramp(v - edge, 0.0, 0.12)
    bare = np.exp(-(((u / (mouth.width * 1.02)) ** 2 + ((v - mouth.y - 0.01) / 0.15) ** 2) ** 2))
    whole: Plane = np.clip((full + lip) * (1 - bare * (v < mouth.y + 0.13)), 0, 1).astype(np.float32)
    return whole


def _sampled(plane: Plane, pixels: Plane) -> Plane:
    """Values of a plane at pixel positions [N, 2], 0 outside."""
    x, y = np.round(pixels[..., 0]).astype(int), np.round(pixels[..., 1]).astype(int)
    inside = (x >= 0) & (y >= 0) & (x < plane.shape[1]) & (y < plane.shape[0])
    values: Plane = np.where(inside, plane[np.clip(y, 0, plane.shape[0] - 1), np.clip(x, 0, plane.shape[1] - 1)], 0)
    return values
