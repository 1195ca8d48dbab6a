from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.files import read_json
from components.common.predictions import read_predictions
from components.common.records import Split
from components.evaluator import Interval, bootstrap, evaluate, judge


def split_of(labels: list[int], subjects: list[str] | None = None) -> Split:
    names = [str(n) for n in range(len(labels))]
    pixels = np.zeros((len(labels), 1, 1, 1), np.uint8)
    return Split(pixels, np.array(labels), names, subjects or [""] * len(labels), names)


def predicted(classes: list[int], count: int, sure: float = 1.0) -> NDArray[np.float32]:
    """Probabilities that name these classes."""
    rest = (1 - sure) / (count - 1)
    return (np.eye(count)[classes] * (sure - rest) + rest).astype(np.float32)


def values(labels: list[int], probabilities: NDArray[np.float32]) -> dict[str, float]:
    found = bootstrap(split_of(labels), probabilities, resamples=0, seed=0)
    return {name: interval.value for name, interval in found.items()}


def test_perfect_predictions() -> None:
    labels = [0, 1, 2, 1]
    assert values(labels, predicted(labels, 3)) == pytest.approx(
        {"accuracy": 1, "balanced_accuracy": 1, "macro_f1": 1, "log_loss": 0}, abs=1e-6
    )


def test_worst_predictions() -> None:
    metrics = values([0, 1, 0, 1], predicted([1, 0, 1, 0], 2))
    assert metrics.pop("log_loss") > 10
    assert metrics == {"accuracy": 0, "balanced_accuracy": 0, "macro_f1": 0}


def test_known_predictions() -> None:
    # Of three 0 two are found, of the one 1 none: recalls 2/3 and 0, F1 4/6 and 0.
    metrics = values([0, 0, 0, 1], predicted([0, 0, 1, 0], 2, sure=0.8))
    assert metrics == pytest.approx(
        {
            "accuracy": 0.5,
            "balanced_accuracy": 1 / 3,
            "macro_f1": 1 / 3,
            "log_loss": -(np.log(0.8) + np.log(0.2)) / 2,
        },
        abs=1e-6,
    )


def test_a_class_that_nobody_shows_does_not_spoil_the_mean_recall() -> None:
    assert values([0, 1], predicted([0, 1], 5))["balanced_accuracy"] == 1


@pytest.mark.filterwarnings("error")
def test_intervals_contain_their_value_and_narrow_with_more_images() -> None:
    widths = []
    for repeats in (5, 50):
        labels = [0, 1, 2, 2] * repeats
        found = bootstrap(
            split_of(labels), predicted([0, 1, 2, 0] * repeats, 3, 0.9), resamples=200, seed=0
        )
        assert all(interval.low <= interval.value <= interval.high for interval in found.values())
        widths.append({name: i.high - i.low for name, i in found.items()})
    assert all(widths[1][name] < widths[0][name] / 2 for name in widths[0])


