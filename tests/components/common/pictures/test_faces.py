from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.pictures import faces, images
from components.common.pictures.detectors import Box, Face, find_faces
from components.common.pictures.faces import (
    EYES_APART,
    EYES_DOWN,
    FaceCrop,
    FaceNotFoundError,
    crop_face,
    crop_faces,
    has_face,
)

# Each pixel says where it is: row, column, row.
PLACES = np.indices((96, 96))[[0, 1, 0]].transpose(1, 2, 0).astype(np.uint8)


@pytest.fixture(scope="module")
def picture(face_png: Callable[..., bytes]) -> NDArray[np.uint8]:
    return images.decode_image(face_png("happy", 0))


def test_a_blank_picture_has_no_face() -> None:
    with pytest.raises(FaceNotFoundError, match="no face found"):
        crop_face(np.full((96, 96, 3), 128, np.uint8), FaceCrop())


def test_without_a_face_the_picture_may_stay_whole(noise: Callable[..., Any]) -> None:
    picture = noise(0, 50, 60, 3)
    np.testing.assert_array_equal(crop_face(picture, FaceCrop(if_none="whole_image")), picture)


def test_two_faces_are_not_one(picture: NDArray[np.uint8]) -> None:
    two = np.hstack([picture, picture[:, ::-1]])
    with pytest.raises(FaceNotFoundError, match="more than one face found"):
        crop_face(two, FaceCrop())


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Face]:
    """What the detector finds, to be filled."""
    faces_found: list[Face] = []
    monkeypatch.setattr(faces, "find_faces", lambda image, detector, min_size: faces_found)
    return faces_found


def test_every_face_is_cropped_with_its_place_from_left_to_right(found: list[Face]) -> None:
    found += [Face(Box(4, 6, 8, 8)), Face(Box(1, 2, 4, 4))]
    crops = crop_faces(PLACES, FaceCrop())
    assert [box for box, _ in crops] == [Box(1, 2, 4, 4), Box(4, 6, 8, 8)]
    assert [face.shape[:2] for _, face in crops] == [(4, 4), (8, 8)]


def test_without_a_face_it_is_the_picture_or_nothing(found: list[Face]) -> None:
    ((box, face),) = crop_faces(PLACES, FaceCrop(if_none="whole_image"))
    assert box is None
    np.testing.assert_array_equal(face, PLACES)
    with pytest.raises(FaceNotFoundError, match="no face found"):
        crop_faces(PLACES, FaceCrop())


def test_of_two_faces_the_largest_may_be_taken(found: list[Face]) -> None:
    found += [Face(Box(0, 0, 30, 30)), Face(Box(20, 40, 50, 40)), Face(Box(5, 5, 39, 39))]
    face = crop_face(PLACES, FaceCrop(if_several="largest"))
    np.testing.assert_array_equal(face, PLACES[40:80, 20:70])


def test_the_crop_is_the_box(picture: NDArray[np.uint8]) -> None:
    face = crop_face(picture, FaceCrop())
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
    found: list[Face],
    box: Box,
    margin: float,
    rows: tuple[int, int],
    columns: tuple[int, int],
) -> None:
    found.append(Face(box))
    face = crop_face(PLACES, FaceCrop(margin=margin))
    assert (face[0, 0, 0], face[-1, -1, 0] + 1) == rows
    assert (face[0, 0, 1], face[-1, -1, 1] + 1) == columns


@pytest.mark.parametrize("degrees", [-25, 0, 25])
@pytest.mark.parametrize("margin", [0.0, 0.25])
def test_aligned_eyes_are_level_and_always_at_the_same_place(
    found: list[Face], degrees: float, margin: float
) -> None:
    picture = np.zeros((200, 240, 3), np.uint8)
    turn = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
    left, right = (tuple((np.array([120, 90]) + side * 24 * turn).round()) for side in (-1, 1))
    for x, y in (left, right):
        picture[int(y), int(x)] = 255
    found.append(Face(Box(60, 60, 90, 90), (left, right)))
    face = crop_face(picture, FaceCrop(align=True, margin=margin))
    side = len(face)
    assert face.shape == (side, side, 3)
    assert side == pytest.approx(48 / EYES_APART * (1 + 2 * margin), abs=2)
    halves = face[:, : side // 2, 0], face[:, side // 2 :, 0]
    (left_y, left_x), (right_y, right_x) = (np.argwhere(half > 40).mean(axis=0) for half in halves)
    inner = side / (1 + 2 * margin)
    assert (left_y, right_y) == pytest.approx([inner * (EYES_DOWN + margin)] * 2, abs=1.5)
    eyes = side / 2 - 24, side / 2 + 24
    assert (left_x, right_x + side // 2) == pytest.approx(eyes, abs=1.5)


def test_what_lies_outside_of_an_aligned_crop_is_filled_from_the_edge(found: list[Face]) -> None:
    found.append(Face(Box(0, 0, 30, 30), ((5.0, 5.0), (25.0, 5.0))))
    face = crop_face(np.full((40, 40, 3), 77, np.uint8), FaceCrop(align=True))
    side = round(20 / EYES_APART)
    assert face.shape == (side, side, 3)
    assert (face == 77).all()


def test_a_cascades_face_is_aligned_by_its_landmarks(face_png: Callable[..., bytes]) -> None:
    pytest.importorskip("dlib")
    upright = images.decode_image(face_png("neutral", 0))
    turn = cv2.getRotationMatrix2D((47.5, 47.5), 12, 1.0)
    tilted = cv2.warpAffine(upright, turn, (96, 96), borderMode=cv2.BORDER_REPLICATE)
    faces_of_both = [
        cv2.resize(crop_face(image, FaceCrop("haar_tolerant", align=True)), (64, 64)).astype(float)
        for image in (upright, tilted.astype(np.uint8))
    ]
    plain = [cv2.resize(image, (64, 64)).astype(float) for image in (upright, tilted)]
    apart, apart_before = (np.abs(one - two).mean() for one, two in (faces_of_both, plain))
    assert apart < apart_before
    ((_, eyes),) = find_faces(faces_of_both[1].astype(np.uint8), "mtcnn", 20)
    assert eyes
    assert eyes[0][1] == pytest.approx(eyes[1][1], abs=3)


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
