"""Draws a face, from its parts: back to front, as a painter does."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from tfds_builders.drawn_faces.canvas import Canvas, Points
from tfds_builders.drawn_faces.face import Colour, Expression, Looks, Scene

_OVERSAMPLING = 2
_RELIEF_REACH = 1.6
_RELIEF_PIXELS = 96
_SIDES = (-1, 1)
_INK = (24.0, 18.0, 18.0)


def draw_face(
    looks: Looks, expression: Expression, scene: Scene, size: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Returns the picture, uint8 [size, size, 3], RGB; `rng` makes the grain of the photo."""
    canvas = _empty_canvas(scene, size)
    _draw_shoulders(canvas, looks, scene)
    _draw_back_hair(canvas, looks)
    _draw_head(canvas, looks, expression, scene)
    _draw_front_hair(canvas, looks)
    features = canvas.moved(*scene.turn)
    for side in _SIDES:
        _draw_eye(features, looks, expression, side)
        _draw_brow(features, looks, expression, side)
        _draw_wrinkles(features, looks, expression, side)
    _draw_nose(features, looks, expression)
    _draw_mouth(features, looks, expression)
    return _photograph(canvas.pixels, scene, size, rng)


def _empty_canvas(scene: Scene, size: int) -> Canvas:
    side = _OVERSAMPLING * size
    corners = np.clip(np.add.outer(scene.wall_light, scene.wall), 0, 255).reshape(2, 2, 3)
    wall = cv2.resize(corners.astype(np.uint8), (side, side), interpolation=cv2.INTER_LINEAR)
    angle, scale = np.deg2rad(scene.roll), side * scene.scale
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    x, y = np.array(scene.centre) * side
    return Canvas(np.asarray(wall, np.uint8), np.array([[cos, -sin, x], [sin, cos, y]]))


def _draw_shoulders(canvas: Canvas, looks: Looks, scene: Scene) -> None:
    canvas.fill(_ellipse(0, 2.25, 1.75, 0.85), scene.clothes)
    neck = np.array([(-0.42, 0.7), (0.42, 0.7), (0.5, 1.62), (0, 1.8), (-0.5, 1.62)])
    canvas.fill(neck, _dim(looks.skin, 0.72))


def _draw_back_hair(canvas: Canvas, looks: Looks) -> None:
    canvas.fill(_ellipse(0, -0.22, 1.12, looks.head_height), looks.hair)
    if looks.hair_length:
        end = looks.hair_length
        fall = np.array([(-1.08, -0.3), (1.08, -0.3), (1.14, end), (0.8, end + 0.15)])
        canvas.fill(np.vstack([fall, fall[:1:-1] * (-1, 1)]), looks.hair)


def _draw_head(canvas: Canvas, looks: Looks, expression: Expression, scene: Scene) -> None:
    for side in _SIDES:
        canvas.fill(_ellipse(side * 0.99, 0.05, 0.13, 0.24), _dim(looks.skin, 0.8))
    relief, smile_folds, slope = _relief()
    folds = max(expression.mouth_curve, expression.lip_raise, 0)
    shade = relief + folds * smile_folds + 0.14 * scene.side_light * slope
    canvas.fill_shaded(_head_outline(looks), looks.skin, shade, _RELIEF_REACH)


def _draw_front_hair(canvas: Canvas, looks: Looks) -> None:
    outline = _head_outline(looks) * (1.05, 1.1)
    crown = outline[outline[:, 1] < -0.45]
    x = np.linspace(0.97, -0.97, 25)
    line = -looks.hairline * (1 - 0.55 * x**4) - 0.1 * np.exp(-(((x - looks.parting) / 0.3) ** 2))
    canvas.fill(np.vstack([crown, np.stack([x, line], 1)]), looks.hair)


def _draw_eye(canvas: Canvas, looks: Looks, expression: Expression, side: int) -> None:
    eye = canvas.moved(side * looks.eye_spacing, -0.18)
    width, height = looks.eye_size, 0.5 * looks.eye_size * max(expression.eye_open, 0.15)
    x = np.linspace(-1, 1, 17)
    arch = (1 - x**2) ** 0.7
    # Grief pulls the inner end of the lid up, rage pushes it down.
    upper = -height * arch * (1 - 0.3 * expression.brow_tilt * side * x)
    lower = 0.85 * height * arch
    eye.fill(_band(width * x, upper, lower), (236, 234, 230))
    for radius, colour in ((0.108, looks.iris), (0.05, _INK)):
        disc = _ellipse(0, 0, radius, radius)
        between_lids = [np.interp(disc[:, 0], width * x, lid) for lid in (upper, lower)]
        eye.fill(np.stack([disc[:, 0], np.clip(disc[:, 1], *between_lids)], 1), colour)
    eye.fill(_ellipse(-0.035, -0.3 * height, 0.022, 0.022), (250, 250, 250))
    eye.stroke(np.stack([width * x, lower], 1), _dim(looks.skin, 0.6), 0.018)
    eye.stroke(np.stack([1.05 * width * x, upper - 0.01], 1), _INK, 0.045)


def _draw_brow(canvas: Canvas, looks: Looks, expression: Expression, side: int) -> None:
    brow = canvas.moved(side * looks.eye_spacing, -0.44 - 0.15 * expression.brow_raise)
    x = np.linspace(-0.24, 0.29, 13)  # from the inner end to the outer one
    tilt = 0.17 * expression.brow_tilt * np.interp(x, [-0.24, 0.05, 0.29], [-1, 0.15, 0.5])
    middle = tilt - 0.06 * np.cos((x - 0.05) * 5)
    half = 0.5 * looks.brow_width * np.interp(x, [-0.24, -0.1, 0.29], [0.9, 1, 0.35])
    brow.fill(_band(side * x, middle - half, middle + half), _dim(looks.hair, 0.7))


