import cv2
import numpy as np
import pytest

from deploy.pictures import NoImageError, decode

PIXELS = np.random.default_rng(0).integers(0, 256, (32, 24, 3), np.uint8)


def _encoded(kind: str) -> bytes:
    return cv2.imencode(kind, cv2.cvtColor(PIXELS, cv2.COLOR_RGB2BGR))[1].tobytes()


@pytest.mark.parametrize("kind", [".png", ".bmp", ".jpg"])
def test_a_picture_is_its_rgb_pixels(kind: str) -> None:
    pixels = decode(_encoded(kind))
    assert pixels.shape == PIXELS.shape
    if kind != ".jpg":
        np.testing.assert_array_equal(pixels, PIXELS)


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"BM",
        b"no picture",
        *(_encoded(kind)[:500] for kind in (".png", ".bmp", ".jpg")),
        _encoded(".webp"),  # OpenCV reads it, a server does not.
        # 60,000 x 60,000 pixels are more than OpenCV takes.
        _encoded(".bmp")[:18] + (60_000).to_bytes(4, "little") * 2 + _encoded(".bmp")[26:],
    ],
)
def test_what_is_no_whole_picture_is_said(encoded: bytes) -> None:
    with pytest.raises(NoImageError, match=r"^no picture: (wanted|Unknown|A picture is too large)"):
        decode(encoded)


def test_a_picture_of_too_many_pixels_is_told_before_it_is_decoded() -> None:
    bomb = cv2.imencode(".png", np.zeros((9000, 9000), np.uint8))[1].tobytes()
    with pytest.raises(NoImageError, match=r"too large: 81,000,000 pixels, more than the 67,"):
        decode(bomb)
