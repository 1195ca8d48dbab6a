"""Which pictures the dataset has, and how each is drawn from nothing but its own coordinates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

from tfds_builders.drawn_faces.drawing import draw_face
from tfds_builders.drawn_faces.face import PEAKS, sample_expression, sample_looks, sample_scene

EXPRESSIONS = tuple(PEAKS)


class Picture(NamedTuple):
    """One picture: in each take a subject shows an expression once, in one frame or more."""

    subject: int
    expression: str
    take: int
    frame: int
    progress: float  # from neutral, 0, to the strength that the subject reaches in this take, 1

    @property
    def label(self) -> str:
        """The label: a sequence starts with a neutral face."""
        return self.expression if self.progress else "neutral"

    @property
    def subject_name(self) -> str:
        """The subject's own name, as it is in `source`."""
        return f"subject_{self.subject:03d}"

    @property
    def source(self) -> str:
        """The picture's own name; no other picture of its dataset has it."""
        number = self.take + self.frame  # stills have many takes, sequences many frames
        return f"{self.subject_name}/{self.expression}/{number:04d}.png"


def stills(images_per_class: int, subjects: int) -> Iterator[Picture]:
    """Yields pictures of one frame each; every class is dealt out to the subjects in turn."""
    for expression in EXPRESSIONS:
        for take in range(images_per_class):
            yield Picture(take % subjects, expression, take, 0, 1.0)


def sequences(frames: int, subjects: int) -> Iterator[Picture]:
    """Yields every subject's way from neutral to the peak of every other expression.

    `frames`, the length of each sequence, is 2 or more.
    """
    for subject in range(subjects):
        for expression in EXPRESSIONS:
            if expression != "neutral":
                for frame in range(frames):
                    yield Picture(subject, expression, 0, frame, frame / (frames - 1))


def draw_png(picture: Picture, size: int, strength: tuple[float, float], seed: int) -> bytes:
    """Returns the picture as a PNG of size x size, RGB.

    The same arguments give the same pixels, whatever else was drawn before.

    Args:
        picture: what to draw.
        size: pixels.
        strength: the least and the most that subjects show of an expression, 0 (neutral) to 1.
        seed: a number of 32 bits; another seed gives other subjects.
    """
    take = (picture.subject, EXPRESSIONS.index(picture.expression), picture.take)
    # numpy pads seeds with zeros, so each stream needs a number of its own before the coordinates.
    looks = sample_looks(np.random.default_rng([seed, 0, picture.subject]))
    session = np.random.default_rng([seed, 1, *take])
    shot = np.random.default_rng([seed, 2, *take, picture.frame])
    scene, reached = sample_scene(session), session.uniform(*strength)
    expression = sample_expression(picture.expression, reached * picture.progress, shot)
    pixels = draw_face(looks, expression, scene, size, shot)
    return bytes(cv2.imencode(".png", pixels[..., ::-1])[1])
