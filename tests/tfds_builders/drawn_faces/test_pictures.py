from collections import Counter

import cv2
import numpy as np
import pytest

from tfds_builders.drawn_faces.pictures import EXPRESSIONS, Picture, draw_png, sequences, stills


def pixels(picture: Picture, size: int = 96, seed: int = 0) -> np.ndarray:
    png = draw_png(picture, size, (0.8, 1.0), seed)
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR_RGB)


def test_stills_are_dealt_out_to_the_subjects_in_turn() -> None:
    pictures = list(stills(images_per_class=7, subjects=3))

    assert Counter(picture.label for picture in pictures) == dict.fromkeys(EXPRESSIONS, 7)
    for expression in EXPRESSIONS:
        subjects = [picture.subject for picture in pictures if picture.label == expression]
        assert subjects == [0, 1, 2, 0, 1, 2, 0]
    assert len({picture.source for picture in pictures}) == len(pictures)
    assert pictures[3].source == "subject_000/angry/0003.png"


def test_sequences_start_neutral_and_end_at_the_peak() -> None:
    pictures = list(sequences(frames=3, subjects=2))
    happy = [picture for picture in pictures if picture.source.startswith("subject_001/happy/")]

    assert len(pictures) == 2 * 6 * 3
    assert len({picture.source for picture in pictures}) == len(pictures)
    assert [picture.label for picture in happy] == ["neutral", "happy", "happy"]
    assert [picture.progress for picture in happy] == [0, 0.5, 1]


def test_a_sequence_is_one_take() -> None:
    first, _, last = (pixels(p).astype(int) for p in list(sequences(3, 1))[:3])
    other_take = pixels(Picture(0, "angry", 1, 0, 1.0)).astype(int)

    def differs(one: np.ndarray, two: np.ndarray) -> float:
        return np.abs(one - two).mean()

    assert 1 < differs(first, last) < differs(last, other_take) / 2


def test_same_seed_same_pixels_whatever_the_order() -> None:
    pictures = list(stills(2, 2))
    forwards = [draw_png(picture, 64, (0.8, 1.0), 5) for picture in pictures]
    backwards = [draw_png(picture, 64, (0.8, 1.0), 5) for picture in reversed(pictures)]

    assert forwards == backwards[::-1]
    assert len(set(forwards)) == len(forwards)
    assert draw_png(pictures[0], 64, (0.8, 1.0), 6) != forwards[0]


@pytest.mark.parametrize("size", [32, 96, 201])
def test_pictures_have_the_size_that_was_asked_for(size: int) -> None:
    picture = pixels(Picture(0, "fear", 0, 0, 1.0), size)

    assert picture.shape == (size, size, 3)
    assert picture.std() > 20
