import subprocess
import sys
from collections.abc import Callable

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from components.common.pictures import detectors, images
from components.common.pictures.detectors import DETECTORS, Box, Face, detector_version, find_faces

EXPRESSIONS = ("happy", "neutral", "surprise")


@pytest.fixture(scope="module")
def picture(face_png: Callable[..., bytes]) -> NDArray[np.uint8]:
    return images.decode_image(face_png("happy", 0))


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_each_finds_the_one_face(
    face_png: Callable[..., bytes], detector: str, expression: str
) -> None:
    (face,) = find_faces(images.decode_image(face_png(expression, 0)), detector, 30)
    middle = face.box.left + face.box.width / 2, face.box.top + face.box.height / 2
    assert middle == pytest.approx((48, 48), abs=14)
    assert 35 < face.box.width <= 96
    assert face.box.width == pytest.approx(face.box.height, abs=12)


def test_mtcnn_finds_the_eyes(picture: NDArray[np.uint8]) -> None:
    ((_, eyes),) = find_faces(picture, "mtcnn", 30)
    assert eyes
    (left_x, left_y), (right_x, right_y) = eyes
    assert 20 < left_x < 48 < right_x < 76
    assert left_y == pytest.approx(right_y, abs=6)


@pytest.mark.parametrize("detector", DETECTORS)
def test_a_face_below_the_least_size_is_not_found(
    picture: NDArray[np.uint8], detector: str
) -> None:
    assert find_faces(picture, detector, 97) == []


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (11, 40), (13, 12), (40, 3), (96, 96)])
def test_noise_and_the_smallest_pictures_show_no_face(
    noise: Callable[..., NDArray[np.uint8]], detector: str, size: tuple[int, int]
) -> None:
    assert find_faces(noise(0, *size, 3), detector, 5) == []


@pytest.mark.parametrize("detector", ["haar", "haar_tolerant"])
def test_a_large_picture_shows_the_same_faces_and_leaves_no_memory_taken(
    picture: NDArray[np.uint8], detector: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = np.full((1100, 1500, 3), 128, np.uint8)
    wall[200:296, 300:396] = wall[700:796, 900:996] = picture
    process = psutil.Process()
    find_faces(picture, detector, 30)
    before = process.memory_info().rss
    faces = find_faces(wall, detector, 30)
    assert process.memory_info().rss < before + 16 * 2**20
    monkeypatch.setattr(detectors, "_KEPT_PIXELS", wall.size)
    assert faces == find_faces(wall, detector, 30)
    assert len(faces) == 2


def test_each_finds_two_faces(picture: NDArray[np.uint8]) -> None:
    two = np.hstack([picture, picture[:, ::-1]])
    for detector in DETECTORS:
        left, right = sorted(face.box.left for face in find_faces(two, detector, 30))
        assert left < 48 < 96 < right


def test_the_tolerant_cascades_find_a_face_that_fills_its_picture(
    picture: NDArray[np.uint8],
) -> None:
    filled = np.ascontiguousarray(picture[20:80, 20:76])
    assert find_faces(filled, "haar", 30) == []
    (face,) = find_faces(filled, "haar_tolerant", 30)
    assert face.box.left >= 0
    assert face.box.left + face.box.width <= 56


class Cascade:
    """Finds what it is told to."""

    def __init__(self, *boxes: Box) -> None:
        self._boxes = boxes

    def detectMultiScale(self, gray: object, **settings: object) -> tuple[Box, ...]:
        return self._boxes


ONE, OTHER = Box(1, 2, 40, 40), Box(9, 9, 50, 50)


@pytest.mark.parametrize(
    ("cascades", "found"),
    [
        ([Cascade(), Cascade(ONE), Cascade(OTHER), Cascade()], [ONE]),
        ([Cascade(ONE, OTHER), Cascade(), Cascade(OTHER), Cascade(ONE)], [OTHER]),
        ([Cascade(), Cascade(ONE, OTHER), Cascade(), Cascade(OTHER, ONE, ONE)], [ONE, OTHER]),
        ([Cascade(), Cascade(), Cascade(), Cascade()], []),
    ],
)
def test_the_first_cascade_that_finds_exactly_one_face_wins(
    monkeypatch: pytest.MonkeyPatch, cascades: list[Cascade], found: list[Box]
) -> None:
    monkeypatch.setattr(detectors, "cascades", lambda: cascades)
    faces = find_faces(np.zeros((96, 96, 3), np.uint8), "haar", 30)
    assert faces == [Face(box) for box in found]


@pytest.mark.parametrize("detector", DETECTORS)
def test_a_detector_has_a_version(detector: str) -> None:
    package, number = detector_version(detector).split()
    assert package == ("mtcnn" if detector == "mtcnn" else "opencv-python-headless")
    assert number[0].isdigit()


def test_a_client_with_cascades_imports_no_tensorflow() -> None:
    code = "import sys, deploy.pictures; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
