"""Face detectors: from a picture to the faces on it.

    haar            four of OpenCV's frontal cascades in turn: the first that finds exactly one
                    face, as in the CK+ experiment (Viola & Jones 2001)
    haar_tolerant   three of them, less sure of each face, on the picture with a frame around it,
                    since cascades miss a face that fills its picture
    mtcnn           three small networks that propose, refine and place a face with its eyes
                    (Zhang et al. 2016, "Joint face detection and alignment using multitask cascaded
                    convolutional networks"), of 20 pixels or more; their weights come with the
                    package

No TensorFlow at import: the client finds faces with this same code.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.metadata import version
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

CASCADES = (
    "haarcascade_frontalface_default.xml",
    "haarcascade_frontalface_alt2.xml",
    "haarcascade_frontalface_alt.xml",
    "haarcascade_frontalface_alt_tree.xml",
)
SCALE_FACTOR = 1.1
"""Step between the sizes that a cascade tries: the CK+ experiment's own."""
MIN_NEIGHBORS = 10
"""Detections that must agree on a face: the CK+ experiment's own."""
TOLERANT_MIN_NEIGHBORS = 3
"""OpenCV's default."""
FRAME = 6
"""The frame is a sixth of the picture's longer side."""

_KEPT_PIXELS = 2**20
"""A cascade never gives back what its largest picture took: 20 bytes a pixel."""

_CASCADE_DIR: str = cv2.data.haarcascades  # type: ignore[attr-defined]
_local = threading.local()

Point = tuple[float, float]
"""x and y in pixels."""


class Box(NamedTuple):
    """A face's place in pixels: left, top, width, height; inside the picture."""

    left: int
    top: int
    width: int
    height: int


class Face(NamedTuple):
    """A face; `eyes` are the centres of the one at the left of the picture and of the other.

    They are None where the detector does not find eyes.
    """

    box: Box
    eyes: tuple[Point, Point] | None = None


def find_faces(image: NDArray[np.uint8], detector: str, min_size: int) -> list[Face]:
    """The faces that a detector finds.

    Args:
        image: uint8 RGB [height, width, 3].
        detector: one of `DETECTORS`.
        min_size: the smallest side of a face in pixels.
    """
    faces = DETECTORS[detector](image, min_size)
    return [face for face in faces if min(face.box.width, face.box.height) >= min_size]


def detector_version(detector: str) -> str:
    """The package that a detector comes with and its version: another one may find other faces."""
    package = "mtcnn" if detector == "mtcnn" else "opencv-python-headless"
    return f"{package} {version(package)}"


def cascades() -> list[cv2.CascadeClassifier]:
    """The four classifiers, loaded once a thread: they are not safe to share."""
    if not hasattr(_local, "cascades"):
        cv2.setNumThreads(1)  # The caller decides what runs in parallel.
        _local.cascades = [_load(name) for name in CASCADES]
    return _local.cascades


def _cascades_for(gray: NDArray[np.uint8]) -> Iterable[cv2.CascadeClassifier]:
    """The four; for a large picture each is loaded when it is its turn, and then forgotten."""
    kept = cascades()
    return kept if gray.size <= _KEPT_PIXELS else map(_load, CASCADES)


def _load(name: str) -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(_CASCADE_DIR + name)


def to_gray(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 RGB [height, width, 3] to uint8 [height, width]."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)


def with_frame(gray: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
    """A uint8 [height, width] picture with its edge pixels drawn out, and by how many pixels."""
    frame = max(gray.shape) // FRAME
    framed = cv2.copyMakeBorder(gray, frame, frame, frame, frame, cv2.BORDER_REPLICATE)
    return framed.astype(np.uint8, copy=False), frame


def _haar(image: NDArray[np.uint8], min_size: int) -> list[Face]:
    gray = to_gray(image)
    several: list[Face] = []
    for cascade in _cascades_for(gray):
        faces = _detect(cascade, gray, min_size, MIN_NEIGHBORS)
        if len(faces) == 1:
            return faces
        several = several or faces
    return several


def _haar_tolerant(image: NDArray[np.uint8], min_size: int) -> list[Face]:
    framed, frame = with_frame(to_gray(image))
    # The fourth finds next to nothing that these do not.
    for cascade in islice(_cascades_for(framed), 3):
        faces = _detect(cascade, framed, min_size, TOLERANT_MIN_NEIGHBORS)
        if faces:
            height, width = image.shape[:2]
            moved = (
                face.box._replace(left=face.box.left - frame, top=face.box.top - frame)
                for face in faces
            )
            return [Face(_inside(box, height, width)) for box in moved]
    return []


def _detect(
    cascade: cv2.CascadeClassifier, gray: NDArray[np.uint8], min_size: int, min_neighbors: int
) -> list[Face]:
    boxes = cascade.detectMultiScale(
        gray,
        scaleFactor=SCALE_FACTOR,
        minNeighbors=min_neighbors,
        minSize=(min_size, min_size),
    )
    return [Face(Box(*(int(side) for side in box))) for box in boxes]


def _mtcnn(image: NDArray[np.uint8], min_size: int) -> list[Face]:
    height, width = image.shape[:2]
    faces = []
    # Always from 20 pixels, its default: asked for larger ones, mtcnn 1.0 shrinks the picture below
    # what its first network takes, and finds nothing.
    for each in _mtcnn_networks().detect_faces(image):
        eyes = (_point(each["keypoints"]["left_eye"]), _point(each["keypoints"]["right_eye"]))
        box = _inside(_square(Box(*(int(side) for side in each["box"]))), height, width)
        faces.append(Face(box, eyes))
    return faces


@cache
def _mtcnn_networks() -> Any:
    from mtcnn import MTCNN

    return MTCNN()


def _point(xy: Any) -> Point:
    return float(xy[0]), float(xy[1])


def _square(box: Box) -> Box:
    """The square around a box's centre: fitted to one, a narrow box would widen its face."""
    side = max(box.width, box.height)
    left, top = box.left - (side - box.width) // 2, box.top - (side - box.height) // 2
    return Box(left, top, side, side)


def _inside(box: Box, height: int, width: int) -> Box:
    """The part of a box that is in the picture."""
    left, top = max(box.left, 0), max(box.top, 0)
    right, bottom = min(box.left + box.width, width), min(box.top + box.height, height)
    return Box(left, top, right - left, bottom - top)


DETECTORS: Mapping[str, Callable[[NDArray[np.uint8], int], list[Face]]] = MappingProxyType(
    {"haar": _haar, "haar_tolerant": _haar_tolerant, "mtcnn": _mtcnn}
)
