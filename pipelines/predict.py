"""`mien predict`: files in, answers out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.common.pictures.detectors import Box
from components.common.pictures.faces import FaceCrop
from components.common.pictures.picture_files import upright
from components.common.recipe import parse_recipe
from deploy.client import predict
from deploy.pictures import NoImageError, cut_faces, decode


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
        For each face `image`, `face` (left, top, width and height in pixels of the upright picture;
        None where the picture was sent whole), `label`, `score` and the `probabilities` by label,
        or as a list without labels; and a line for each file that is no picture, or has no face to
        cut out.

    Raises:
        deploy.client.ServerError: the server does not answer, refuses, or has a model
            with other labels.
    """
    face_crop = parse_recipe(manifest["recipe"]).face_crop if crop else None
    faces: list[tuple[Path, Box | None, bytes]] = []
    refused = []
    for path in paths:
        try:
            faces += [(path, box, encoded) for box, encoded in _faces(path, face_crop)]
        except (OSError, NoImageError) as error:
            refused.append(f"{path}: {getattr(error, 'strerror', None) or error}")
    labels = manifest["labels"]
    encoded = [face for _, _, face in faces]
    predictions = predict(encoded, url=url, model=manifest["model"], labels=labels)
    answers = [
        {
            "image": str(path),
            "face": box and list(box),
            "label": prediction.label,
            "score": prediction.score,
            "probabilities": dict(zip(labels, prediction.probabilities, strict=True))
            if labels
            else prediction.probabilities,
        }
        for (path, box, _), prediction in zip(faces, predictions, strict=True)
    ]
    return answers, refused


def _faces(path: Path, face_crop: FaceCrop | None) -> list[tuple[Box | None, bytes]]:
    encoded = path.read_bytes()
    picture = decode(encoded)  # A bad one would cost the others their answer.
    return cut_faces(upright(picture, encoded), face_crop) if face_crop else [(None, encoded)]
