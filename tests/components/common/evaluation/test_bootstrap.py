from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.evaluation.bootstrap import draw_weights, resample, resample_mean
from components.common.evaluation.intervals import Interval, Values, percentile_interval
from components.common.evaluation.metrics import measure, measure_classes


def guesses(
    count: int, classes: int, right: float, seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Labels, and probabilities that name so many of them; some are tied."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=count)
    shown = np.where(rng.random(count) < right, labels, rng.integers(classes, size=count))
    logits = np.eye(classes)[shown] * 2 + rng.normal(size=(count, classes)).round(1)
    odds = np.exp(logits)
    return labels, (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)


def intervals(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    subjects: Sequence[str] = (),
    seed: int = 0,
) -> dict[str, Interval]:
    subjects = subjects or [""] * len(labels)
    drawn = resample(labels, probabilities, subjects, resamples=300, seed=seed)
    values = measure(labels, probabilities)
    return {
        name: percentile_interval(name, value, drawn.metrics[name])
        for name, value in values.items()
    }


def drawn_rows(weights: Values) -> list[NDArray[np.int64]]:
    return [np.repeat(np.arange(len(row)), row.astype(int)) for row in weights]


@pytest.mark.parametrize("sure", [False, True], ids=["", "sure"])
@pytest.mark.parametrize("classes", [2, 7])
def test_a_resample_has_the_metrics_of_the_pictures_that_were_drawn(
    classes: int, sure: bool
) -> None:
    labels, probabilities = guesses(60, classes, right=0.6)
    if sure:  # All but one class are then as likely.
        probabilities = np.eye(classes, dtype=np.float32)[probabilities.argmax(axis=1)]
    subjects = [f"person{n % 17}" for n in range(60)]
    resampled = resample(labels, probabilities, subjects, resamples=5, seed=1)
    (weights,) = draw_weights(subjects, resamples=5, seed=1)
    for number, rows in enumerate(drawn_rows(weights)):
        wanted = measure(labels[rows], probabilities[rows])
        majority = np.bincount(labels).argmax()  # Of all: it is what would always be said.
        wanted["majority_accuracy"] = (labels[rows] == majority).mean()
        found = {name: values[number] for name, values in resampled.metrics.items()}
        assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=1e-6)
        of_classes = measure_classes(labels[rows], probabilities[rows], ["c"] * classes)
        shown = np.bincount(labels[rows], minlength=classes) > 0
        for rate in ("precision", "recall", "f1"):
            rates = [getattr(of_class, rate) for of_class in of_classes]
            expected = np.where(shown, rates, np.nan)
            np.testing.assert_allclose(resampled.classes[rate][number], expected, atol=1e-9)


def test_all_pictures_of_a_person_are_drawn_together() -> None:
    subjects = [f"person{n % 5}" for n in range(20)]
    (weights,) = draw_weights(subjects, resamples=30, seed=0)
    assert weights.shape == (30, 20)
    np.testing.assert_array_equal(weights, np.tile(weights[:, :5], 4))
    np.testing.assert_array_equal(weights[:, :5].sum(axis=1), 5)


def test_where_one_person_is_not_known_pictures_are_drawn() -> None:
    (weights,) = draw_weights(["a", "a", ""], resamples=50, seed=0)
    assert (weights[:, 0] != weights[:, 1]).any()
    np.testing.assert_array_equal(weights.sum(axis=1), 3)


def test_where_all_pictures_are_of_one_person_pictures_are_drawn() -> None:
    labels, probabilities = guesses(40, 3, right=0.6)
    found = intervals(labels, probabilities, ["anna"] * 40)
    assert all(of.low < of.high for of in found.values())
    assert found == intervals(labels, probabilities)


def test_many_pictures_are_drawn_in_parts_and_none_is_lost() -> None:
    parts = list(draw_weights([""] * 900_000, resamples=5, seed=0))
    assert [len(part) for part in parts] == [2, 2, 1]
    assert {float(row.sum()) for part in parts for row in part} == {900_000}


def test_intervals_contain_their_value_and_narrow_with_more_images() -> None:
    few, many = (intervals(*guesses(count, 3, right=0.6)) for count in (60, 6000))
    for name in few:
        assert few[name].low <= few[name].value <= few[name].high
        assert many[name].high - many[name].low < (few[name].high - few[name].low) / 4


def test_the_interval_of_a_mean_is_the_normal_one_where_there_are_many_pictures() -> None:
    found = intervals(*guesses(4000, 3, right=0.6))["accuracy"]
    error = np.sqrt(found.value * (1 - found.value) / 4000)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_all_resamples_of_a_perfect_model_are_perfect() -> None:
    labels = np.arange(30) % 3
    found = intervals(labels, np.eye(3, dtype=np.float32)[labels])
    assert found["accuracy"] == found["macro_f1"] == found["roc_auc"] == (1, 1, 1)
    assert found["ece"] == (0, 0, 0)


def test_a_class_that_few_people_show_is_not_wrong_where_they_are_not_drawn() -> None:
    labels = np.arange(24) // 2 // 10  # Of twelve people, two show the rare class.
    people = [f"person{n // 2}" for n in range(24)]
    resampled = resample(labels, np.eye(2, dtype=np.float32)[labels], people, resamples=300, seed=0)
    for rate in ("precision", "recall", "f1"):
        assert percentile_interval(rate, 1.0, resampled.classes[rate][:, 1]) == (1, 1, 1)


def test_the_same_seed_gives_the_same_intervals() -> None:
    shown = guesses(50, 3, right=0.6)
    first, again, other = (intervals(*shown, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_by_subject_the_interval_of_clustered_errors_is_wider() -> None:
    labels = np.arange(100) % 2
    # All pictures of two persons are wrong, all others right.
    probabilities = np.eye(2, dtype=np.float32)[labels ^ (np.arange(100) < 20)]
    by_image = intervals(labels, probabilities)["accuracy"]
    by_subject = intervals(labels, probabilities, [f"person{n // 10}" for n in range(100)])
    assert by_image.value == by_subject["accuracy"].value == 0.8
    width = by_subject["accuracy"].high - by_subject["accuracy"].low
    assert width > 2 * (by_image.high - by_image.low)


@pytest.mark.filterwarnings("error")
def test_a_class_that_a_resample_lacks_makes_no_noise() -> None:
    labels, probabilities = np.array([0, 0, 0, 0, 0, 1]), guesses(6, 2, 0.5)[1]
    found = intervals(labels, probabilities)
    assert all(np.isfinite(found["roc_auc"]))
    assert all(np.isfinite(found["cohen_kappa"]))


def test_without_resamples_there_are_no_values() -> None:
    labels, probabilities = guesses(10, 3, 0.5)
    nothing = resample(labels, probabilities, [""] * 10, resamples=0, seed=0)
    assert {len(values) for values in nothing.metrics.values()} == {0}


def test_the_mean_of_a_part_of_the_pictures() -> None:
    right = np.arange(40) % 4 > 0
    drawn = resample_mean(right, [""] * 40, resamples=500, seed=0)
    assert drawn.mean() == pytest.approx(0.75, abs=0.02)
