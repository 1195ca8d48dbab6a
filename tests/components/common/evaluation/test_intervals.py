import numpy as np
import pytest

from components.common.evaluation.intervals import interval, percentile_interval


@pytest.mark.parametrize("name", ["accuracy", "top_2", "precision", "recall"])
def test_a_share_without_a_mistake_is_no_certainty(name: str) -> None:
    # Clopper and Pearson's bound where all of n are right: the n-th root of 0.025.
    assert interval(name, 1.0, np.ones(9), 5) == (1, pytest.approx(0.025 ** (1 / 5)), 1)
    assert interval(name, 0.0, np.zeros(9), 5) == (0, 0, pytest.approx(1 - 0.025 ** (1 / 5)))


def test_more_pictures_without_a_mistake_say_more() -> None:
    lows = [interval("accuracy", 1.0, np.ones(9), pictures).low for pictures in (1, 5, 30, 300)]
    assert lows == sorted(lows)
    assert lows[-1] == pytest.approx(1 - 3.7 / 300, abs=1e-3)


def test_of_a_class_that_was_never_named_the_precision_is_unknown() -> None:
    assert interval("precision", 0.0, np.zeros(9), 0) == (0, 0, 1)


def test_between_0_and_1_a_share_has_the_percentiles() -> None:
    resampled = np.linspace(0.4, 0.8, 1001)
    found = interval("accuracy", 0.6, resampled, 5)
    assert found == percentile_interval("accuracy", 0.6, resampled)
    assert found == pytest.approx((0.6, 0.41, 0.79))


@pytest.mark.parametrize("name", ["macro_f1", "roc_auc", "log_loss", "difference"])
def test_what_is_no_share_keeps_the_percentiles(name: str) -> None:
    assert interval(name, 1.0, np.ones(9), 5) == (1, 1, 1)


@pytest.mark.parametrize("value", [0.5, 1.0])
def test_without_resamples_an_interval_is_its_value(value: float) -> None:
    assert interval("accuracy", value, np.empty(0), 5) == (value, value, value)
    assert percentile_interval("f1", value, np.full(3, np.nan)) == (value, value, value)


def test_what_resampling_adds_to_the_calibration_error_is_subtracted() -> None:
    resampled = np.linspace(0.08, 0.12, 1001)
    low, high = interval("ece", 0.05, resampled, 5)[1:]
    assert (low, high) == pytest.approx((0.031, 0.069))
