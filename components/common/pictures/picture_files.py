"""What the headers of picture files say. No TensorFlow here: the client looks at them too."""

import io
import struct
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

MAX_PIXELS = 64 * 2**20
BOMB_BYTES = 2**12
"""What is smaller cannot hold MAX_PIXELS, however it is packed."""


class UndecodableImageError(ValueError):
    """The bytes are no whole JPEG, PNG, BMP or GIF."""


def check_size(encoded: bytes) -> None:
    """Looks at the header alone: a picture of one color packs a thousandfold.

    Raises:
        UndecodableImageError: it has more than MAX_PIXELS.
    """
    if len(encoded) < BOMB_BYTES:
        return
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(encoded)) as image:
            pixels = image.width * image.height
    except Image.DecompressionBombError as error:
        raise UndecodableImageError(str(error)) from None
    except (OSError, ValueError, SyntaxError):
        return  # What Pillow cannot read is the decoder's to refuse.
    if pixels > MAX_PIXELS:
        raise UndecodableImageError(f"{pixels:,} pixels, more than the {MAX_PIXELS:,} allowed")


def upright(pixels: NDArray[np.uint8], encoded: bytes) -> NDArray[np.uint8]:
    """A picture as browsers show it: turned by its EXIF orientation, which no decoder here heeds.

    Args:
        pixels: as they are stored, uint8 [height, width, 3].
        encoded: the file that they were decoded from.
    """
    orientation = _orientation(encoded)
    if orientation is None:
        return pixels
    image = Image.fromarray(pixels)
    image.getexif()[ExifTags.Base.Orientation] = orientation
    return np.array(ImageOps.exif_transpose(image))


def _orientation(encoded: bytes) -> Any:
    """1 to 8, or whatever else stands there; None where nothing does.

    Not `Image.getexif`, which looks in XMP too, and behind a PNG's pixels: Chromium does not.
    """
    exif = Image.Exif()
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(encoded)) as image:
            exif.load(image.info.get("exif", b""))
            return exif.get(ExifTags.Base.Orientation)
    except (OSError, ValueError, SyntaxError, struct.error):
        return None