def test_the_same_seed_gives_the_same_intervals() -> None:
    labels = [0, 1] * 20
    guesses = predicted([0, 1, 1, 1] * 10, 2, 0.9)
    first, again, other = (
        bootstrap(split_of(labels), guesses, resamples=50, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_by_subject_the_interval_of_clustered_errors_is_wider() -> None:
    subjects = [f"person{n // 10}" for n in range(100)]
    labels = [n % 2 for n in range(100)]
    # All pictures of two persons are wrong, all others right.
    guesses = predicted([label ^ (n < 20) for n, label in enumerate(labels)], 2, 0.9)
    by_image, by_subject = (
        bootstrap(split_of(labels, of_images), guesses, resamples=300, seed=0)["accuracy"]
        for of_images in (None, subjects)
    )
    assert by_image.value == by_subject.value == 0.8
    assert by_subject.high - by_subject.low > 2 * (by_image.high - by_image.low)


METRICS = {"accuracy": Interval(0.9, 0.8, 1.0), "log_loss": Interval(0.4, 0.3, 0.5)}


@pytest.mark.parametrize(
    ("thresholds", "blessed", "reasons"),
    [
        ({"accuracy": 0.9}, True, ["test/accuracy is 0.9000, wanted at least 0.9: holds"]),
        ({"accuracy": 0.95}, False, ["test/accuracy is 0.9000, wanted at least 0.95: fails"]),
        ({"log_loss": 0.4}, True, ["test/log_loss is 0.4000, wanted at most 0.4: holds"]),
        ({"log_loss": 0.39}, False, ["test/log_loss is 0.4000, wanted at most 0.39: fails"]),
        ({}, True, ["no threshold was set"]),
    ],
)
def test_the_verdict_is_given_in_words(
    thresholds: dict[str, float], blessed: bool, reasons: list[str]
) -> None:
    assert judge("test", METRICS, thresholds) == (blessed, reasons)


def test_one_threshold_that_fails_is_enough() -> None:
    blessed, reasons = judge("test", METRICS, {"accuracy": 0.99, "log_loss": 1.0})
    assert not blessed
    assert len(reasons) == 2


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a sigmoid that calls bright pictures class 1."""
    inputs = keras.Input((12, 12, 1))
    dense = keras.layers.Dense(1, activation="sigmoid")
    classifier = keras.Model(inputs, dense(keras.layers.GlobalAveragePooling2D()(inputs)))
    dense.set_weights([np.array([[0.1]]), np.array([-12.0])])
    folder = tmp_path_factory.mktemp("model")
    classifier.save(folder / "model.keras")
    return folder


@pytest.fixture
def run(
    tmp_path: Path,
    model: Path,
    write_transformed: Callable[..., Path],
    bright_or_dark: Callable[..., Any],
) -> Callable[..., Any]:
    """Evaluates the model where these splits are there, each image labelled right, or wrong."""

    def call(splits: list[str], thresholds: dict[str, float], wrong: bool = False) -> Any:
        pixels, labels = bright_or_dark(10)
        there = dict.fromkeys(splits, (pixels, 1 - labels if wrong else labels))
        examples = write_transformed(tmp_path / "examples", there, ["sad", "happy"])
        return evaluate(
            examples,
            model,
            tmp_path / "evaluation",
            tmp_path / "blessing",
            thresholds=thresholds,
            resamples=20,
            seed=0,
        )

    return call


def test_a_good_model_is_blessed(run: Callable[..., Any], tmp_path: Path) -> None:
    evaluation = run(["train", "validation", "test"], {"accuracy": 0.9})
    assert evaluation.blessed
    assert evaluation.metrics["accuracy"] == Interval(1.0, 1.0, 1.0)
    blessing = read_json(tmp_path / "blessing" / "blessing.json")
    assert blessing == {"blessing": "BLESSED", "reasons": evaluation.reasons}


def test_a_bad_model_is_not_blessed_and_the_reasons_are_written(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    evaluation = run(["test"], {"accuracy": 0.9, "log_loss": 0.5}, wrong=True)
    assert not evaluation.blessed
    assert evaluation.metrics["accuracy"].value == 0
    blessing = read_json(tmp_path / "blessing" / "blessing.json")
    assert blessing["blessing"] == "NOT_BLESSED"
    assert [reason.endswith("fails") for reason in blessing["reasons"]] == [True, True]


@pytest.mark.parametrize(
    ("splits", "judged"),
    [
        (["train", "validation", "test"], "test"),
        (["train", "validation"], "validation"),
        (["train"], "train"),
    ],
)
def test_every_number_names_the_split_that_was_judged(
    run: Callable[..., Any], tmp_path: Path, splits: list[str], judged: str
) -> None:
    evaluation = run(splits, {"accuracy": 0.5})
    assert evaluation.split == judged
    assert evaluation.reasons[0].startswith(f"{judged}/accuracy")
    written = read_json(tmp_path / "evaluation" / "metrics.json")
    assert (written.pop("split"), written.pop("images")) == (judged, 10)
    assert set(written) == {f"{judged}/{name}" for name in evaluation.metrics}
    assert written[f"{judged}/accuracy"] == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_predictions_and_the_confusion_matrix_are_written(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    run(["test"], {})
    predictions = read_predictions(tmp_path / "evaluation" / "predictions.csv")
    assert list(predictions) == [f"test{n}" for n in range(10)]
    assert [np.argmax(row) for row in predictions.values()] == [0, 1] * 5
    np.testing.assert_allclose([sum(row) for row in predictions.values()], 1, atol=1e-6)
    drawn = cv2.imread(str(tmp_path / "evaluation" / "confusion_matrix.png"))
    assert drawn.std() > 0
