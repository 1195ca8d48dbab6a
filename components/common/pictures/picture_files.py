"""What the headers of picture files say. No TensorFlow here: the client looks at them too."""

import io
import struct
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

MAX_PIXELS = 64 * 2**20

_FORMATS = ("JPEG", "PNG", "BMP", "GIF")
"""Pillow reads 40 more, some of them slowly."""

_DECODED = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"GIF8", b"RIFF", b"\xff\x0a", b"\0\0\0\x0cJXL ")
"""How the files begin that TensorFlow decodes. The last three, WebP and JPEG XL, are not measured,
and so not taken."""


class UndecodableImageError(ValueError):
    """The bytes are no whole JPEG, PNG, BMP or GIF."""


def count_pixels(encoded: bytes) -> int:
    """How many pixels a picture says it has: of one color they pack a thousandfold.

    The header alone is read, also of a small file: a decoder takes the memory before it finds that
    the rest is missing. What no decoder takes for a picture has none.

    Raises:
        UndecodableImageError: it has more than MAX_PIXELS, or is none that is decoded.
    """
    if not encoded.startswith(_DECODED):
        return 0
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(encoded), formats=_FORMATS) as image,
        ):
            pixels = image.width * image.height
    except Image.DecompressionBombError as error:
        raise UndecodableImageError(f"A picture is too large: {error}") from None
    except (OSError, ValueError, SyntaxError, LookupError, struct.error):
        # TensorFlow's own words.
        raise UndecodableImageError(
            f"Unknown image file format. One of {', '.join(_FORMATS)} required."
        ) from None
    if pixels > MAX_PIXELS:
        raise UndecodableImageError(
            f"A picture is too large: {pixels:,} pixels, more than the {MAX_PIXELS:,} allowed"
        )
    return pixels


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
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(encoded), formats=_FORMATS) as image,
        ):
            exif.load(image.info.get("exif", b""))
            return exif.get(ExifTags.Base.Orientation)
    except (OSError, ValueError, SyntaxError, struct.error):
        return None
