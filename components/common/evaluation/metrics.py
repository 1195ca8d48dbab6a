"""What is measured of labels and probabilities; scikit-learn does the arithmetic.

Labels are int64 [n], probabilities float32 [n, classes].
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

from components.common.evaluation.calibration import expected_calibration_error

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float32]
Metric = Callable[[Labels, Probabilities], float]

NOT_OF_A_MODEL = frozenset({"majority_accuracy"})
"""Metrics of the labels alone."""


class OfClass(NamedTuple):
    """One class: precision, recall and F1, and the area under its ROC curve against all others.

    A ratio without anything below the line is 0, an area that needs both kinds of pictures None.
    """

    label: str
    images: int
    precision: float
    recall: float
    f1: float
    roc_auc: float | None


def _accuracy(labels: Labels, probabilities: Probabilities) -> float:
    return float(sk.accuracy_score(labels, probabilities.argmax(axis=1)))


def _balanced_accuracy(labels: Labels, probabilities: Probabilities) -> float:
    # Mean recall over the classes that are there; sklearn's own warns where one is predicted only.
    predicted = probabilities.argmax(axis=1)
    present = np.unique(labels)
    return float(
        sk.recall_score(labels, predicted, labels=present, average="macro", zero_division=0)
    )


def _macro_f1(labels: Labels, probabilities: Probabilities) -> float:
    predicted = probabilities.argmax(axis=1)
    return float(sk.f1_score(labels, predicted, average="macro", zero_division=0))


def _log_loss(labels: Labels, probabilities: Probabilities) -> float:
    return float(sk.log_loss(labels, probabilities, labels=range(probabilities.shape[1])))


def _roc_auc(labels: Labels, probabilities: Probabilities) -> float:
    """The mean of one class against the rest; not a number where a class has no pictures."""
    areas = roc_areas(labels, probabilities)
    return float(np.mean([np.nan if area is None else area for area in areas]))


def _top_2(labels: Labels, probabilities: Probabilities) -> float:
    """The share of pictures whose label is one of the two likeliest; of two classes nothing."""
    classes = probabilities.shape[1]
    if classes < 3:
        return float("nan")
    return float(sk.top_k_accuracy_score(labels, probabilities, k=2, labels=range(classes)))


def _cohen_kappa(labels: Labels, probabilities: Probabilities) -> float:
    predicted = probabilities.argmax(axis=1)
    if len({*labels, *predicted}) < 2:
        return float("nan")
    return float(sk.cohen_kappa_score(labels, predicted))


def _majority_accuracy(labels: Labels, probabilities: Probabilities) -> float:
    """The accuracy of always saying the most common class: what an accuracy has to beat."""
    return float(np.bincount(labels).max() / len(labels))


METRICS: dict[str, Metric] = {
    "accuracy": _accuracy,
    "majority_accuracy": _majority_accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "macro_f1": _macro_f1,
    "log_loss": _log_loss,
    "roc_auc": _roc_auc,
    "top_2": _top_2,
    "cohen_kappa": _cohen_kappa,
    "ece": expected_calibration_error,
}


def measure(labels: Labels, probabilities: Probabilities) -> dict[str, float]:
    """Every metric that can be computed; one that would be no number is left out."""
    values = {name: metric(labels, probabilities) for name, metric in METRICS.items()}
    return {name: value for name, value in values.items() if np.isfinite(value)}


def measure_classes(
    labels: Labels, probabilities: Probabilities, names: Sequence[str]
) -> list[OfClass]:
    """The metrics of each class, in the order of its names."""
    rates = sk.precision_recall_fscore_support(
        labels, probabilities.argmax(axis=1), labels=range(len(names)), zero_division=0
    )
    areas = roc_areas(labels, probabilities)
    return [
        OfClass(name, int(images), float(precision), float(recall), float(f1), area)
        for name, precision, recall, f1, images, area in zip(names, *rates, areas, strict=True)
    ]


def roc_areas(labels: Labels, probabilities: Probabilities) -> list[float | None]:
    """The area under each class's ROC curve against the rest; None where one side is empty."""
    sides = [labels == index for index in range(probabilities.shape[1])]
    return [
        float(sk.roc_auc_score(is_class, probabilities[:, index]))
        if 0 < is_class.sum() < len(labels)
        else None
        for index, is_class in enumerate(sides)
    ]
