"""What a drawn face is made of: whose it is (Looks), its mood (Expression), the photo (Scene)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Colour = tuple[float, float, float]
"""Red, green, blue, each 0..255."""

_SKIN = np.array(
    [(238, 205, 178), (222, 178, 146), (194, 145, 110), (160, 113, 82), (124, 86, 64)], float
)
_HAIR = np.array(
    [(22, 18, 18), (48, 33, 25), (84, 56, 37), (118, 78, 44), (160, 124, 76)],
    float,
)
_IRIS = np.array([(52, 34, 24), (74, 48, 28), (66, 84, 58), (58, 88, 118)], float)


class Expression(NamedTuple):
    """The muscles of a face; every value is 0 at rest but those said to be 1."""

    brow_raise: float  # 1: as high as they go; negative: lowered
    brow_tilt: float  # 1: inner ends up (grief); -1: inner ends down (rage)
    eye_open: float  # 1 at rest, 0: shut
    mouth_curve: float  # 1: corners up, a full smile; -1: corners down
    mouth_open: float  # 1: the jaw drops
    mouth_width: float  # 1 at rest
    lip_raise: float  # 1: the upper lip bares the teeth, and the nose wrinkles


NEUTRAL = Expression(0, 0, 1, 0, 0, 1, 0)
PEAKS = {
    "angry": Expression(-0.65, -1.0, 1.05, -0.55, 0, 0.8, 0),
    "disgust": Expression(-0.3, -0.4, 0.5, -0.5, 0.24, 0.95, 1),
    "fear": Expression(0.75, 0.85, 1.45, -0.4, 0.34, 1.15, 0),
    "happy": Expression(0.15, 0.05, 0.75, 1, 0.32, 1.25, 0),
    "sad": Expression(0.0, 1.0, 0.65, -1.0, 0, 0.8, 0),
    "surprise": Expression(1.1, 0.1, 1.6, 0, 1, 0.62, 0),
    "neutral": NEUTRAL,
}
"""The full expressions, in FER2013's order of labels."""

_EXPRESSION_SPREAD = Expression(0.08, 0.06, 0.05, 0.06, 0.02, 0.04, 0.03)


@dataclass(frozen=True)
class Looks:
    """What stays the same in all pictures of one subject. Lengths in half head widths."""

    skin: Colour
    hair: Colour
    iris: Colour
    head_height: float
    jaw_taper: float  # 0: round, 0.3: pointed
    hair_length: float  # how far down the hair falls; short hair ends above the ears, at 0
    hairline: float  # its height over the middle of the face
    parting: float  # where along the hairline, -1..1
    eye_spacing: float
    eye_size: float
    brow_width: float
    nose_width: float
    lip_fullness: float


@dataclass(frozen=True)
class Scene:
    """What differs from picture to picture of the same subject and expression."""

    wall: Colour
    wall_light: tuple[float, ...]  # what the light adds to the wall in the picture's four corners
    clothes: Colour
    centre: tuple[float, float]  # of the face, as a share of the picture
    scale: float  # half the head's width, as a share of the picture
    roll: float  # degrees
    turn: tuple[float, float]  # how far the features move on the head, in half head widths
    side_light: float  # -1: all from the left, 1: all from the right
    exposure: float  # 1: as drawn
    grain: float  # standard deviation of the sensor noise, in pixel values


def sample_looks(rng: np.random.Generator) -> Looks:
    """Draws a new subject."""
    return Looks(
        skin=_between(rng, _SKIN),
        hair=_between(rng, _HAIR),
        iris=_between(rng, _IRIS),
        head_height=rng.uniform(1.22, 1.38),
        jaw_taper=rng.uniform(0.05, 0.24),
        hair_length=rng.choice([0.0, rng.uniform(0.5, 1.4)]),
        hairline=rng.uniform(0.74, 0.92),
        parting=rng.uniform(-0.7, 0.7),
        eye_spacing=rng.uniform(0.395, 0.445),
        eye_size=rng.uniform(0.205, 0.24),
        brow_width=rng.uniform(0.07, 0.11),
        nose_width=rng.uniform(0.13, 0.18),
        lip_fullness=rng.uniform(0.045, 0.085),
    )


def sample_expression(label: str, strength: float, rng: np.random.Generator) -> Expression:
    """Draws an expression on the way from neutral (strength 0) to its peak (1), as people vary.

    Raises:
        KeyError: no expression has this label; PEAKS holds them all.
    """
    rest, peak = np.array(NEUTRAL), np.array(PEAKS[label])
    values = rest + strength * (peak - rest) + rng.normal(0, _EXPRESSION_SPREAD)
    return Expression(*values.tolist())


def sample_scene(rng: np.random.Generator) -> Scene:
    """Draws a photo's circumstances: a wall, a shirt, a pose, a light, a camera."""
    return Scene(
        wall=_muted_colour(rng),
        wall_light=tuple(rng.uniform(-22, 22, 4).tolist()),
        clothes=_muted_colour(rng),
        centre=(0.5 + rng.normal(0, 0.015), 0.52 + rng.normal(0, 0.015)),
        scale=rng.uniform(0.275, 0.325),
        roll=float(np.clip(rng.normal(0, 3.5), -8, 8)),
        turn=(rng.normal(0, 0.035), rng.normal(0, 0.025)),
        side_light=rng.uniform(-1, 1),
        exposure=rng.uniform(0.8, 1.15),
        grain=rng.uniform(1, 5),
    )


def _between(rng: np.random.Generator, palette: NDArray[np.float64]) -> Colour:
    """A colour somewhere on the way through the palette, [n, 3]."""
    at, steps = rng.uniform(0, len(palette) - 1), np.arange(len(palette))
    red, green, blue = (float(np.interp(at, steps, channel)) for channel in palette.T)
    return red, green, blue


def _muted_colour(rng: np.random.Generator) -> Colour:
    red, green, blue = (rng.uniform(50, 215) + rng.uniform(-38, 38, 3)).tolist()
    return red, green, blue
