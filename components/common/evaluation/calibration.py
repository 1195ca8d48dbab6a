"""Calibration: whether a probability of 0.8 is right in 80 % of the pictures, and its correction.

Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

BINS = 15
"""As in the paper's tables."""

TEMPERATURES = (0.25, 10.0)
"""The smallest and the largest; on a validation split without a mistake 0 would be best, and the
first mistake in service as sure as can be."""


class Reliability(NamedTuple):
    """What each bin of confidence holds, float64 [BINS]; a bin is 1/15 wide, its upper edge in it.

    Attributes:
        images: how many.
        confidence: the sum of the largest probabilities.
        right: how many are right.
    """

    images: NDArray[np.float64]
    confidence: NDArray[np.float64]
    right: NDArray[np.float64]


def bins_of(probabilities: NDArray[np.float32]) -> NDArray[np.int64]:
    """The bin of each row's largest probability, int64 [n]."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    return np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)


def reliability(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> Reliability:
    """Counts labels [n] and probabilities [n, classes] into the bins."""
    in_bin = np.eye(BINS)[bins_of(probabilities)]
    right = probabilities.argmax(axis=1) == labels
    confidence = probabilities.max(axis=1).astype(np.float64)
    return Reliability(in_bin.sum(axis=0), confidence @ in_bin, right @ in_bin)


def expected_calibration_error(
    labels: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> float:
    """The mean distance of confidence and accuracy over the bins, each by its images, 0..1."""
    bins = reliability(labels, probabilities)
    return float(np.abs(bins.right - bins.confidence).sum() / len(labels))


def fit_temperature(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    """The temperature that the logits must be divided by for the least log loss, of TEMPERATURES.

    Of probabilities, since their logarithms are logits too. The classes' order does not change, so
    neither does any accuracy.

    Args:
        labels: int64 [n], of validation.
        probabilities: float32 [n, classes].
    """
    logits = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny).astype(np.float64))
    rows = np.arange(len(labels))

    def log_loss(log_temperature: float) -> float:
        return -log_softmax(logits / np.exp(log_temperature), axis=1)[rows, labels].mean()

    found = minimize_scalar(log_loss, bounds=np.log(TEMPERATURES), method="bounded")
    return float(np.exp(found.x))
