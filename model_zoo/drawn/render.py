"""From a person and a scene to a picture."""

from __future__ import annotations

import cv2
import numpy as np

from model_zoo.drawn.canvas import Frame, Plane
from model_zoo.drawn.features import draw_brows, draw_eyes, draw_mouth, draw_nostrils
from model_zoo.drawn.hair import draw_back_hair, draw_beard, draw_front_hair
from model_zoo.drawn.identity import Identity
from model_zoo.drawn.scene import Scene
from model_zoo.drawn.skin import draw_ears, draw_face, draw_neck
from model_zoo.drawn.surroundings import draw_backdrop, draw_clothes, draw_glasses

PIXELS = 224
"""Edge of a finished picture."""


def render(who: Identity, scene: Scene) -> Plane:
    """Draw a portrait: [PIXELS, PIXELS, 3], sRGB in [0, 1], before any camera."""
    frame = Frame(scene.pose)
    around, own = np.random.default_rng(scene.seed), np.random.default_rng(who.seed)
    strands = np.random.default_rng(who.hair.seed)
    picture = draw_backdrop(scene, around)
    draw_back_hair(picture, who, scene, frame, strands)
    draw_neck(picture, who, scene, frame)
    draw_clothes(picture, who, scene, frame, around)
    draw_ears(picture, who, scene, frame)
    lit = draw_face(picture, who, scene, frame, own)
    draw_nostrils(picture, who, frame)
    draw_eyes(picture, who, scene, frame, lit)
    draw_mouth(picture, who, scene, frame, lit, own)
    draw_beard(picture, who, scene, frame, lit, strands)
    draw_brows(picture, who, scene, frame, own)
    draw_front_hair(picture, who, scene, frame, strands)
    if who.glasses:
        draw_glasses(picture, who.glasses, who, scene, frame)
    return develop(picture, exposure(who, scene))


def exposure(who: Identity, scene: Scene) -> float:
    """Gain that brings skin part of the way to one brightness, as a camera's face metering does.

    Without it a detector misses one dark face in four.
    """
    luminance = float(np.dot(who.skin.albedo, (0.2126, 0.7152, 0.0722)))
    light = scene.light.key * 0.8 + scene.light.fill * 0.5 + scene.light.ambient * 0.65
    wanted = 0.40 * float((luminance / 0.40) ** 0.34)
    return scene.light.exposure * wanted / (luminance * light)


def develop(picture: Plane, gain: float) -> Plane:
    """Reduce to PIXELS, compress the highlights, and encode with a 2.2 gamma."""
    small = cv2.resize(picture, (PIXELS, PIXELS), interpolation=cv2.INTER_AREA) * np.float32(gain)
    knee = np.float32(0.6)
    over = np.maximum(small - knee, 0)
    soft = np.minimum(small, knee) + (1 - knee) * (1 - np.exp(-over / (1 - knee)))
    encoded: Plane = np.clip(soft, 0, 1) ** np.float32(1 / 2.2)
    return encoded
