"""The champion: the newest version that is served, as the Evaluator sees it.

It is judged by its own predictions on its own test split, which lie beside its SavedModel: so never
on a picture that it was trained on. Only files are read.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from components.common.evaluation.predictions import read_digests, read_predictions
from components.common.files import read_json, sha256_file
from components.common.publishing.serving import MANIFEST, PREDICTIONS, damage, read_versions

CURE = "push once without evaluator.not_worse_than_champion"


class NotComparableError(ValueError):
    """The champion's predictions say nothing of these pictures; says why, and the cure."""


class Champion(NamedTuple):
    """What is known of the champion.

    Attributes:
        version: its number.
        predictions: probabilities by the ids of its own test split.
        digests: of the pictures that had these ids.
    """

    version: int
    predictions: dict[str, list[float]]
    digests: dict[str, str]


def champion_folder(base_path: Path, version: int | None = None) -> Path | None:
    """The version folder of a model that TF Serving serves; None where there is none yet.

    Args:
        base_path: the model's folder.
        version: which one was served when the run was planned, wherever it lies by now.
    """
    versions = read_versions(base_path)
    number = versions.champion if version is None else version
    return None if number is None else versions.folders().get(number)


def champion_identity(base_path: Path) -> dict[str, Any]:
    """What tells one champion from another: its version, and the digest of its predictions."""
    folder = champion_folder(base_path)
    if folder is None:
        return {}
    predictions = folder / PREDICTIONS
    digest = sha256_file(predictions) if predictions.is_file() else ""
    return {"version": int(folder.name), "predictions": digest}


def read_champion(folder: Path, dataset: Mapping[str, Any], split: str) -> Champion:
    """The champion, if it was judged on that dataset and that split, which ids alone do not tell.

    Args:
        folder: its version folder.
        dataset: `dataset.json` of the candidate's examples.
        split: the name of the split that the candidate is judged on.

    Raises:
        NotComparableError: it has no predictions, or is damaged, or was judged on another dataset,
            or other classes, or another split: of train, where there was no other, it knew the
            answers.
    """
    version = int(folder.name)
    if not (folder / PREDICTIONS).is_file():
        raise NotComparableError(f"the champion (version {version}) has no {PREDICTIONS}: {CURE}")
    if wrong := damage(folder):
        raise NotComparableError(f"the champion (version {version}) is damaged: {wrong}: {CURE}")
    manifest = read_json(folder / MANIFEST)
    judged = {**manifest["dataset"], "judged split": manifest["evaluation"]["split"]}
    wanted = {**dataset, "judged split": split}
    for name in ("name", "options", "labels", "judged split"):
        if judged.get(name) != wanted.get(name):
            raise NotComparableError(
                f"the champion (version {version}) was judged on other data: its {name} was "
                f"{judged.get(name)}, is {wanted.get(name)}: {CURE}"
            )
    path = folder / PREDICTIONS
    return Champion(version, read_predictions(path), read_digests(path))
