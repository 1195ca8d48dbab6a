import numpy as np

from tfds_builders.drawn_faces.canvas import Canvas

SQUARE = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], float)


def blank() -> Canvas:
    """40 x 40 pixels, its origin in the middle, 8 pixels to the unit."""
    to_pixels = np.array([[8, 0, 20], [0, 8, 20]], float)
    return Canvas(np.zeros((40, 40, 3), np.uint8), to_pixels)


def test_fill_paints_the_area_and_nothing_else() -> None:
    canvas = blank()
    canvas.fill(SQUARE, (300, 20, -5))

    assert (canvas.pixels[14:27, 14:27] == (255, 20, 0)).all()
    assert not canvas.pixels[:10].any()


def test_moved_shares_the_picture() -> None:
    canvas = blank()
    canvas.moved(-1, 1).fill(SQUARE / 4, (9, 9, 9))

    assert canvas.pixels[28, 12].all()
    assert not canvas.pixels[20, 20].any()


def test_shade_follows_the_place() -> None:
    canvas = blank()
    shade = np.tile(np.linspace(0, 1, 21, dtype=np.float32), (21, 1))
    canvas.fill_shaded(SQUARE, (200, 100, 50), shade, reach=1)

    middle = canvas.pixels[20].astype(int)
    assert (np.diff(middle[13:28, 0]) > 0).all()
    np.testing.assert_allclose(middle[20], (100, 50, 25), atol=2)
