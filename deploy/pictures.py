"""Pictures on their way to a server: the face cut out as in training, without TensorFlow."""

from contextlib import suppress

import cv2
import numpy as np
from numpy.typing import NDArray

from components.common.detectors import Box
from components.common.faces import FaceCrop, FaceNotFoundError, crop_faces

# How the files begin that every server reads; OpenCV reads others too.
_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"BM")


class NoImageError(ValueError):
    """There is nothing to send: no picture, or no face on it."""


class NoFaceError(NoImageError):
    """There is no face on a picture."""


def decode(encoded: bytes) -> NDArray[np.uint8]:
    """The RGB pixels of an encoded picture.

    Raises:
        NoImageError: the bytes are no whole JPEG, PNG or BMP picture.
    """
    # Transform does not turn a picture by its EXIF tag either.
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    image = None
    if encoded.startswith(_STARTS):
        with suppress(cv2.error):  # More pixels than OpenCV takes.
            image = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)
    if image is None:
        raise NoImageError("no picture: wanted JPEG, PNG or BMP")
    return image.astype(np.uint8, copy=False)


def cut_faces(picture: NDArray[np.uint8], crop: FaceCrop) -> list[tuple[Box | None, bytes]]:
    """The faces on RGB pixels, from left to right, as PNG bytes, each with its place.

    Where there is none, and the model was trained on such pictures too, it is the picture and None.

    Raises:
        NoFaceError: there is none, and the crop says to reject that.
    """
    try:
        faces = crop_faces(picture, crop)
    except FaceNotFoundError as error:
        raise NoFaceError(f"{error}; --no-crop sends the picture whole") from None
    return [(box, encode_png(face)) for box, face in faces]


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """RGB pixels as PNG bytes."""
    return cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()
