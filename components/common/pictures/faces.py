"""Finding and cropping the face. No TensorFlow here: the client crops with this same code."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from components.common.pictures.detectors import (
    Box,
    Face,
    Point,
    cascades,
    find_faces,
    to_gray,
    with_frame,
)

NO_FACE = "no face found"
SEVERAL_FACES = "more than one face found"

EYES_APART = 0.35
"""Of an aligned crop's side without margin, which so holds brows and chin."""
EYES_DOWN = 0.36
"""How far down in it the eyes are."""

_HAS_FACE_SIDE = 64


class FaceNotFoundError(ValueError):
    """There is no face to crop, or more than one: the message is NO_FACE or SEVERAL_FACES."""


@dataclass(frozen=True)
class FaceCrop:
    """How the face is found and cropped.

    Attributes:
        detector: one of `components.common.pictures.detectors.DETECTORS`.
        min_size: smallest side of a face in pixels. The CK+ experiment says 5; on 350 px pictures
            60 finds more single faces in 40 % of the time.
        margin: how much of the box's side is added on each of its sides, 0..1.
        if_none: what becomes of a picture without a face: `reject`, or `whole_image`.
        if_several: what becomes of one with more than one face: `reject`, or `largest`.
        align: turns the face so that its eyes are level and at the same place in every crop.
    """

    detector: str = "haar"
    min_size: int = 30
    margin: float = 0.0
    if_none: str = "reject"
    if_several: str = "reject"
    align: bool = False


def crop_face(image: NDArray[np.uint8], crop: FaceCrop) -> NDArray[np.uint8]:
    """The face of a uint8 RGB [height, width, 3] image, uint8 RGB [h, w, 3].

    Raises:
        FaceNotFoundError: there is no face, or more than one, and the crop says to reject it.
    """
    face = _choose(find_faces(image, crop.detector, crop.min_size), crop)
    return image if face is None else _crop(image, face, crop)


def crop_faces(
    image: NDArray[np.uint8], crop: FaceCrop
) -> list[tuple[Box | None, NDArray[np.uint8]]]:
    """Every face of a picture with its box, from left to right, each as `crop_face` would crop it.

    For asking a model, which may say something of each of them; in training a picture is one face.

    Args:
        image: uint8 RGB [height, width, 3].
        crop: what it says of several faces counts for nothing.

    Returns:
        One or more; without a face the whole picture and None.

    Raises:
        FaceNotFoundError: there is no face, and the crop says to reject such a picture.
    """
    faces = find_faces(image, crop.detector, crop.min_size)
    if not faces:
        _choose(faces, crop)
        return [(None, image)]
    return [(face.box, _crop(image, face, crop)) for face in sorted(faces, key=lambda f: f.box)]


def _crop(image: NDArray[np.uint8], face: Face, crop: FaceCrop) -> NDArray[np.uint8]:
    if crop.align:
        return _aligned(image, face.eyes or _eyes_by_landmarks(image, face.box), crop.margin)
    return _cut(image, face.box, crop.margin)


def _choose(faces: list[Face], crop: FaceCrop) -> Face | None:
    """The face to crop; None for the whole image."""
    if len(faces) > 1 and crop.if_several == "reject":
        raise FaceNotFoundError(SEVERAL_FACES)
    if not faces and crop.if_none == "reject":
        raise FaceNotFoundError(NO_FACE)
    return max(faces, key=lambda face: face.box.width * face.box.height, default=None)


def _cut(image: NDArray[np.uint8], box: Box, margin: float) -> NDArray[np.uint8]:
    """The box with its margin, cut at the image's edges."""
    dx, dy = round(box.width * margin), round(box.height * margin)
    return image[
        max(box.top - dy, 0) : box.top + box.height + dy,
        max(box.left - dx, 0) : box.left + box.width + dx,
    ]


def _aligned(
    image: NDArray[np.uint8], eyes: tuple[Point, Point], margin: float
) -> NDArray[np.uint8]:
    """A square with level eyes, in the image's own scale; edge pixels fill what lies outside."""
    (left_x, left_y), (right_x, right_y) = eyes
    apart = math.hypot(right_x - left_x, right_y - left_y)
    inner = max(apart, 1.0) / EYES_APART
    side = max(round(inner * (1 + 2 * margin)), 1)
    angle = math.degrees(math.atan2(right_y - left_y, right_x - left_x))
    middle = (left_x + right_x) / 2, (left_y + right_y) / 2
    turn = cv2.getRotationMatrix2D(middle, angle, 1.0)
    turn[0, 2] += side / 2 - middle[0]
    turn[1, 2] += inner * (EYES_DOWN + margin) - middle[1]
    turned = cv2.warpAffine(image, turn, (side, side), borderMode=cv2.BORDER_REPLICATE)
    return turned.astype(np.uint8, copy=False)


def _eyes_by_landmarks(image: NDArray[np.uint8], box: Box) -> tuple[Point, Point]:
    from components.common.pictures.landmarks import eye_centers, place_landmarks

    return eye_centers(place_landmarks(to_gray(image), box))


def has_face(image: NDArray[np.uint8]) -> bool:
    """Whether a uint8 RGB [height, width, 3] image shows anything like a face, anywhere, any size.

    Far more tolerant than `crop_face`: a single detection counts, of either of the two cascades
    that find most, asked in coarse steps first, since most faces are found by those. The picture is
    made small, and gets a frame, since cascades miss a face that fills its picture.
    """
    framed, _ = with_frame(shrunk(to_gray(image), _HAS_FACE_SIDE))
    default, alt2, *_ = cascades()
    passes = ((alt2, 1.25), (default, 1.2), (alt2, 1.1))
    return any(len(cascade.detectMultiScale(framed, step, 0)) for cascade, step in passes)


def shrunk(image: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """A uint8 [height, width] or [height, width, 3] image with no side longer than `longest`."""
    height, width = image.shape[:2]
    shrink = min(1.0, longest / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
