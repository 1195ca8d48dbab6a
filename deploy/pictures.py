"""Pictures on their way to a server: the face cut out as in training, without TensorFlow."""

import cv2
import numpy as np

from components.common.faces import FaceCrop, crop_face


class NoImageError(ValueError):
    """The bytes are no picture that OpenCV can decode."""


def cut_face(encoded: bytes, crop: FaceCrop) -> bytes | None:
    """The face of an encoded picture as PNG bytes; None where there is not exactly one.

    Raises:
        NoImageError: the bytes are no picture.
    """
    # Transform does not turn a picture by its EXIF tag either.
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags) if encoded else None
    if image is None:
        raise NoImageError("no image: wanted JPEG, PNG or BMP")
    face = crop_face(image.astype(np.uint8), crop)
    if face is None:
        return None
    return cv2.imencode(".png", cv2.cvtColor(face, cv2.COLOR_RGB2BGR))[1].tobytes()
