"""`mien predict`: files in, answers out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.common.recipe import parse_recipe
from deploy.client import predict
from deploy.pictures import NoImageError, cut_face


class UnusableImageError(ValueError):
    """A file that is no picture, or has not one face; the message names it."""


def predict_files(
    paths: Sequence[Path], manifest: Mapping[str, Any], *, url: str, crop: bool
) -> list[dict[str, Any]]:
    """Asks the server for each picture: image, label, score, and the probabilities by label.

    Args:
        paths: files with JPEG, PNG or BMP pictures.
        manifest: of the served model: its labels, and how the face is cut out.
        url: the server's REST address.
        crop: cuts the face out where the model was trained on faces.

    Raises:
        UnusableImageError: a file cannot be used; says why.
        deploy.client.ServerError: the server does not answer, or refuses.
    """
    labels = manifest["labels"]
    recipe = parse_recipe(manifest["recipe"])
    pictures = [_picture(path, recipe.face_crop if crop else None) for path in paths]
    return [
        {
            "image": str(path),
            "label": answer.label,
            "score": answer.score,
            "probabilities": dict(zip(labels, answer.probabilities, strict=True)),
        }
        for path, answer in zip(
            paths, predict(pictures, url=url, model=manifest["model"]), strict=True
        )
    ]


def _picture(path: Path, face_crop: Any) -> bytes:
    try:
        encoded = path.read_bytes()
        picture = cut_face(encoded, face_crop) if face_crop else encoded
    except (OSError, NoImageError) as error:
        raise UnusableImageError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if picture is None:
        raise UnusableImageError(f"{path}: not exactly one face; --no-crop sends it whole")
    return picture
