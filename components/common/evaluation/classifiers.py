"""Trained models as the Evaluator sees them: a function from a split to probabilities."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import skops.io
from numpy.typing import NDArray

from components.common.recipe import read_recipe
from components.common.records import Split
from tuning.heads import with_class_probabilities

Classifier = Callable[[Split], NDArray[np.float32]]
"""From a split of n examples to float32 [n, classes], each row adding up to 1."""

BATCH_SIZE = 256


class NoModelError(FileNotFoundError):
    """A folder holds no model that is known here."""


def load_classifier(model: Path) -> Classifier:
    """The classifier in a model's folder.

    Raises:
        NoModelError: there is none.
        skops.io.exceptions.UntrustedTypesFoundException: a `.skops` file has more in it than types
            of scikit-learn and NumPy; nothing of it was loaded.
    """
    return _LOADERS[model_file(model).name](model)


def model_file(model: Path) -> Path:
    """The file in a model's folder that holds all that it learned.

    Raises:
        NoModelError: there is none.
    """
    for name in _LOADERS:
        if (model / name).exists():
            return model / name
    raise NoModelError(f"{model}: holds none of {', '.join(_LOADERS)}")


def predict(network: Any, images: NDArray[Any]) -> NDArray[np.float32]:
    """What a network gives for images or features [n, ...], float32 [n, classes].

    Batch by batch, since Keras's own `predict` would copy all images into memory, twice.
    """
    starts = range(0, len(images), BATCH_SIZE)
    batches = (images[start : start + BATCH_SIZE] for start in starts)
    return np.concatenate([network.predict_on_batch(batch) for batch in batches])


def _load_network(model: Path) -> Classifier:
    network = with_class_probabilities(keras.models.load_model(model / "model.keras"))
    return lambda split: predict(network, split.images)


def _load_landmark_svm(model: Path) -> Classifier:
    svm = skops.io.load(model / "model.skops", trusted=[])
    _, labels = read_recipe(model)

    def classify(split: Split) -> NDArray[np.float32]:
        probabilities = np.zeros((len(split), len(labels)), np.float32)
        # A class that was not in train has no column of its own.
        probabilities[:, svm.classes_] = svm.predict_proba(split.landmarks)
        return probabilities

    return classify


_LOADERS = {"model.keras": _load_network, "model.skops": _load_landmark_svm}
