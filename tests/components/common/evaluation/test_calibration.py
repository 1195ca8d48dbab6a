import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.evaluation.calibration import (
    BINS,
    expected_calibration_error,
    fit_temperature,
    reliability,
)


def probabilities_and_labels(
    temperature: float, count: int = 4000
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Labels that are drawn as the model says, and what it says when it is too sure by so much."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(count, 5)) * 2
    honest = np.exp(logits)
    honest /= honest.sum(axis=1, keepdims=True)
    labels = (honest.cumsum(axis=1) > rng.random((count, 1))).argmax(axis=1)
    said = np.exp(logits * temperature)
    return labels, (said / said.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_spoiled_the_probabilities_is_found(temperature: float) -> None:
    found = fit_temperature(*probabilities_and_labels(temperature))
    assert found == pytest.approx(temperature, rel=0.06)


@pytest.mark.parametrize("sure", [0.9, 1.0])
def test_a_model_that_is_always_right_is_not_made_as_sure_as_can_be(sure: float) -> None:
    labels = np.arange(10) % 2
    right = np.where(np.eye(2)[labels] > 0, sure, 1 - sure).astype(np.float32)
    assert 0.25 <= fit_temperature(labels, right) <= 10


def test_who_is_too_sure_has_a_greater_error() -> None:
    assert expected_calibration_error(*probabilities_and_labels(1.0)) < 0.03
    assert expected_calibration_error(*probabilities_and_labels(3.0)) > 0.15


def test_the_error_of_two_bins_by_hand() -> None:
    # Sure by 0.9 and right in one of two; by 0.6 and right in two of two.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]], np.float32)
    labels = np.array([0, 1, 0, 0])
    error = (2 * abs(0.5 - 0.9) + 2 * abs(1 - 0.6)) / 4
    assert expected_calibration_error(labels, probabilities) == pytest.approx(error)


def test_every_picture_is_in_one_bin_and_the_surest_in_the_last() -> None:
    probabilities = np.array([[1.0, 0.0], [0.5, 0.5], [0.6, 0.4]], np.float32)
    bins = reliability(np.array([0, 0, 1]), probabilities)
    assert bins.images.sum() == 3
    assert bins.images[BINS - 1] == bins.right[BINS - 1] == 1
    assert bins.right.sum() == 2
    assert bins.confidence.sum() == pytest.approx(2.1)
