import importlib.util
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.pictures import images, landmarks
from components.common.pictures.detectors import Box
from components.common.pictures.landmarks import (
    POINTS,
    eye_centers,
    find_landmarks,
    pixel_features,
    place_landmarks,
    scale_free_features,
)
from tfds_builders.catalog import OptionError

needs_dlib = pytest.mark.skipif(
    importlib.util.find_spec("dlib") is None, reason="the extra `landmarks` is not installed"
)


@pytest.fixture(scope="module")
def face(face_png: Callable[..., bytes]) -> NDArray[np.uint8]:
    picture = images.decode_image(face_png("neutral", 0, 192))
    return np.ascontiguousarray(picture[..., 1])


@needs_dlib
def test_the_points_lie_on_the_face(face: NDArray[np.uint8]) -> None:
    points = find_landmarks(face)
    assert points.shape == (POINTS, 2)
    assert points.dtype == np.float32
    (left_x, left_y), (right_x, right_y) = eye_centers(points)
    mouth_x, mouth_y = points[48:68].mean(axis=0)
    assert 50 < left_x < mouth_x < right_x < 142
    assert left_y == pytest.approx(right_y, abs=8)
    assert max(left_y, right_y) < points[30, 1] < mouth_y


@needs_dlib
def test_where_dlib_finds_no_face_the_whole_picture_is_its_box(
    noise: Callable[..., NDArray[np.uint8]],
) -> None:
    gray = noise(0, 60, 48)
    expected = place_landmarks(gray, Box(0, 0, 48, 60))
    np.testing.assert_array_equal(find_landmarks(gray), expected)


@needs_dlib
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["pixels", "scale_free"])
def test_features_of_gray_and_color_pictures(
    face: NDArray[np.uint8], channels: int, kind: str
) -> None:
    pixels = np.repeat(face[..., None], channels, axis=2)
    values = landmarks.features(pixels, kind)
    assert len(values) == 4 * POINTS
    assert np.isfinite(values).all()
    points = find_landmarks(face)
    wanted = pixel_features(points) if kind == "pixels" else scale_free_features(points)
    np.testing.assert_array_equal(np.float32(values), wanted)


def test_no_features_want_no_dlib(face: NDArray[np.uint8]) -> None:
    assert landmarks.features(face[..., None], "none") == ()


@needs_dlib
@pytest.mark.parametrize("channels", [1, 3])
def test_landmarks_are_drawn_on_a_copy(face: NDArray[np.uint8], channels: int) -> None:
    pixels = np.repeat(face[..., None], channels, axis=2)
    before = pixels.copy()
    canvas = landmarks.drawn(pixels)
    assert canvas.shape == (192, 192, 3)
    np.testing.assert_array_equal(pixels, before)
    assert (canvas != face[..., None]).any()


def points() -> NDArray[np.float32]:
    return np.random.default_rng(0).uniform(10, 90, (POINTS, 2)).astype(np.float32)


def test_pixel_features_are_x_y_distance_and_angle_to_the_centroid() -> None:
    placed = points()
    features = pixel_features(placed).reshape(POINTS, 4)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features[:, :2], placed)
    center = placed.mean(axis=0)
    _, _, distance, angle = features[7]
    assert distance == pytest.approx(np.linalg.norm(placed[7] - center), rel=1e-5)
    there = center + distance * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    np.testing.assert_allclose(there, placed[7], rtol=1e-4)


def test_a_point_straight_below_the_centroid_is_at_90_degrees() -> None:
    placed = np.zeros((POINTS, 2), np.float32)
    placed[0], placed[1] = (0, 10), (0, -10)
    assert pixel_features(placed).reshape(POINTS, 4)[:2, 3].tolist() == [90, -90]


def test_scale_free_features_hang_on_neither_size_nor_place() -> None:
    features = scale_free_features(points())
    np.testing.assert_allclose(scale_free_features(3 * points() + 50), features, atol=1e-3)
    assert not np.allclose(pixel_features(3 * points() + 50), pixel_features(points()), atol=1)


def test_the_eyes_are_one_apart_in_scale_free_features() -> None:
    places = scale_free_features(points()).reshape(POINTS, 4)[:, :2]
    (left_x, left_y), (right_x, right_y) = eye_centers(places)
    assert np.hypot(right_x - left_x, right_y - left_y) == pytest.approx(1, rel=1e-5)


def test_without_the_extra_the_cure_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(OptionError, match=r"landmarks want dlib, .*: make landmarks"):
        landmarks.predictor_version()
