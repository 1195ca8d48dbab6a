"""Pictures on their way to a server: the face cut out as in training, without TensorFlow."""

import cv2
import numpy as np

from components.common.faces import FaceCrop, crop_face


class NoImageError(ValueError):
    """There is nothing to send: no picture, or no face on it."""


def cut_face(encoded: bytes, crop: FaceCrop) -> bytes:
    """The face of an encoded picture, as PNG bytes.

    Raises:
        NoImageError: the bytes are no picture, or it has not exactly one face.
    """
    # Transform does not turn a picture by its EXIF tag either.
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags) if encoded else None
    if image is None:
        raise NoImageError("no picture: wanted JPEG, PNG or BMP")
    face = crop_face(image.astype(np.uint8, copy=False), crop)
    if face is None:
        raise NoImageError("not exactly one face was found; --no-crop sends the picture whole")
    return cv2.imencode(".png", cv2.cvtColor(face, cv2.COLOR_RGB2BGR))[1].tobytes()
