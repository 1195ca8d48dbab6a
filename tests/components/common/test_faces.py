from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from components.common import faces, images
from components.common.faces import Box, FaceCrop, crop_face, find_face, has_face


@pytest.fixture(scope="module")
def picture(face_png: Callable[..., bytes]) -> NDArray[np.uint8]:
    return images.decode_image(face_png("happy", 0))


@pytest.mark.parametrize("expression", ["happy", "neutral", "surprise"])
def test_finds_the_one_face(face_png: Callable[..., bytes], expression: str) -> None:
    box = find_face(images.decode_image(face_png(expression, 0))[..., 1], FaceCrop())
    assert box is not None
    middle = box.left + box.width / 2, box.top + box.height / 2
    assert middle == pytest.approx((48, 48), abs=14)
    assert 35 < box.width < 96


def test_a_blank_picture_has_no_face() -> None:
    assert crop_face(np.full((96, 96, 3), 128, np.uint8), FaceCrop()) is None


def test_two_faces_are_not_one(picture: NDArray[np.uint8]) -> None:
    assert crop_face(np.hstack([picture, picture[:, ::-1]]), FaceCrop()) is None


def test_a_face_below_the_least_size_is_not_found(picture: NDArray[np.uint8]) -> None:
    assert find_face(picture[..., 1], FaceCrop(min_size=95)) is None


def test_the_crop_is_the_box(picture: NDArray[np.uint8]) -> None:
    face = crop_face(picture, FaceCrop())
    assert face is not None
    assert face.shape[0] == face.shape[1] < 96


@pytest.mark.parametrize(
    ("box", "margin", "rows", "columns"),
    [
        (Box(20, 30, 40, 40), 0.0, (30, 70), (20, 60)),
        (Box(20, 30, 40, 40), 0.25, (20, 80), (10, 70)),
        (Box(2, 30, 40, 40), 0.5, (10, 90), (0, 62)),
        (Box(60, 0, 40, 40), 1.0, (0, 80), (20, 96)),
    ],
)
def test_the_margin_is_cut_at_the_edges(
    monkeypatch: pytest.MonkeyPatch,
    box: Box,
    margin: float,
    rows: tuple[int, int],
    columns: tuple[int, int],
) -> None:
    monkeypatch.setattr(faces, "find_face", lambda gray, crop: box)
    place = np.indices((96, 96)).transpose(1, 2, 0).astype(np.uint8)
    image = np.concatenate([place, place[..., :1]], axis=-1)
    face = crop_face(image, FaceCrop(margin=margin))
    assert face is not None
    assert (face[0, 0, 0], face[-1, -1, 0] + 1) == rows
    assert (face[0, 0, 1], face[-1, -1, 1] + 1) == columns


@pytest.mark.parametrize("size", [40, 96, 350])
def test_drawn_faces_are_seen_in_any_size(face_png: Callable[..., bytes], size: int) -> None:
    seen = [
        has_face(images.decode_image(face_png(expression, number, size)))
        for expression in ("happy", "sad", "surprise")
        for number in range(2)
    ]
    assert all(seen)


def gradient(axis: int) -> NDArray[np.uint8]:
    slope = np.linspace(0, 255, 96).astype(np.uint8)
    across = np.broadcast_to(slope[:, None], (96, 96))
    return np.stack([across.T if axis else across] * 3, axis=2)


@pytest.mark.parametrize(
    "picture",
    [np.full((96, 96, 3), 128, np.uint8), gradient(0), gradient(1)],
    ids=["blank", "across", "down"],
)
def test_flat_pictures_show_no_face(picture: NDArray[np.uint8]) -> None:
    assert not has_face(picture)


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (1, 8), (1, 2000), (2000, 1), (3, 1000)])
def test_the_smallest_and_the_longest_pictures_show_no_face(
    noise: Callable[..., NDArray[np.uint8]], size: tuple[int, int]
) -> None:
    assert not has_face(noise(0, *size, 3))
