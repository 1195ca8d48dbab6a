import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.evaluation.metrics import measure, measure_classes


def predicted(classes: list[int], count: int, sure: float = 1.0) -> NDArray[np.float32]:
    """Probabilities that name these classes."""
    rest = (1 - sure) / (count - 1)
    return (np.eye(count)[classes] * (sure - rest) + rest).astype(np.float32)


def test_perfect_predictions() -> None:
    labels = np.array([0, 1, 2, 1])
    perfect = dict.fromkeys(
        ["accuracy", "balanced_accuracy", "macro_f1", "roc_auc", "top_2", "cohen_kappa"], 1
    )
    assert measure(labels, predicted([0, 1, 2, 1], 3)) == pytest.approx(
        {**perfect, "majority_accuracy": 0.5, "log_loss": 0, "ece": 0}, abs=1e-6
    )


def test_worst_predictions() -> None:
    metrics = measure(np.array([0, 1, 0, 1]), predicted([1, 0, 1, 0], 2))
    assert metrics.pop("log_loss") > 10
    assert metrics == {
        "accuracy": 0,
        "majority_accuracy": 0.5,
        "balanced_accuracy": 0,
        "macro_f1": 0,
        "roc_auc": 0,
        "cohen_kappa": -1,
        "ece": 1,
    }


def test_known_predictions() -> None:
    # Of three 0 two are found, of the one 1 none: recalls 2/3 and 0, F1 4/6 and 0. By chance, 3/4
    # times 3/4 and 1/4 times 1/4 would agree.
    metrics = measure(np.array([0, 0, 0, 1]), predicted([0, 0, 1, 0], 2, sure=0.8))
    assert metrics == pytest.approx(
        {
            "accuracy": 0.5,
            "majority_accuracy": 0.75,
            "balanced_accuracy": 1 / 3,
            "macro_f1": 1 / 3,
            "log_loss": -(np.log(0.8) + np.log(0.2)) / 2,
            "roc_auc": 1 / 3,
            "cohen_kappa": (0.5 - 10 / 16) / (1 - 10 / 16),
            "ece": 0.3,
        },
        abs=1e-6,
    )


def test_the_label_may_be_the_second_likeliest() -> None:
    probabilities = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5]], np.float32)
    assert measure(np.array([1, 2, 0]), probabilities)["top_2"] == pytest.approx(1 / 3)


def test_what_cannot_be_computed_is_left_out() -> None:
    of_three = measure(np.array([0, 1]), predicted([0, 1], 3))
    assert "roc_auc" not in of_three  # Nobody shows class 2.
    assert of_three["balanced_accuracy"] == of_three["macro_f1"] == 1
    assert "cohen_kappa" not in measure(np.array([1, 1]), predicted([1, 1], 3))


def test_an_accuracy_is_told_from_always_saying_the_most_common_class() -> None:
    metrics = measure(np.array([0] * 9 + [1]), predicted([0] * 10, 2, sure=0.9))
    assert metrics["accuracy"] == metrics["majority_accuracy"] == 0.9
    assert metrics["cohen_kappa"] == 0
    assert metrics["balanced_accuracy"] == 0.5


def test_each_class_has_its_own() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    first, second, third = measure_classes(labels, predicted([0, 0, 1, 1, 1], 3, 0.8), "abc")
    assert (first.label, first.images) == ("a", 3)
    assert (first.precision, first.recall, first.f1) == pytest.approx((1, 2 / 3, 0.8))
    assert (second.precision, second.recall, second.f1) == pytest.approx((2 / 3, 1, 0.8))
    assert (first.roc_auc, second.roc_auc) == pytest.approx((5 / 6, 5 / 6))
    assert third == ("c", 0, 0, 0, 0, None)
