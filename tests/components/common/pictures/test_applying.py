import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import ExifTags, Image

from components.common.pictures import images
from components.common.pictures.applying import apply_recipe, apply_to_encoded
from components.common.pictures.faces import FaceCrop, FaceNotFoundError, crop_face
from components.common.recipe import Recipe


def test_the_recipe_crops_then_fits(face_png: Callable[..., bytes]) -> None:
    picture = images.decode_image(face_png("happy", 0))
    crop = FaceCrop(margin=0.1)
    face = crop_face(picture, crop)
    cropped = apply_recipe(picture, Recipe(32, 28, 3, crop))
    np.testing.assert_array_equal(cropped, images.fit_image(face, 32, 28, 3))
    whole = apply_recipe(picture, Recipe(32, 28, 3, None))
    np.testing.assert_array_equal(whole, images.fit_image(picture, 32, 28, 3))


def test_an_image_with_two_faces_is_rejected_or_cropped_to_the_larger(
    face_png: Callable[..., bytes],
) -> None:
    small, large = (
        images.decode_image(face_png("happy", n, size)) for n, size in ((0, 64), (1, 128))
    )
    two = np.full((128, 192, 3), 200, np.uint8)
    two[:64, :64], two[:, 64:] = small, large
    with pytest.raises(FaceNotFoundError, match="more than one face found"):
        apply_recipe(two, Recipe(32, 32, 1, FaceCrop("mtcnn")))
    assert crop_face(two, FaceCrop("mtcnn", if_several="largest")).shape[0] > 64


def test_a_picture_without_a_face_does_not_keep_the_others_from_their_crop(
    face_png: Callable[..., bytes],
) -> None:
    recipe = Recipe(32, 32, 1, FaceCrop(min_size=20))
    face, blank = face_png("happy", 0), images.encode_png(np.full((64, 64, 1), 99, np.uint8))
    first, second, third = apply_to_encoded([face, blank, face], recipe)
    assert isinstance(second, FaceNotFoundError)
    expected = apply_recipe(images.decode_image(face), recipe)
    np.testing.assert_array_equal(first, expected)
    np.testing.assert_array_equal(third, expected)


def test_a_picture_is_turned_upright_where_its_face_is_cut_out_and_there_alone(
    face_png: Callable[..., bytes],
) -> None:
    picture = images.decode_image(face_png("happy", 0))
    on_its_side, exif, encoded = np.rot90(picture), Image.Exif(), io.BytesIO()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(on_its_side).save(encoded, "PNG", exif=exif)
    for face_crop, seen in ((FaceCrop(), picture), (None, on_its_side)):
        recipe = Recipe(32, 28, 3, face_crop)
        (pixels,) = apply_to_encoded([encoded.getvalue()], recipe)
        np.testing.assert_array_equal(pixels, apply_recipe(seen, recipe))


@pytest.mark.parametrize("face_crop", [None, FaceCrop()])
def test_no_pictures_give_none(face_crop: FaceCrop | None) -> None:
    assert apply_to_encoded([], Recipe(32, 32, 1, face_crop)) == []
