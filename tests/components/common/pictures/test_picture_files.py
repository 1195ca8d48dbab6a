import io
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

from components.common.pictures.picture_files import (
    UndecodableImageError,
    count_pixels,
    upright,
)

Noise = Callable[..., NDArray[np.uint8]]


def encode(pixels: NDArray[np.uint8], kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = orientation
    return tags.tobytes()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_by_its_exif_as_opencv_turns_it(
    noise: Noise, kind: str, orientation: int
) -> None:
    encoded = np.frombuffer(encode(noise(0, 12, 20, 3), kind, exif=exif(orientation)), np.uint8)
    stored = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    turned = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(upright(stored.astype(np.uint8), encoded.tobytes()), turned)


XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>"""


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"exif": exif(0)},
        {"exif": exif(9)},
        {"exif": b"Exif\0\0no TIFF"},
        {"exif": exif(6)[:10]},
        {"xmp": XMP},  # Which browsers do not heed.
    ],
)
def test_a_picture_whose_exif_says_nothing_stays_as_it_is(
    noise: Noise, options: dict[str, bytes]
) -> None:
    stored = noise(0, 12, 20, 3)
    np.testing.assert_array_equal(upright(stored, encode(stored, "JPEG", **options)), stored)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF"])
def test_a_header_says_how_many_pixels_there_are(noise: Noise, kind: str) -> None:
    whole = encode(noise(0, 12, 20, 3), kind)
    assert count_pixels(whole) == 240


def test_what_is_no_picture_has_no_pixels() -> None:
    for encoded in (b"", b"no picture", b"%!PS-Adobe-3.0 EPSF-3.0\n" + bytes(2**20)):
        assert count_pixels(encoded) == 0


def bombs() -> dict[str, bytes]:
    """A few bytes that claim to be 20,000 x 20,000 pixels or so."""
    png, jpeg = encode(BLACK, "PNG"), encode(BLACK, "JPEG")
    size = jpeg.index(b"\xff\xc0") + 5
    return {
        "PNG": png[:16] + (20_000).to_bytes(4, "big") * 2 + png[24:33],
        "JPEG": jpeg[:size] + (20_000).to_bytes(2, "big") * 2 + jpeg[size + 4 :],
        "WebP": encode(BLACK, "WEBP", lossless=True),
        "JPEG XL": b"\xff\x0a" + bytes(60),
        "JPEG of no size": jpeg[: size - 5],
    }


BLACK = np.zeros((12, 20, 3), np.uint8)


@pytest.mark.parametrize("kind", bombs())
def test_a_small_file_that_would_fill_the_memory_is_refused(kind: str) -> None:
    with pytest.raises(UndecodableImageError, match=r"too large|Unknown image file format"):
        count_pixels(bombs()[kind])


def test_what_pillow_cannot_read_stays_as_it_is(noise: Noise) -> None:
    stored = noise(0, 12, 20, 3)
    np.testing.assert_array_equal(upright(stored, b"another decoder's"), stored)
