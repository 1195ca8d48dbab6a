"""Pictures on their way to a server: the face cut out as in training, without TensorFlow."""

import io
import struct
import warnings
from contextlib import suppress
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.common.pictures.detectors import Box
from components.common.pictures.faces import FaceCrop, FaceNotFoundError, crop_faces
from components.common.pictures.picture_files import UndecodableImageError, count_pixels

# How the files begin that every server reads; OpenCV reads others too.
_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"BM")
_BMP_HEADER = struct.Struct("<10xI4xii2xH")
"""Where the pixels start, width, height (negative: from the top), bits of a pixel."""


class NoImageError(ValueError):
    """There is nothing to send: no picture, or no face on it."""


class NoFaceError(NoImageError):
    """There is no face on a picture."""


def decode(encoded: bytes) -> NDArray[np.uint8]:
    """The RGB pixels of an encoded picture, as they are stored: those that the served model sees.

    Raises:
        NoImageError: the bytes are no whole JPEG, PNG or BMP picture, or one of too many pixels.
    """
    try:
        count_pixels(encoded)
    except UndecodableImageError as error:
        raise NoImageError(f"no picture: {error}") from None
    image = _decode(encoded) if encoded.startswith(_STARTS) else None
    if image is None:
        raise NoImageError("no picture: wanted JPEG, PNG or BMP")
    return image.astype(np.uint8, copy=False)


def _decode(encoded: bytes) -> Any:
    if encoded.startswith(b"BM") and not _is_whole_bmp(encoded):
        return None
    if encoded.startswith(b"\xff\xd8\xff") and (inks := _inks(encoded)) is not None:
        return inks[..., :3] * inks[..., 3:] // 255  # As TensorFlow does; OpenCV rounds otherwise.
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    with suppress(cv2.error):  # More pixels than OpenCV takes.
        return cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)
    return None


def _is_whole_bmp(encoded: bytes) -> bool:
    """Whether TensorFlow reads it, which knows no packed pixels, and none of less than 8 bits."""
    if len(encoded) < _BMP_HEADER.size:
        return False
    start, width, height, bits = _BMP_HEADER.unpack_from(encoded)
    row = (width * bits // 8 + 3) // 4 * 4
    return bits in (8, 24, 32) and len(encoded) == start + row * abs(height)


def _inks(encoded: bytes) -> NDArray[np.uint16] | None:
    """What a CMYK JPEG leaves of each light, uint16 [height, width, 4]; None where it is another.

    OpenCV decodes it to other colors than TensorFlow, and does not tell its inks.
    """
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(encoded)) as jpeg,
        ):
            if jpeg.mode != "CMYK":
                return None
            inks = np.asarray(jpeg).astype(np.uint16)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None  # It is OpenCV's to refuse.
    # Pillow takes them for inverted, as Adobe writes them.
    return 255 - inks if "adobe" in jpeg.info else inks


def cut_faces(picture: NDArray[np.uint8], crop: FaceCrop) -> list[tuple[Box | None, bytes]]:
    """The faces on upright RGB pixels, from left to right, as PNG bytes, each with its place.

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
