"""`mien predict`: files in, answers out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.common.faces import FaceCrop
from components.common.recipe import parse_recipe
from deploy.client import predict
from deploy.pictures import NoImageError, cut_face, decode


def predict_files(
    paths: Sequence[Path], manifest: Mapping[str, Any], *, url: str, crop: bool
) -> tuple[list[dict[str, Any]], list[str]]:
    """Asks the server for each picture that can be sent.

    Args:
        paths: files with JPEG, PNG or BMP pictures.
        manifest: of the served model: its labels, [] where nobody here knows them, and how the face
            is cut out.
        url: the server's REST address.
        crop: cuts the face out where the model was trained on faces.

    Returns:
        For each picture `image`, `label`, `score` and the `probabilities` by label, or as a list
        without labels; and a line for each file that is no picture, or has no face to cut out.

    Raises:
        deploy.client.ServerError: the server does not answer, or refuses.
    """
    face_crop = parse_recipe(manifest["recipe"]).face_crop if crop else None
    pictures: dict[str, bytes] = {}
    refused = []
    for path in paths:
        try:
            pictures[str(path)] = _picture(path, face_crop)
        except (OSError, NoImageError) as error:
            refused.append(f"{path}: {getattr(error, 'strerror', None) or error}")
    labels = manifest["labels"]
    predictions = predict(list(pictures.values()), url=url, model=manifest["model"])
    answers = [
        {
            "image": name,
            "label": prediction.label,
            "score": prediction.score,
            "probabilities": dict(zip(labels, prediction.probabilities, strict=True))
            if labels
            else prediction.probabilities,
        }
        for name, prediction in zip(pictures, predictions, strict=True)
    ]
    return answers, refused


def _picture(path: Path, face_crop: FaceCrop | None) -> bytes:
    encoded = path.read_bytes()
    picture = decode(encoded)  # A bad one would cost the others their answer.
    return cut_face(picture, face_crop) if face_crop else encoded
