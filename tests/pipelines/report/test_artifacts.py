import base64
from pathlib import Path

import numpy as np

from components.common.pictures.images import decode_image, encode_png
from pipelines.report.artifacts import load_picture, pictures


def content(url: str) -> bytes:
    return base64.b64decode(url.partition(",")[2], validate=True)


def test_a_small_picture_is_in_the_page_as_it_was(tmp_path: Path) -> None:
    png = encode_png(np.zeros((8, 12, 3), np.uint8))
    (tmp_path / "small.png").write_bytes(png)
    picture = load_picture(tmp_path / "small.png", "a black one")
    assert (picture.width, picture.height, picture.alt) == (12, 8, "a black one")
    assert picture.url.startswith("data:image/png;base64,")
    assert content(picture.url) == png


def test_a_large_picture_takes_fewer_bytes_and_looks_the_same(tmp_path: Path) -> None:
    slope = np.add.outer(np.arange(300), np.arange(300))
    grain = np.random.default_rng(0).integers(0, 6, (300, 300, 3))
    png = encode_png((slope[..., None] // 3 + grain).astype(np.uint8))
    (tmp_path / "large.png").write_bytes(png)
    picture = load_picture(tmp_path / "large.png", "a slope")
    assert picture.url.startswith("data:image/webp;base64,")
    assert len(content(picture.url)) < len(png) / 3


def test_pictures_that_are_not_there_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "there.png").write_bytes(encode_png(np.zeros((8, 8, 3), np.uint8)))
    found = pictures(tmp_path, {"there.png": "there", "gone.png": "gone"})
    assert [picture.alt for picture in found] == ["there"]
    assert decode_image(content(found[0].url)).shape == (8, 8, 3)
