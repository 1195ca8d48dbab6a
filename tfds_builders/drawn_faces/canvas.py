"""A picture to draw on in units of the face, to fractions of a pixel."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""Corners of a line or an area, [n, 2] of x, y in face units."""

_SUBPIXEL_BITS = 4


class Canvas:
    """A square picture that is drawn on in face units.

    The origin is the middle of the face, x goes right, y goes down, and 1 is half the head's
    width, so that a face is drawn the same wherever the scene puts it.
    """

    def __init__(self, pixels: NDArray[np.uint8], to_pixels: NDArray[np.float64]) -> None:
        """Takes the picture, uint8 [size, size, 3], and the affine map of face units, [2, 3]."""
        self.pixels = pixels
        self.to_pixels = to_pixels

    def moved(self, x: float, y: float) -> Canvas:
        """The same picture, with the origin at (x, y)."""
        to_pixels = self.to_pixels.copy()
        to_pixels[:, 2] += to_pixels[:, :2] @ (x, y)
        return Canvas(self.pixels, to_pixels)

    def fill(self, area: Points, colour: Iterable[float]) -> None:
        """Fills the area."""
        _fill(self.pixels, self._corners(area), _paint(colour))

    def stroke(self, line: Points, colour: Iterable[float], width: float) -> None:
        """Draws the open line."""
        thickness = max(1, round(width * float(np.hypot(*self.to_pixels[:, 0]))))
        corners = self._corners(line)
        cv2.polylines(
            self.pixels, [corners], False, _paint(colour), thickness, cv2.LINE_AA, _SUBPIXEL_BITS
        )

    def fill_shaded(
        self, area: Points, colour: Iterable[float], shade: NDArray[np.float32], reach: float
    ) -> None:
        """Fills the area with the colour times the shade.

        The shade is float32 [n, n], over the square that reaches `reach` from the origin.
        """
        mask = np.zeros(self.pixels.shape[:2], np.uint8)
        _fill(mask, self._corners(area), 255)
        step = 2 * reach / (len(shade) - 1)
        from_shade = np.array([[step, 0, -reach], [0, step, -reach], [0, 0, 1]])
        spread = cv2.warpAffine(
            shade, self.to_pixels @ from_shade, mask.shape, borderMode=cv2.BORDER_REPLICATE
        )
        lit = cv2.transform(spread, np.array([*colour], np.float32)[:, None])
        cv2.copyTo(np.clip(lit, 0, 255).astype(np.uint8), mask, self.pixels)

    def _corners(self, points: Points) -> NDArray[np.int32]:
        pixels = points @ self.to_pixels[:, :2].T + self.to_pixels[:, 2]
        corners: NDArray[np.int32] = np.rint(pixels * 2**_SUBPIXEL_BITS).astype(np.int32)
        return corners


def _paint(colour: Iterable[float]) -> tuple[float, ...]:
    return tuple(min(max(float(channel), 0.0), 255.0) for channel in colour)


def _fill(pixels: NDArray[np.uint8], corners: NDArray[np.int32], paint: Any) -> None:
    cv2.fillPoly(pixels, [corners], paint, cv2.LINE_AA, _SUBPIXEL_BITS)
