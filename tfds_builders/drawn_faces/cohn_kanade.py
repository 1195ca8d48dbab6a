"""Drawn faces in the layout of the CK+ release, for those who do not have the release."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from tfds_builders.drawn_faces.drawing import draw_face
from tfds_builders.drawn_faces.face import NEUTRAL, PEAKS, Expression, sample_looks, sample_scene

EMOTIONS = {
    "anger": PEAKS["angry"],
    # Drawn faces are symmetric: a closed smile under heavy lids stands for CK+'s lopsided one.
    "contempt": Expression(-0.3, -0.2, 0.5, 0.55, 0, 0.8, 0),
    "disgust": PEAKS["disgust"],
    "fear": PEAKS["fear"],
    "happy": PEAKS["happy"],
    "sadness": PEAKS["sad"],
    "surprise": PEAKS["surprise"],
}
"""In CK+'s order, whose numbers start at 1."""


def image_members(
    subjects: int, frames: int, size: tuple[int, int], seed: int = 0
) -> Iterator[tuple[str, bytes]]:
    """Yields name and content of every frame: each subject's way to each emotion.

    Even subjects are gray, odd ones in colour and, as in CK+ with its 490 and 480, less high.

    Args:
        subjects: how many, 999 at most.
        frames: of each sequence, 2 or more.
        size: width and height.
        seed: another seed gives other subjects.
    """
    width, height = size
    for subject in range(subjects):
        shape = (width, height * 48 // 49) if subject % 2 else size
        for sequence in range(len(EMOTIONS)):
            for frame in range(frames):
                pixels = _draw(subject, sequence, frame, frames, shape, seed)
                # A PNG of one channel is gray.
                kept = pixels[..., ::-1] if subject % 2 else pixels.mean(axis=2).astype(np.uint8)
                name = f"cohn-kanade-images/{_stem(subject, sequence, frame)}.png"
                yield name, bytes(cv2.imencode(".png", kept)[1])


def label_members(subjects: int, frames: int) -> Iterator[tuple[str, bytes]]:
    """Yields name and content of the label files, and the folders that are left without one.

    As in CK+, little more than half of the sequences have a label. A folder's name ends with "/".
    """
    for subject in range(subjects):
        for sequence in range(len(EMOTIONS)):
            stem = _stem(subject, sequence, frames - 1)
            yield f"Emotion/{stem.rpartition('/')[0]}/", b""
            if (subject + sequence) % len(EMOTIONS) < 4:
                yield f"Emotion/{stem}_emotion.txt", f"   {sequence + 1:.7e}\n".encode()


def _stem(subject: int, sequence: int, frame: int) -> str:
    folder = f"S{subject + 1:03d}/{sequence + 1:03d}/"
    return f"{folder}{folder.replace('/', '_')}{frame + 1:08d}"


def _draw(
    subject: int, sequence: int, frame: int, frames: int, size: tuple[int, int], seed: int
) -> NDArray[np.uint8]:
    looks = sample_looks(np.random.default_rng([seed, 0, subject]))
    # One stream for all frames of a sequence, as they are one take, and one for each frame's grain.
    take = np.random.default_rng([seed, 1, subject, sequence])
    shot = np.random.default_rng([seed, 2, subject, sequence, frame])
    # A face is drawn into a square; a scene as far away as the square is large fits its middle.
    square, least = max(size), min(size)
    scene = sample_scene(take)
    scene = replace(scene, scale=scene.scale * least / square)
    rest, peak = np.array(NEUTRAL), np.array([*EMOTIONS.values()][sequence])
    reached = take.uniform(0.8, 1.0) * frame / (frames - 1)
    expression = Expression(*(rest + reached * (peak - rest) + take.normal(0, 0.05, len(rest))))
    pixels = draw_face(looks, expression, scene, square, shot)
    left, top = (square - size[0]) // 2, (square - size[1]) // 2
    return pixels[top : top + size[1], left : left + size[0]]
