"""Who is drawn: the lasting features of one head, sampled from a random stream.

Lengths are in head units: half the width of the face at the cheekbones is 1, the origin lies between
the eyes, x points right and y down. Colours are linear RGB in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model_zoo.drawn.streams import chance, uniform

Colour = tuple[float, float, float]

# Six groups after Fitzpatrick's scale, as sRGB bytes.
SKINS: tuple[tuple[int, int, int], ...] = (
    (244, 216, 202),
    (232, 196, 174),
    (214, 174, 146),
    (188, 145, 116),
    (148, 108, 84),
    (112, 82, 66),
)
HAIR_COLOURS: dict[str, tuple[int, int, int]] = {
    "black": (34, 29, 30),
    "dark brown": (62, 42, 32),
    "brown": (101, 68, 45),
    "auburn": (128, 62, 36),
    "blond": (196, 154, 98),
    "grey": (150, 148, 148),
    "white": (214, 210, 204),
    "dyed": (112, 74, 150),
}
EYE_COLOURS: tuple[tuple[int, int, int], ...] = (
    (74, 48, 30),
    (96, 66, 38),
    (122, 94, 52),
    (92, 116, 82),
    (92, 128, 160),
    (120, 140, 152),
)
HAIR_STYLES = ("bald", "buzz", "crop", "parted", "swept", "fringe", "bob", "long", "curls", "afro", "bun")
BEARDS = ("none", "stubble", "moustache", "goatee", "full")


@dataclass(frozen=True)
class Skull:
    """Outline of the face: |x / width|^round + |y / chin or top|^square = 1."""

    width: float
    chin: float
    top: float
    round: float
    square: float
    cheeks: float


@dataclass(frozen=True)
class Skin:
    """Albedo and what lies on it; amounts are in [0, 1]."""

    tone: int
    albedo: Colour
    flush: float
    freckles: float
    oil: float
    mottle: float


@dataclass(frozen=True)
class Eyes:
    """Place, size and colour of the eyes and their brows."""

    apart: float
    width: float
    opening: float
    slant: float
    colour: Colour
    brow_lift: float
    brow_weight: float
    brow_arch: float
    lashes: float


@dataclass(frozen=True)
class Nose:
    """Length is the y of the tip; the rest are factors near 1."""

    length: float
    width: float
    bridge: float
    tip: float


@dataclass(frozen=True)
class Mouth:
    """Place, half width and fullness; `redness` tints the lips (make-up near 1)."""

    y: float
    width: float
    upper: float
    lower: float
    redness: float


@dataclass(frozen=True)
class Hair:
    """Style by name, colour, and the seed of the strands."""

    style: str
    colour: Colour
    hairline: float
    part: float
    volume: float
    beard: str
    seed: int


@dataclass(frozen=True)
class Glasses:
    """A frame: `shape` is 2 for round lenses, larger for square ones."""

    shape: float
    width: float
    height: float
    thickness: float
    colour: Colour


@dataclass(frozen=True)
class Identity:
    """One person."""

    age: float
    skull: Skull
    skin: Skin
    eyes: Eyes
    nose: Nose
    mouth: Mouth
    hair: Hair
    glasses: Glasses | None
    earrings: bool
    seed: int


def linear(srgb: tuple[int, int, int]) -> Colour:
    """SRGB bytes to linear RGB, with the plain 2.2 power that `render.encode` undoes."""
    red, green, blue = ((channel / 255) ** 2.2 for channel in srgb)
    return red, green, blue


def jitter(colour: Colour, rng: np.random.Generator, amount: float) -> Colour:
    """The colour with brightness and each channel scaled by random factors near 1."""
    factors = np.exp(rng.normal(0, amount) + rng.normal(0, amount / 3, 3))
    red, green, blue = (float(min(value * factor, 0.98)) for value, factor in zip(colour, factors, strict=True))
    return red, green, blue


def sample_identity(rng: np.random.Generator, skin: Skin | None = None) -> Identity:
    """Draw a person; `skin` fixes the skin, as for the donor of a swap."""
    age = float(rng.beta(1.5, 2.2))
    soft = uniform(rng, 0, 1)  # 0 angular, 1 soft: ties jaw, lips, lashes and beard together
    drawn_skin = _skin(rng)
    own = skin or drawn_skin
    return Identity(
        age=age,
        skull=_skull(rng, soft),
        skin=own,
        eyes=_eyes(rng, soft, own.tone),
        nose=_nose(rng),
        mouth=_mouth(rng, soft),
        hair=_hair(rng, age, soft, own.tone),
        glasses=_glasses(rng) if chance(rng, 0.22 + 0.15 * age) else None,
        earrings=chance(rng, 0.35 * soft),
        seed=int(rng.integers(2**31)),
    )


def similar_skin(skin: Skin, rng: np.random.Generator) -> Skin:
    """A donor's skin: the same group, another shade, its own marks.

    Swaps between unlike skins leave a mask that a 32 x 32 thumbnail gives away.
    """
    other = _skin(rng)
    return Skin(skin.tone, jitter(skin.albedo, rng, 0.05), other.flush, other.freckles, other.oil, other.mottle)


def _skin(rng: np.random.Generator) -> Skin:
    tone = int(rng.integers(len(SKINS)))
    freckled = chance(rng, 0.45 if tone < 2 else 0.12)
    return Skin(
        tone=tone,
        albedo=jitter(linear(SKINS[tone]), rng, 0.06),
        flush=uniform(rng, 0.1, 1.0) * (1.0 if tone < 3 else 0.5),
        freckles=uniform(rng, 0.3, 1.0) if freckled else 0.0,
        oil=uniform(rng, 0.2, 1.0),
        mottle=uniform(rng, 0.2, 1.0),
    )


def _skull(rng: np.random.Generator, soft: float) -> Skull:
    return Skull(
        width=uniform(rng, 0.92, 1.04),
        chin=uniform(rng, 1.26, 1.42) - 0.06 * soft,
        top=uniform(rng, 1.30, 1.42),
        round=uniform(rng, 2.0, 2.5) - 0.25 * soft,
        square=uniform(rng, 2.2, 3.0) - 0.4 * soft,
        cheeks=uniform(rng, 0.5, 1.4),
    )


def _eyes(rng: np.random.Generator, soft: float, tone: int) -> Eyes:
    palette = len(EYE_COLOURS) if tone < 3 else 3
    return Eyes(
        apart=uniform(rng, 0.40, 0.455),
        width=uniform(rng, 0.215, 0.255),
        opening=uniform(rng, 0.36, 0.56),
        slant=uniform(rng, -0.06, 0.13),
        colour=jitter(linear(EYE_COLOURS[int(rng.integers(palette))]), rng, 0.15),
        brow_lift=uniform(rng, 0.0, 0.07),
        brow_weight=uniform(rng, 0.6, 1.25) - 0.25 * soft,
        brow_arch=uniform(rng, 0.02, 0.10),
        lashes=uniform(rng, 0.3, 0.6) + 0.5 * soft,
    )


def _nose(rng: np.random.Generator) -> Nose:
    return Nose(uniform(rng, 0.40, 0.52), uniform(rng, 0.85, 1.3), uniform(rng, 0.75, 1.25), uniform(rng, 0.7, 1.3))


def _mouth(rng: np.random.Generator, soft: float) -> Mouth:
    return Mouth(
        y=uniform(rng, 0.80, 0.88),
        width=uniform(rng, 0.33, 0.44),
        upper=uniform(rng, 0.055, 0.10) + 0.015 * soft,
        lower=uniform(rng, 0.075, 0.125) + 0.02 * soft,
        redness=uniform(rng, 0.7, 1.0) if chance(rng, 0.4 * soft) else uniform(rng, 0.15, 0.5),
    )


def _hair(rng: np.random.Generator, age: float, soft: float, tone: int) -> Hair:
    odds = np.array([0.5 + age, 0.9, 1.4, 1.4, 1.2, 0.9, 0.9, 1.0, 1.0, 0.5, 0.6])
    odds *= np.where(np.arange(11) < 5, 1.3 - soft, 0.3 + soft)
    if tone > 3:
        odds *= np.array([1, 2, 1, 0.6, 0.8, 0.6, 0.7, 0.8, 2, 4, 1])
    style = HAIR_STYLES[int(rng.choice(len(odds), p=odds / odds.sum()))]
    beards = np.array([2.2, 0.9, 0.35, 0.4, 0.7]) if soft < 0.5 else np.array([1.0, 0, 0, 0, 0])
    return Hair(
        style=style,
        colour=_hair_colour(rng, age, tone),
        hairline=uniform(rng, -0.92, -0.78) - (0.12 * age if soft < 0.5 else 0.0),
        part=uniform(rng, 0.15, 0.5) * float(rng.choice([-1, 1])),
        volume=uniform(rng, 0.6, 1.3),
        beard=BEARDS[int(rng.choice(5, p=beards / beards.sum()))],
        seed=int(rng.integers(2**31)),
    )


def _hair_colour(rng: np.random.Generator, age: float, tone: int) -> Colour:
    if chance(rng, max(0.0, age - 0.45) * 1.6):
        name = str(rng.choice(["grey", "white"]))
    elif chance(rng, 0.03):
        name = "dyed"
    else:
        names = ["black", "dark brown", "brown", "auburn", "blond"]
        name = names[int(rng.integers(5 if tone < 2 else 3 if tone < 4 else 2))]
    return jitter(linear(HAIR_COLOURS[name]), rng, 0.12)


def _glasses(rng: np.random.Generator) -> Glasses:
    colours = ((28, 26, 28), (70, 44, 30), (120, 96, 60), (150, 150, 156), (96, 30, 36), (40, 56, 92))
    return Glasses(
        shape=uniform(rng, 2.0, 4.5),
        width=uniform(rng, 0.34, 0.39),
        height=uniform(rng, 0.24, 0.31),
        thickness=uniform(rng, 0.018, 0.036),
        colour=jitter(linear(colours[int(rng.integers(len(colours)))]), rng, 0.1),
    )
