from pathlib import Path

import pytest

from components.common.faces import FaceCrop
from components.common.files import read_json
from components.common.recipe import Recipe, read_recipe, write_recipe


@pytest.mark.parametrize("face_crop", [None, FaceCrop(min_size=60, margin=0.1)])
def test_a_recipe_is_read_as_it_was_written(tmp_path: Path, face_crop: FaceCrop | None) -> None:
    recipe = Recipe(48, 64, 1, face_crop)
    write_recipe(tmp_path, recipe, ["happy", "sad"])
    assert read_recipe(tmp_path) == (recipe, ["happy", "sad"])


def test_the_detector_is_written_down(tmp_path: Path) -> None:
    write_recipe(tmp_path, Recipe(48, 48, 1, FaceCrop()), [])
    crop = read_json(tmp_path / "recipe.json")["face_crop"]
    assert crop["cascades"][0] == "haarcascade_frontalface_default.xml"
    assert crop["opencv"].startswith("4.")
