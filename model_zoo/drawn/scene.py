"""How a head is seen: pose, expression, light, backdrop and clothes of one scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model_zoo.drawn.identity import Colour
from model_zoo.drawn.streams import chance, uniform


@dataclass(frozen=True)
class Pose:
    """Where the head is: centre and size in canvas widths, angles in radians (small)."""

    x: float
    y: float
    size: float
    roll: float
    yaw: float
    pitch: float


@dataclass(frozen=True)
class Expression:
    """What the face does: smile in [-0.4, 1], the others in [0, 1], gaze in [-1, 1]."""

    smile: float
    open: float
    squint: float
    raised: float
    gaze_x: float
    gaze_y: float


@dataclass(frozen=True)
class Light:
    """Key light (unit vector towards it, y down), fill and ambience; colours are linear RGB."""

    direction: tuple[float, float, float]
    key: float
    fill: float
    ambient: float
    tint: Colour
    sky: Colour
    exposure: float


@dataclass(frozen=True)
class Scene:
    """Everything but the person and the camera."""

    pose: Pose
    face: Expression
    light: Light
    backdrop: str
    collar: str
    cloth: Colour
    wall: Colour
    seed: int


def sample_pose(rng: np.random.Generator) -> Pose:
    """A near-frontal pose, as a face detector would crop it."""
    return Pose(
        x=uniform(rng, 0.47, 0.53),
        y=uniform(rng, 0.475, 0.525),
        size=uniform(rng, 0.265, 0.315),
        roll=float(rng.normal(0, 0.05)),
        yaw=float(np.clip(rng.normal(0, 0.10), -0.22, 0.22)),
        pitch=float(np.clip(rng.normal(0, 0.04), -0.08, 0.08)),
    )


def sample_expression(rng: np.random.Generator) -> Expression:
    """From calm to laughing."""
    smile = uniform(rng, -0.2, 1.0)
    return Expression(
        smile=smile,
        open=uniform(rng, 0.25, 1.0) * (0.4 + 0.6 * abs(smile)) if chance(rng, 0.45) else 0.0,
        squint=max(0.0, smile) * uniform(rng, 0.0, 0.5),
        raised=uniform(rng, 0, 1),
        gaze_x=float(np.clip(rng.normal(0, 0.35), -1, 1)),
        gaze_y=float(np.clip(rng.normal(0, 0.2), -1, 1)),
    )


def sample_light(rng: np.random.Generator) -> Light:
    """A key light from above and aside, with warm or cold tint."""
    side, height = uniform(rng, -0.85, 0.85), uniform(rng, 0.25, 0.85)
    vector = np.array([side, -height, 1.0]) / np.sqrt(side**2 + height**2 + 1)
    warm = uniform(rng, -0.10, 0.14)
    return Light(
        direction=(float(vector[0]), float(vector[1]), float(vector[2])),
        key=uniform(rng, 0.75, 1.15),
        fill=uniform(rng, 0.08, 0.3),
        ambient=uniform(rng, 0.22, 0.4),
        tint=(1 + warm, 1.0, 1 - warm),
        sky=(1 - warm / 2, 1.0, 1 + warm / 2),
        exposure=uniform(rng, 0.85, 1.15),
    )


def sample_scene(rng: np.random.Generator) -> Scene:
    """Draw a scene."""
    return Scene(
        pose=sample_pose(rng),
        face=sample_expression(rng),
        light=sample_light(rng),
        backdrop=str(rng.choice(["studio", "bokeh", "wall", "window", "leaves"])),
        collar=str(rng.choice(["crew", "vee", "shirt", "hood"])),
        cloth=_cloth(rng),
        wall=_wall(rng),
        seed=int(rng.integers(2**31)),
    )


def _cloth(rng: np.random.Generator) -> Colour:
    level, hue = uniform(rng, 0.03, 0.5), rng.uniform(0.35, 1.0, 3)
    return float(level * hue[0]), float(level * hue[1]), float(level * hue[2])


def _wall(rng: np.random.Generator) -> Colour:
    level, hue = uniform(rng, 0.06, 0.55), rng.uniform(0.6, 1.0, 3)
    return float(level * hue[0]), float(level * hue[1]), float(level * hue[2])
