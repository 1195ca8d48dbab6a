"""Probabilities that are kept, so that a model is asked for a split once.

As `<digest>.npy`, float32 [n, classes], beside each other in the pipeline root. The digest is of
the model's file and of the pictures' shards.
"""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.common.evaluation.classifiers import load_classifier, model_file
from components.common.files import sha256_file
from components.common.records import Split, read_shards
from tfds_builders.files import written_whole


class Predicted(NamedTuple):
    """What a model said of a split.

    Attributes:
        probabilities: float32 [n, classes].
        before: whether it had been asked before, and its answers were taken from where they lie.
    """

    probabilities: NDArray[np.float32]
    before: bool


def predict_once(
    model: Path, transformed_examples: Path, name: str, split: Split, cache: Path
) -> Predicted:
    """The probabilities of a split's pictures.

    Args:
        model: its folder.
        transformed_examples: what Transform wrote.
        name: of the split.
        split: the split, read.
        cache: folder of what is kept; is made.

    Raises:
        NoModelError: there is no model in its folder.
    """
    shards = read_shards(transformed_examples)[name]
    asked = json.dumps([sha256_file(model_file(model)), shards], sort_keys=True)
    path = cache / f"{hashlib.sha256(asked.encode()).hexdigest()}.npy"
    kept = _read(path, len(split))
    if kept is not None:
        return Predicted(kept, before=True)
    probabilities = load_classifier(model)(split)
    cache.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as part, part.open("wb") as file:
        np.save(file, probabilities)
    return Predicted(probabilities, before=False)


def predict_mirrored_once(
    model: Path, transformed_examples: Path, name: str, split: Split, cache: Path
) -> Predicted:
    """The probabilities of the mirror images of a split's pictures; see `predict_once`."""
    mirrored = Split(split.images[:, :, ::-1], *split[1:])
    return predict_once(model, transformed_examples, name, mirrored, cache / "mirrored")


def _read(path: Path, count: int) -> NDArray[np.float32] | None:
    """What is kept of so many pictures; None where nothing is, or what a power cut left of it."""
    try:
        kept = np.load(path)
    except (OSError, EOFError, ValueError):
        return None
    return kept if kept.ndim == 2 and len(kept) == count else None
