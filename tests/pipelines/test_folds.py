import numpy as np
import pytest
from scipy import stats

from pipelines.folds import mean_over_folds


def test_the_interval_is_students_t_over_the_folds() -> None:
    means = mean_over_folds([{"test/accuracy": value} for value in (0.5, 0.6, 0.4)])
    # Of three: mean 0.5, standard error 0.1 / sqrt(3), and the 97.5 % point of t with 2 degrees.
    half = 4.30265272991 * 0.1 / 3**0.5
    assert means == pytest.approx(
        {
            "test/accuracy": 0.5,
            "test/accuracy_low": 0.5 - half,
            "test/accuracy_high": 0.5 + half,
        }
    )


@pytest.mark.parametrize("folds", [2, 3, 10, 40])
def test_it_agrees_with_scipy(folds: int) -> None:
    values = np.random.default_rng(folds).uniform(size=folds)
    means = mean_over_folds([{"test/log_loss": float(value)} for value in values])
    low, high = stats.t.interval(0.95, folds - 1, values.mean(), stats.sem(values))
    assert list(means.values()) == pytest.approx([values.mean(), low, high])


def test_the_folds_own_intervals_are_no_metrics() -> None:
    fold = {"test/accuracy": 0.5, "test/accuracy_low": 0.1, "test/accuracy_high": 0.9}
    means = mean_over_folds([{**fold, "test/macro_f1": 0.4}] * 3)
    assert list(means) == [
        f"test/{metric}{end}"
        for metric in ("accuracy", "macro_f1")
        for end in ("", "_low", "_high")
    ]
    assert means["test/accuracy_low"] == means["test/accuracy"] == means["test/accuracy_high"]


def test_no_interval_goes_beyond_what_is_possible() -> None:
    means = mean_over_folds(
        [{"test/accuracy": value, "test/log_loss": value} for value in (0.5, 1)]
    )
    assert means["test/accuracy_high"] == 1
    assert means["test/log_loss_high"] > 1


def test_a_metric_that_a_fold_lacks_is_left_out() -> None:
    fold = {"test/accuracy": 0.5}
    assert "test/roc_auc" not in mean_over_folds([{**fold, "test/roc_auc": 0.5}, fold])


def test_folds_that_were_not_evaluated_have_no_mean() -> None:
    assert mean_over_folds([{}, {}, {}]) == {}
