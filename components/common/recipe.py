"""The recipe: what is done to a picture before a model sees it, in training and in serving."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import cv2

from components.common.faces import CASCADES, FaceCrop
from components.common.files import read_json, write_json


class Recipe(NamedTuple):
    """What is done to a picture.

    Attributes:
        height: of the result in pixels.
        width: of the result in pixels.
        channels: 1 for gray, 3 for RGB.
        face_crop: how the face is found and cut out; None leaves the picture whole.
    """

    height: int
    width: int
    channels: int
    face_crop: FaceCrop | None


def write_recipe(folder: Path, recipe: Recipe, labels: list[str]) -> None:
    """Writes `recipe.json`, with the detector's name and version and the labels in order."""
    crop = recipe.face_crop and {
        **asdict(recipe.face_crop),
        "cascades": CASCADES,
        "opencv": cv2.__version__,
    }
    content = {**recipe._asdict(), "face_crop": crop, "labels": labels}
    write_json(folder / "recipe.json", content)


def read_recipe(folder: Path) -> tuple[Recipe, list[str]]:
    """Reads `recipe.json`: the recipe and the labels in order."""
    content = read_json(folder / "recipe.json")
    return parse_recipe(content), content["labels"]


def parse_recipe(content: dict[str, Any]) -> Recipe:
    """The recipe in what `recipe.json` holds."""
    crop = content.get("face_crop")
    names = FaceCrop.__dataclass_fields__
    return Recipe(
        height=content["height"],
        width=content["width"],
        channels=content["channels"],
        face_crop=FaceCrop(**{name: crop[name] for name in names}) if crop else None,
    )
