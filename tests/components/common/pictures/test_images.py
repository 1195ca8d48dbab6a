import io
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

from components.common.pictures import images

Noise = Callable[..., NDArray[np.uint8]]


@pytest.mark.parametrize("channels", [1, 3])
def test_fit_leaves_an_image_of_that_size_as_it_is(noise: Noise, channels: int) -> None:
    gray = np.repeat(noise(0, 17, 23, 1), 3, axis=-1)
    fitted = images.fit_image(gray, 17, 23, channels)
    np.testing.assert_array_equal(fitted, gray[..., :channels])


@pytest.mark.parametrize("size", [(48, 48, 1), (31, 64, 3), (7, 5, 1)])
def test_fit_gives_the_same_pixels_eagerly_and_in_every_graph(
    noise: Noise, size: tuple[int, int, int]
) -> None:
    image = noise(1, 61, 47, 3)
    eager = images.fit(tf.constant(image), *size).numpy()
    in_function = tf.function(lambda x: images.fit(x, *size))(tf.constant(image)).numpy()
    dataset = tf.data.Dataset.from_tensors(image).map(lambda x: images.fit(x, *size))
    assert eager.shape == size
    np.testing.assert_array_equal(images.fit_image(image, *size), eager)
    np.testing.assert_array_equal(in_function, eager)
    np.testing.assert_array_equal(next(dataset.as_numpy_iterator()), eager)


@pytest.mark.parametrize("quality", [40, 90])
def test_jpeg_has_the_pixels_that_the_client_sees(noise: Noise, quality: int) -> None:
    smooth = cv2.GaussianBlur(noise(0, 61, 83, 3), (0, 0), 3)
    encoded = cv2.imencode(".jpg", smooth, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    seen = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(images.decode_image(encoded.tobytes()), seen)


def test_fit_averages_when_it_shrinks() -> None:
    # Without antialiasing, one of the two tones of a fine pattern would win.
    checkerboard = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    fitted = images.fit_image(np.stack([checkerboard] * 3, axis=-1), 8, 8, 1)
    np.testing.assert_allclose(fitted, 127.5, atol=3)


@pytest.mark.parametrize("extension", [".png", ".bmp", ".jpg"])
def test_decodes_to_rgb(extension: str) -> None:
    red = np.zeros((9, 7, 3), np.uint8)
    red[..., 0] = 200
    encoded = bytes(cv2.imencode(extension, red[..., ::-1])[1])
    np.testing.assert_allclose(images.decode_image(encoded), red, atol=4)


@pytest.mark.parametrize("channels", [1, 4])
def test_gray_and_transparent_png_get_three_channels(noise: Noise, channels: int) -> None:
    pixels = noise(2, 9, 7, channels)
    decoded = images.decode_image(images.encode_png(pixels))
    wanted = np.repeat(pixels, 3, axis=-1) if channels == 1 else pixels[..., :3]
    np.testing.assert_array_equal(decoded, wanted)


def test_a_bmp_of_colored_palette_has_those_colors(noise: Noise) -> None:
    colors = noise(5, 16, 3)
    indices = noise(6, 9, 7) % 16
    picture = Image.fromarray(indices, "P")
    picture.putpalette(colors.tobytes())
    encoded = io.BytesIO()
    picture.save(encoded, "BMP")
    np.testing.assert_array_equal(images.decode_image(encoded.getvalue()), colors[indices])


def test_of_a_gif_the_first_frame_is_decoded() -> None:
    gif = (
        b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x10\x20\x30\xff\xff\xff"
        b",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
    )
    np.testing.assert_array_equal(images.decode_image(gif), [[[0x10, 0x20, 0x30]]])


@pytest.mark.parametrize("extension", [".png", ".jpg", ".bmp"])
def test_a_truncated_image_is_undecodable(noise: Noise, extension: str) -> None:
    encoded = bytes(cv2.imencode(extension, noise(3, 40, 40, 3))[1])
    with pytest.raises(images.UndecodableImageError, match=r"\w"):
        images.decode_image(encoded[: len(encoded) // 2])


@pytest.mark.parametrize("encoded", [b"", b"not an image", b"\x89PNG\r\n\x1a\n", b"\0" * 100])
def test_what_is_no_image_is_undecodable_with_a_short_reason(encoded: bytes) -> None:
    with pytest.raises(images.UndecodableImageError) as caught:
        images.decode_image(encoded)
    reason = str(caught.value)
    assert 0 < len(reason) <= 200
    assert "\n" not in reason
    assert "function_node" not in reason


@pytest.mark.parametrize("channels", [1, 3])
def test_png_keeps_every_pixel_and_the_channels(noise: Noise, channels: int) -> None:
    pixels = noise(4, 9, 7, channels)
    np.testing.assert_array_equal(images.decode_png(images.encode_png(pixels)), pixels)


def test_a_picture_of_too_many_pixels_is_not_decoded() -> None:
    bomb = cv2.imencode(".png", np.zeros((9000, 9000), np.uint8))[1].tobytes()
    assert len(bomb) < 200_000
    with pytest.raises(images.UndecodableImageError, match=r"81,000,000 pixels, more than the 67"):
        images.decode_image(bomb)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(16, 12), (40, 50)])
def test_pictures_fitted_together_are_those_fitted_one_by_one(
    noise: Noise, channels: int, size: tuple[int, int]
) -> None:
    pictures = [noise(number, *size, 3) for number in range(5)]
    encoded = [images.encode_png(picture) for picture in pictures]
    encoded.append(cv2.imencode(".jpg", pictures[0])[1].tobytes())
    fitted = images.decode_and_fit(encoded, 16, 12, channels)
    assert fitted.shape == (6, 16, 12, channels)
    assert fitted.dtype == np.uint8
    for one, together in zip(encoded, fitted, strict=True):
        alone = images.fit_image(images.decode_image(one), 16, 12, channels)
        np.testing.assert_array_equal(together, alone)


def test_of_pictures_fitted_together_an_undecodable_one_is_told_in_words(noise: Noise) -> None:
    whole = images.encode_png(noise(0, 9, 9, 3))
    with pytest.raises(images.UndecodableImageError, match="PNG"):
        images.decode_and_fit([whole, whole[:60], whole], 8, 8, 1)


@pytest.mark.parametrize(
    "broken", [b"", b"no PNG", images.encode_png(np.zeros((9, 9, 1), np.uint8))[:50]]
)
def test_a_png_that_is_not_whole_is_undecodable(broken: bytes) -> None:
    with pytest.raises(images.UndecodableImageError):
        images.decode_png(broken)
