"""68 facial landmarks, and the features of the CK+ experiment that are made of them.

An optional extra, `landmarks`: dlib, and the 68-point model of Kazemi & Sullivan 2014 ("One
millisecond face alignment with an ensemble of regression trees"). Its training data, iBUG 300-W, is
for research only, and so is the model, which the package face-recognition-models ships.
"""

import importlib.util
import threading
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from components.common.pictures.detectors import Box, Point, to_gray
from tfds_builders.catalog import OptionError

POINTS = 68
_LEFT_EYE, _RIGHT_EYE = slice(36, 42), slice(42, 48)  # as they are seen in the picture
_MODEL = "models/shape_predictor_68_face_landmarks.dat"
_local = threading.local()


def _dlib() -> Any:
    for package in ("dlib", "face_recognition_models"):
        if importlib.util.find_spec(package) is None:
            raise OptionError(
                f"landmarks want {package}, an optional extra for research only: make landmarks"
            )
    import dlib

    return dlib


def predictor_version() -> str:
    """The packages of detector, predictor and model, with their versions.

    Raises:
        OptionError: the extra is not installed; says how to get it.
    """
    _dlib()
    packages = ("dlib-bin", "face-recognition-models")
    return ", ".join(f"{package} {version(package)}" for package in packages)


def features(pixels: NDArray[np.uint8], kind: str) -> tuple[float, ...]:
    """The features of a face that fills a uint8 [height, width, 1 or 3] picture.

    Args:
        pixels: of the picture.
        kind: `pixels`, `scale_free`, or `none`, which gives ().
    """
    if kind == "none":
        return ()
    make = {"pixels": pixel_features, "scale_free": scale_free_features}[kind]
    return tuple(make(find_landmarks(_gray(pixels))).tolist())


def drawn(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture, uint8 [height, width, 1 or 3], with its landmarks on it, uint8 [.., .., 3]."""
    gray = _gray(pixels)
    canvas = cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB).astype(np.uint8, copy=False)
    for x, y in find_landmarks(gray):
        cv2.circle(canvas, (int(x), int(y)), max(1, len(gray) // 90), (255, 60, 0), cv2.FILLED)
    return canvas


def _gray(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(pixels[..., 0]) if pixels.shape[2] == 1 else to_gray(pixels)


def find_landmarks(gray: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The landmarks of a face that fills a uint8 [height, width] picture: float32 [68, 2], x and y.

    Within the box of dlib's own detector, as in the CK+ experiment. Where it does not find exactly
    one face, which on disgust and sadness is often, the picture's whole area is the box.
    """
    found = _detector()(gray, 0)
    if len(found) == 1:
        return _place(gray, found[0])
    height, width = gray.shape
    return place_landmarks(gray, Box(0, 0, width, height))


def place_landmarks(gray: NDArray[np.uint8], box: Box) -> NDArray[np.float32]:
    """The landmarks of the face in a box of a uint8 [height, width] picture: float32 [68, 2]."""
    right, bottom = box.left + box.width - 1, box.top + box.height - 1
    return _place(gray, _dlib().rectangle(box.left, box.top, right, bottom))


def eye_centers(points: NDArray[np.float32]) -> tuple[Point, Point]:
    """The centres of the eyes, as seen the left one first, from float32 [68, 2]."""
    left, right = points[_LEFT_EYE].mean(axis=0), points[_RIGHT_EYE].mean(axis=0)
    return (float(left[0]), float(left[1])), (float(right[0]), float(right[1]))


def pixel_features(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """x, y, distance and angle to the centroid of each point, from float32 [68, 2]: float32 [272].

    The CK+ experiment's own: x, y and distance in pixels, the angle in degrees, -180..180. (It
    leaves out point 0, by mistake.)
    """
    offsets = points - points.mean(axis=0)
    return _features(points, offsets)


def scale_free_features(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """`pixel_features` that hang on neither size nor place of the face: float32 [272].

    x and y are those from the centroid; they and the distance are in distances between the eyes.
    """
    (left_x, left_y), (right_x, right_y) = eye_centers(points)
    apart = max(np.hypot(right_x - left_x, right_y - left_y), 1.0)
    offsets = (points - points.mean(axis=0)) / np.float32(apart)
    return _features(offsets, offsets)


def _features(places: NDArray[np.float32], offsets: NDArray[np.float32]) -> NDArray[np.float32]:
    x, y = offsets.T
    distances, angles = np.hypot(x, y), np.degrees(np.arctan2(y, x))
    return np.column_stack([places, distances, angles]).astype(np.float32).ravel()


def _place(gray: NDArray[np.uint8], rectangle: Any) -> NDArray[np.float32]:
    shape = _predictor()(gray, rectangle)
    return np.array([(point.x, point.y) for point in shape.parts()], dtype=np.float32)


def _detector() -> Any:
    """Once a thread: it keeps its work in itself."""
    if not hasattr(_local, "detector"):
        _local.detector = _dlib().get_frontal_face_detector()
    return _local.detector


@cache
def _predictor() -> Any:
    """Once a process, of 100 MB; reading does not change it."""
    # The package itself cannot be imported: it wants pkg_resources, which setuptools dropped.
    package = importlib.util.find_spec("face_recognition_models")
    assert package
    assert package.origin
    return _dlib().shape_predictor(str(Path(package.origin).parent / _MODEL))
