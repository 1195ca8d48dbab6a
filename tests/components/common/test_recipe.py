from importlib.metadata import version
from pathlib import Path

import pytest

from components.common.files import read_json
from components.common.pictures.faces import FaceCrop
from components.common.recipe import Recipe, parse_recipe, read_recipe, versions, write_recipe


@pytest.mark.parametrize(
    "face_crop", [None, FaceCrop(min_size=60, margin=0.1), FaceCrop("mtcnn", align=True)]
)
def test_a_recipe_is_read_as_it_was_written(tmp_path: Path, face_crop: FaceCrop | None) -> None:
    recipe = Recipe(48, 64, 1, face_crop)
    write_recipe(tmp_path, recipe, ["happy", "sad"])
    assert read_recipe(tmp_path) == (recipe, ["happy", "sad"])


def test_the_detector_and_its_version_are_written_down(tmp_path: Path) -> None:
    write_recipe(tmp_path, Recipe(48, 48, 1, FaceCrop("mtcnn")), [])
    written = read_json(tmp_path / "recipe.json")
    assert written["face_crop"]["detector"] == "mtcnn"
    assert written["detector_version"] == f"mtcnn {version('mtcnn')}"


def test_the_recipe_of_a_model_pushed_by_an_earlier_mien_is_read() -> None:
    crop = {
        "min_size": 60,
        "scale_factor": 1.1,
        "min_neighbors": 10,
        "margin": 0.2,
        "cascades": ["haarcascade_frontalface_default.xml"],
        "opencv": "4.14.0",
    }
    content = {"height": 48, "width": 48, "channels": 1, "face_crop": crop, "labels": []}
    recipe = Recipe(48, 48, 1, FaceCrop("haar", min_size=60, margin=0.2))
    assert parse_recipe(content) == recipe


def test_a_setting_of_an_earlier_mien_that_would_crop_otherwise_is_refused() -> None:
    content = {"height": 48, "width": 48, "channels": 1, "face_crop": {"min_neighbors": 3}}
    with pytest.raises(ValueError, match=r"min_neighbors was 3 and is always 10 now: .*--no-crop"):
        parse_recipe(content)


@pytest.mark.parametrize(
    ("recipe", "used"),
    [
        (Recipe(48, 48, 1, None), set()),
        (Recipe(48, 48, 1, FaceCrop()), {"detector_version"}),
        (Recipe(48, 48, 1, FaceCrop("mtcnn", align=True)), {"detector_version"}),
        (Recipe(48, 48, 1, None, "pixels"), {"landmarks_version"}),
        (Recipe(48, 48, 1, FaceCrop(align=True)), {"detector_version", "landmarks_version"}),
    ],
)
def test_versions_are_those_of_what_is_used(recipe: Recipe, used: set[str]) -> None:
    pytest.importorskip("dlib")
    assert set(versions(recipe)) == used
