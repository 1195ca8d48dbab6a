"""What the headers of picture files say. No TensorFlow here: the client looks at them too."""

import io
import warnings

from PIL import Image

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
