"""One scene with all that is drawn from it: the person, an expression to steal, donors, the camera."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from model_zoo.drawn.camera import Camera, sample_camera
from model_zoo.drawn.canvas import Plane
from model_zoo.drawn.identity import Identity, sample_identity, similar_skin
from model_zoo.drawn.render import render
from model_zoo.drawn.scene import Scene, sample_expression, sample_scene
from model_zoo.drawn.streams import stream


@dataclass(frozen=True)
class Shot:
    """A person in a scene before a camera."""

    who: Identity
    scene: Scene
    camera: Camera


@lru_cache(maxsize=4)
def shot(seed: int, index: int) -> Shot:
    """The shot with this number."""
    return Shot(
        sample_identity(stream(seed, index, "person")),
        sample_scene(stream(seed, index, "scene")),
        sample_camera(stream(seed, index, "camera")),
    )


@lru_cache(maxsize=4)
def portrait(seed: int, index: int) -> Plane:
    """The rendered shot, [H, W, 3] sRGB; a real picture and its fake start from it. Do not write to it."""
    taken = shot(seed, index)
    picture = render(taken.who, taken.scene)
    picture.flags.writeable = False
    return picture


def donor(seed: int, index: int, *, keep_glasses: bool) -> Plane:
    """Another person of like skin in the same pose and light, with hair and beard of their own kind."""
    taken = shot(seed, index)
    rng = stream(seed, index, "donor")
    other = sample_identity(rng, similar_skin(taken.who.skin, rng))
    hair = replace(other.hair, style=taken.who.hair.style, beard=taken.who.hair.beard, colour=taken.who.hair.colour)
    glasses = taken.who.glasses if keep_glasses else None
    return render(replace(other, glasses=glasses, hair=hair, earrings=False), taken.scene)


def reenacted(seed: int, index: int) -> Plane:
    """The same person and scene with another expression."""
    taken = shot(seed, index)
    face = sample_expression(stream(seed, index, "expression"))
    return render(taken.who, replace(taken.scene, face=face))
