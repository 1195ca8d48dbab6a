"""A recipe, applied to pictures."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from components.common.pictures import images
from components.common.pictures.faces import FaceNotFoundError, crop_face
from components.common.pictures.picture_files import upright
from components.common.recipe import Recipe


def decode_for(recipe: Recipe, encoded: bytes) -> NDArray[np.uint8]:
    """What the recipe is applied to, uint8 RGB [h, w, 3]: upright where a face is cut out.

    A whole picture stays as it is stored, since the served graph knows no EXIF either.

    Raises:
        UndecodableImageError: it cannot be decoded.
    """
    image = images.decode_image(encoded)
    return upright(image, encoded) if recipe.face_crop else image


def apply_recipe(image: NDArray[np.uint8], recipe: Recipe) -> NDArray[np.uint8]:
    """uint8 RGB [h, w, 3] to uint8 [height, width, channels].

    Raises:
        FaceNotFoundError: there is no face to crop, or more than one.
    """
    face = crop_face(image, recipe.face_crop) if recipe.face_crop else image
    return images.fit_image(face, recipe.height, recipe.width, recipe.channels)


def apply_to_encoded(
    encoded: Sequence[bytes], recipe: Recipe
) -> list[NDArray[np.uint8] | FaceNotFoundError]:
    """What the recipe makes of each picture, or why it makes nothing of it.

    Args:
        encoded: JPEG, PNG, BMP or GIF.
        recipe: whose size the pictures get.

    Raises:
        UndecodableImageError: one cannot be decoded.
    """
    if recipe.face_crop is None:
        size = recipe.height, recipe.width, recipe.channels
        return list(images.decode_and_fit(encoded, *size)) if encoded else []
    return [_or_error(decode_for(recipe, one), recipe) for one in encoded]


def _or_error(image: NDArray[np.uint8], recipe: Recipe) -> NDArray[np.uint8] | FaceNotFoundError:
    try:
        return apply_recipe(image, recipe)
    except FaceNotFoundError as error:
        return error
