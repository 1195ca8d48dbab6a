import cv2
import numpy as np

from tfds_builders.drawn_faces.drawing import draw_face
from tfds_builders.drawn_faces.face import PEAKS, sample_expression, sample_looks, sample_scene

CASCADES = ("default", "alt2", "alt", "alt_tree")


def face(expression: str, number: int) -> np.ndarray:
    rng = np.random.default_rng([1, number])
    looks, scene = sample_looks(rng), sample_scene(rng)
    return draw_face(looks, sample_expression(expression, 0.9, rng), scene, 96, rng)


def test_haar_cascades_find_the_faces() -> None:
    classifiers = [
        cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_frontalface_{name}.xml")
        for name in CASCADES
    ]

    def is_found(picture: np.ndarray) -> bool:
        gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        return any(
            len(classifier.detectMultiScale(gray, 1.1, 10, minSize=(30, 30))) == 1
            for classifier in classifiers
        )

    found = [is_found(face(expression, number)) for expression in PEAKS for number in range(9)]
    assert np.mean(found) >= 0.85


def test_expressions_can_be_told_apart() -> None:
    """The mean face of new subjects is nearest to the mean face of the same expression."""

    def mean_face(expression: str, numbers: range) -> np.ndarray:
        mean = np.mean([face(expression, number) for number in numbers], axis=0)
        gray = mean[24:84, 24:72].mean(axis=-1)
        return (gray - gray.mean()) / gray.std()

    known = {expression: mean_face(expression, range(12)) for expression in PEAKS}

    def nearest(image: np.ndarray) -> str:
        return min(known, key=lambda expression: np.square(known[expression] - image).sum())

    for expression in PEAKS:
        assert nearest(mean_face(expression, range(12, 24))) == expression
