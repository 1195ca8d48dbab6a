"""Finding and cropping the face: OpenCV's Haar cascades, by the rule of the CK+ experiment.

Four frontal cascades are asked in turn; the first that finds exactly one face wins, and an image
where none does has no usable face. No TensorFlow here: the client crops with this same code.
"""

import threading
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

CASCADES = (
    "haarcascade_frontalface_default.xml",
    "haarcascade_frontalface_alt2.xml",
    "haarcascade_frontalface_alt.xml",
    "haarcascade_frontalface_alt_tree.xml",
)

_CASCADE_DIR: str = cv2.data.haarcascades  # type: ignore[attr-defined]
_HAS_FACE_SIDE = 64
_local = threading.local()


class Box(NamedTuple):
    """A face's place in pixels: left, top, width, height."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class FaceCrop:
    """How faces are found and cropped.

    Attributes:
        min_size: smallest side of a face in pixels. The reference says 5; on 350 px pictures 60
            finds more single faces in 40 % of the time.
        scale_factor: step between the sizes that a cascade tries, > 1.
        min_neighbors: detections that must agree on a face.
        margin: how much of the box's side is added on each of its sides, 0..1.
    """

    min_size: int = 30
    scale_factor: float = 1.1
    min_neighbors: int = 10
    margin: float = 0.0


def _cascades() -> list[cv2.CascadeClassifier]:
    """The four classifiers, loaded once a thread: they are not safe to share."""
    if not hasattr(_local, "cascades"):
        cv2.setNumThreads(1)  # The caller decides what runs in parallel.
        _local.cascades = [cv2.CascadeClassifier(_CASCADE_DIR + name) for name in CASCADES]
    return _local.cascades


def find_face(gray: NDArray[np.uint8], crop: FaceCrop) -> Box | None:
    """The box of the one face in a uint8 [height, width] image; None where no cascade finds one."""
    for cascade in _cascades():
        boxes = cascade.detectMultiScale(
            gray,
            scaleFactor=crop.scale_factor,
            minNeighbors=crop.min_neighbors,
            minSize=(crop.min_size, crop.min_size),
        )
        if len(boxes) == 1:
            return Box(*(int(side) for side in boxes[0]))
    return None


def has_face(image: NDArray[np.uint8]) -> bool:
    """Whether a uint8 RGB [height, width, 3] image shows anything like a face, anywhere, any size.

    Far more tolerant than `find_face`: a single detection counts, of either of the two cascades
    that find most, asked in coarse steps first, since most faces are found by those. The picture is
    made small, and gets a border, since cascades miss a face that fills its picture.
    """
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = shrunk(gray.astype(np.uint8, copy=False), _HAS_FACE_SIDE)
    border = max(small.shape) // 6
    framed = cv2.copyMakeBorder(small, border, border, border, border, cv2.BORDER_REPLICATE)
    default, alt2, *_ = _cascades()
    passes = ((alt2, 1.25), (default, 1.2), (alt2, 1.1))
    return any(len(cascade.detectMultiScale(framed, step, 0)) for cascade, step in passes)


def shrunk(image: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """A uint8 [height, width] or [height, width, 3] image with no side longer than `longest`."""
    height, width = image.shape[:2]
    shrink = min(1.0, longest / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def crop_face(image: NDArray[np.uint8], crop: FaceCrop) -> NDArray[np.uint8] | None:
    """The face of a uint8 RGB [height, width, 3] image with its margin, cut at the image's edges.

    None where no cascade finds exactly one face.
    """
    box = find_face(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False), crop)
    if box is None:
        return None
    dx, dy = round(box.width * crop.margin), round(box.height * crop.margin)
    return image[
        max(box.top - dy, 0) : box.top + box.height + dy,
        max(box.left - dx, 0) : box.left + box.width + dx,
    ]
