"""The recipe: what is done to a picture before a model sees it, in training and in serving."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from components.common.files import read_json, write_json
from components.common.pictures import landmarks
from components.common.pictures.detectors import MIN_NEIGHBORS, SCALE_FACTOR, detector_version
from components.common.pictures.faces import FaceCrop


class Recipe(NamedTuple):
    """What is done to a picture.

    Attributes:
        height: of the result in pixels.
        width: of the result in pixels.
        channels: 1 for gray, 3 for RGB.
        face_crop: how the face is found and cut out; None leaves the picture whole.
        landmarks: which features of 68 landmarks lie beside the picture: `none`, or what
            `components.common.pictures.landmarks.features` makes.
    """

    height: int
    width: int
    channels: int
    face_crop: FaceCrop | None
    landmarks: str = "none"


def write_recipe(folder: Path, recipe: Recipe, labels: list[str]) -> None:
    """Writes `recipe.json`: the recipe, the versions of what it uses, the labels in order."""
    crop = recipe.face_crop and asdict(recipe.face_crop)
    content = {**recipe._asdict(), "face_crop": crop, **versions(recipe), "labels": labels}
    write_json(folder / "recipe.json", content)


def versions(recipe: Recipe) -> dict[str, str]:
    """The versions of the packages whose models a recipe uses: others may give other pixels."""
    crop, used = recipe.face_crop, {}
    if crop:
        used["detector_version"] = detector_version(crop.detector)
    if recipe.landmarks != "none" or (crop and crop.align and crop.detector != "mtcnn"):
        used["landmarks_version"] = landmarks.predictor_version()
    return used


def read_recipe(folder: Path) -> tuple[Recipe, list[str]]:
    """Reads `recipe.json`: the recipe and the labels in order."""
    content = read_json(folder / "recipe.json")
    return parse_recipe(content), content["labels"]


def parse_recipe(content: dict[str, Any]) -> Recipe:
    """The recipe in what `recipe.json` holds."""
    crop = content.get("face_crop")
    return Recipe(
        height=content["height"],
        width=content["width"],
        channels=content["channels"],
        face_crop=_parse_crop(crop) if crop else None,
        landmarks=content.get("landmarks", "none"),
    )


def _parse_crop(crop: dict[str, Any]) -> FaceCrop:
    """The crop; one of an earlier mien had settings of the cascades, which are fixed now."""
    fixed = {"scale_factor": SCALE_FACTOR, "min_neighbors": MIN_NEIGHBORS}
    for name, value in fixed.items():
        if crop.get(name, value) != value:
            raise ValueError(
                f"face_crop.{name} was {crop[name]} and is always {value} now: "
                "train the model again, or say --no-crop"
            )
    known = FaceCrop.__dataclass_fields__
    return FaceCrop(**{name: crop[name] for name in known if name in crop})
