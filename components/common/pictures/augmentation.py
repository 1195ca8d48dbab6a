"""Augmentation: what makes a copy of a train picture differ from it, as small pure functions.

An image is uint8 [height, width, 1 or 3]; every function returns one of the same shape and never
changes its input. Where there is nothing to do, or no pixel, the input itself comes back. Where the
picture moves away from an edge, the nearest pixel fills in.
"""

import math
import random
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

_Matrix = tuple[tuple[float, float, float], tuple[float, float, float]]

_UNMOVED: _Matrix = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))


@dataclass(frozen=True)
class Augmentation:
    """What an augmented copy may differ in; every range is drawn from uniformly.

    Attributes:
        rotation: degrees, -rotation..rotation about the picture's centre.
        shift: share of the width and of the height, each -shift..shift.
        zoom: factor 1 - zoom..1 + zoom about the picture's centre; 0 <= zoom < 1.
        horizontal_flip: odd copies are mirrored, so the first copy is the mirror image.
        brightness: share of 255 that is added, -brightness..brightness.
        contrast: factor 1 - contrast..1 + contrast about the picture's mean.
        cutout: side of a square filled with the picture's mean colour, as a share of the shorter
            side; 0 for none.
        seed: another seed, other copies.
    """

    rotation: float = 0.0
    shift: float = 0.0
    zoom: float = 0.0
    horizontal_flip: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    cutout: float = 0.0
    seed: int = 0


class Draw(NamedTuple):
    """What was drawn for one copy; the defaults leave a picture as it is.

    Attributes:
        flipped: whether it is mirrored.
        angle: degrees, counterclockwise.
        factor: > 1 enlarges, < 1 shrinks.
        dx: to the right, as a share of the width.
        dy: down, as a share of the height.
        brightness: share of 255 that is added.
        contrast: > 1 spreads the values.
        cutout: side of the square, as a share of the shorter side.
        cutout_x: its middle, as a share of the width, 0 <= cutout_x < 1.
        cutout_y: its middle, as a share of the height, 0 <= cutout_y < 1.
    """

    flipped: bool = False
    angle: float = 0.0
    factor: float = 1.0
    dx: float = 0.0
    dy: float = 0.0
    brightness: float = 0.0
    contrast: float = 1.0
    cutout: float = 0.0
    cutout_x: float = 0.0
    cutout_y: float = 0.0


def draw(augmentation: Augmentation, example_id: str, copy: int) -> Draw:
    """Draws what the example's `copy`-th copy, counted from 1, differs in.

    The same in every process and on every machine, since Python hashes a seed of text by SHA-512.
    All values are always drawn, so that to change one range leaves the others' values as they are.
    """
    rng = random.Random(f"{augmentation.seed}:{example_id}:{copy}")
    return Draw(
        flipped=augmentation.horizontal_flip and copy % 2 == 1,
        angle=rng.uniform(-augmentation.rotation, augmentation.rotation),
        factor=rng.uniform(1 - augmentation.zoom, 1 + augmentation.zoom),
        dx=rng.uniform(-augmentation.shift, augmentation.shift),
        dy=rng.uniform(-augmentation.shift, augmentation.shift),
        brightness=rng.uniform(-augmentation.brightness, augmentation.brightness),
        contrast=rng.uniform(1 - augmentation.contrast, 1 + augmentation.contrast),
        cutout=augmentation.cutout,
        cutout_x=rng.random(),
        cutout_y=rng.random(),
    )


def augment(image: NDArray[np.uint8], drawn: Draw) -> NDArray[np.uint8]:
    """Mirrors, rotates, zooms and shifts in one step, then changes the light, then cuts out."""
    moved = _move(image, drawn)
    lit = _light(moved, drawn)
    return cut_out(lit, drawn.cutout, drawn.cutout_x, drawn.cutout_y)


def flip(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The mirror image, left for right."""
    return _move(image, Draw(flipped=True))


def rotate(image: NDArray[np.uint8], degrees: float) -> NDArray[np.uint8]:
    """Rotates counterclockwise about the centre."""
    return _move(image, Draw(angle=degrees))


def zoom(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """Enlarges (factor > 1) or shrinks (0 < factor < 1) about the centre."""
    return _move(image, Draw(factor=factor))


def shift(image: NDArray[np.uint8], dx: float, dy: float) -> NDArray[np.uint8]:
    """Shifts to the right by a share of the width and down by a share of the height."""
    return _move(image, Draw(dx=dx, dy=dy))


def adjust_brightness(image: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """Adds a share of 255, -1..1; values stay within 0..255."""
    return _light(image, Draw(brightness=share))


def adjust_contrast(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """Multiplies the distance from the mean of all values by a factor; values stay in 0..255."""
    return _light(image, Draw(contrast=factor))


def cut_out(image: NDArray[np.uint8], share: float, x: float, y: float) -> NDArray[np.uint8]:
    """Fills a square with the picture's mean colour: Cutout, DeVries & Taylor, arXiv:1708.04552.

    Args:
        image: the picture.
        share: side of the square, as a share of the shorter side.
        x: its middle, as a share of the width, 0 <= x < 1. What lies outside the picture is lost.
        y: its middle, as a share of the height, 0 <= y < 1.
    """
    height, width, channels = image.shape
    side = round(share * min(height, width))
    if not side or not image.size:
        return image
    top, left = int(y * height) - side // 2, int(x * width) - side // 2
    square = slice(max(top, 0), top + side), slice(max(left, 0), left + side)
    cut = image.copy()
    cut[square] = [round(mean) for mean in cv2.mean(image)[:channels]]
    return cut


def _move(image: NDArray[np.uint8], drawn: Draw) -> NDArray[np.uint8]:
    """All that moves pixels at once, since each interpolation blurs."""
    height, width = image.shape[:2]
    matrix = _matrix(height, width, drawn)
    if matrix == _UNMOVED or not image.size:
        return image
    moved = cv2.warpAffine(
        image, np.array(matrix), (width, height), borderMode=cv2.BORDER_REPLICATE
    )
    return moved.reshape(image.shape).astype(np.uint8, copy=False)  # cv2 drops an axis of 1.


def _matrix(height: int, width: int, drawn: Draw) -> _Matrix:
    """Takes a pixel's (x, y) to its new place: mirrored, then rotated and zoomed, then shifted.

    The centre is that of the places 0..width - 1, which makes flips and half turns exact.
    """
    x, y = (width - 1) / 2, (height - 1) / 2
    cos = drawn.factor * math.cos(math.radians(drawn.angle))
    sin = drawn.factor * math.sin(math.radians(drawn.angle))
    mirror = -1 if drawn.flipped else 1
    return (
        (mirror * cos, sin, x - mirror * cos * x - sin * y + drawn.dx * width),
        (-mirror * sin, cos, y + mirror * sin * x - cos * y + drawn.dy * height),
    )


def _light(image: NDArray[np.uint8], drawn: Draw) -> NDArray[np.uint8]:
    if (drawn.brightness == 0 and drawn.contrast == 1) or not image.size:
        return image
    mean = cv2.mean(image.reshape(-1))[0]
    added = mean * (1 - drawn.contrast) + 255 * drawn.brightness
    # cv2.convertScaleAbs would turn what falls below 0 into light.
    lit = cv2.addWeighted(image, drawn.contrast, image, 0, added)
    return lit.reshape(image.shape).astype(np.uint8, copy=False)