def _draw_nose(canvas: Canvas, looks: Looks, expression: Expression) -> None:
    width = looks.nose_width
    tip = canvas.moved(0, 0.26 - 0.04 * expression.lip_raise)
    arc = np.linspace(0.15 * np.pi, 0.85 * np.pi, 9)
    line = np.stack([width * np.cos(arc), 0.09 * np.sin(arc)], 1)
    tip.stroke(line, _dim(looks.skin, 0.62), 0.028)
    for side in _SIDES:
        tip.fill(_ellipse(side * 0.55 * width, 0.045, 0.04, 0.022), _dim(looks.skin, 0.3))


def _draw_wrinkles(canvas: Canvas, looks: Looks, expression: Expression, side: int) -> None:
    """Beside the nose for a raised lip, between the brows for lowered ones."""
    if expression.lip_raise > 0.2:
        colour = _dim(looks.skin, 1 - 0.3 * min(expression.lip_raise, 1))
        for y in (-0.1, 0.0):
            canvas.stroke(np.array([(side * 0.05, y), (side * 0.17, y + 0.1)]), colour, 0.028)
    if expression.brow_tilt < -0.2:
        frown = np.array([(side * 0.07, -0.48), (side * 0.05, -0.34)])
        canvas.stroke(frown, _dim(looks.skin, 0.75), 0.025)


def _draw_mouth(canvas: Canvas, looks: Looks, expression: Expression) -> None:
    opening, sneer = max(expression.mouth_open, 0), max(expression.lip_raise, 0)
    mouth = canvas.moved(0, 0.62)
    t = np.linspace(-1, 1, 33)
    x, arch = 0.36 * expression.mouth_width * t, 1 - t**2
    middle = 0.18 * expression.mouth_curve * (0.5 - t**2)
    upper = middle - (0.09 * opening + 0.14 * sneer) * arch
    lower = middle + 0.42 * opening * arch**0.6
    full = looks.lip_fullness * arch**0.6
    lips = np.array(looks.skin) * (0.82, 0.52, 0.54)
    mouth.fill(_band(x, upper - full, lower + 1.3 * full), lips)
    if opening > 0.1:
        mouth.fill(_band(x, upper, lower), (52, 18, 22))
        teeth = np.minimum(upper + (0.1 + 0.06 * sneer) * np.sqrt(arch), lower)
        mouth.fill(_band(x, upper, teeth), (238, 236, 228))
    else:
        mouth.stroke(np.stack([x, (upper + lower) / 2], 1), _dim(tuple(lips), 0.4), 0.032)


def _photograph(
    pixels: NDArray[np.uint8], scene: Scene, size: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    small = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)
    soft = cv2.GaussianBlur(small, (3, 3), 0.5)
    noise = rng.standard_normal(soft.shape, np.float32)
    photo = scene.exposure * soft + scene.grain * noise
    return np.clip(photo, 0, 255).astype(np.uint8)


@cache
def _relief() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """How bright each place of a head is: at rest, what a smile adds, and from left to right.

    Each is float32 [n, n] over the square that reaches _RELIEF_REACH from the face's middle. They
    are alike for all heads, so computing them once makes a face many times cheaper.
    """
    axis = np.linspace(-_RELIEF_REACH, _RELIEF_REACH, _RELIEF_PIXELS)
    x, y = axis[None, :], axis[:, None]

    def spot(at_x: float, at_y: float, wide: float, high: float) -> NDArray[np.float64]:
        distance = ((x - at_x) / wide) ** 2 + ((y - at_y) / high) ** 2
        bump: NDArray[np.float64] = np.exp(-distance / 2)
        return bump

    def pair(at_x: float, at_y: float, wide: float, high: float) -> NDArray[np.float64]:
        return spot(-at_x, at_y, wide, high) + spot(at_x, at_y, wide, high)

    head = 1.08 - 0.26 * x**2 - 0.1 * (y + 0.1) ** 2
    sockets, cheeks = -0.3 * pair(0.42, -0.2, 0.22, 0.13), 0.1 * pair(0.5, 0.25, 0.2, 0.15)
    bridge, forehead = 0.14 * spot(0, -0.05, 0.07, 0.3), 0.08 * spot(0, -0.75, 0.5, 0.2)
    nostrils, chin = -0.13 * pair(0.16, 0.28, 0.06, 0.08), -0.1 * spot(0, 0.98, 0.3, 0.07)
    relief = head + sockets + cheeks + bridge + forehead + nostrils + chin
    smile_folds = -0.18 * pair(0.55, 0.42, 0.05, 0.16)
    slope = np.clip(x, -1, 1) + 0 * y
    return relief.astype(np.float32), smile_folds.astype(np.float32), slope.astype(np.float32)


def _head_outline(looks: Looks) -> Points:
    angle = np.linspace(-np.pi, np.pi, 64, endpoint=False)
    cos, sin = np.cos(angle), np.sin(angle)
    x = np.sign(cos) * np.abs(cos) ** 0.85 * (1 - looks.jaw_taper * np.clip(sin, 0, 1) ** 2)
    return np.stack([x, looks.head_height * sin], 1)


def _ellipse(x: float, y: float, wide: float, high: float) -> Points:
    angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    return np.stack([x + wide * np.cos(angle), y + high * np.sin(angle)], 1)


def _band(x: Points, upper: Points, lower: Points) -> Points:
    """The area between two lines over the same x, each [n]."""
    return np.vstack([np.stack([x, upper], 1), np.stack([x, lower], 1)[::-1]])


def _dim(colour: Iterable[float], share: float) -> Colour:
    red, green, blue = (share * channel for channel in colour)
    return red, green, blue
