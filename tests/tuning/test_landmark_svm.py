from typing import Any

import keras_tuner as kt
import numpy as np
import pytest
from sklearn.svm import SVC

from tuning.landmark_svm import (
    ORACLES,
    Features,
    build,
    count_parameters,
    has_converged,
    measure,
    search,
)
from tuning.space import default_values
from tuning.sweep.trials import Trial

KERNELS = ("linear", "poly")


def features(count: int, seed: int = 0, classes: int = 3, noise: float = 1.0) -> Features:
    """Four numbers an example; each class has its place in the first two."""
    labels = np.arange(count) % classes
    values = np.random.default_rng(seed).normal(scale=noise, size=(count, 4))
    values[:, :2] += 4 * np.stack([labels == 1, labels == 2], axis=1)
    return Features(values.astype(np.float32), labels)


def svm(values: dict[str, Any], kernels: tuple[str, ...] = KERNELS) -> Any:
    hp = kt.HyperParameters()
    hp.values.update(values)
    return build(hp, kernels)


def run(**changed: Any) -> list[Trial]:
    arguments = {
        "kernels": KERNELS,
        "oracle": "random",
        "objective": "val_accuracy",
        "max_trials": 3,
        "seed": 0,
        "on_trial": lambda trial: None,
    }
    data = changed.pop("train", features(60)), changed.pop("validation", features(30, seed=1))
    return search(*data, **(arguments | changed))


def test_the_defaults_are_the_experiments_own() -> None:
    common = {"scale": False, "C": 1.0, "class_weight": "none"}
    linear = default_values(lambda hp: build(hp, ["linear"]))
    assert linear == {"kernel": "linear", **common}
    poly = default_values(lambda hp: build(hp, ["poly", "linear"]))
    assert poly == {"kernel": "poly", **common, "gamma": "auto", "coef0": 0.0}
    for values, random_state in ((linear, 7), (poly, 11)):
        svc = svm(values)["svc"]
        assert (
            svc.get_params().items()
            >= {
                "kernel": values["kernel"],
                "C": 1.0,
                "degree": 3,
                "tol": 1e-3,
                "probability": True,
                "random_state": random_state,
                "class_weight": None,
            }.items()
        )


def test_by_default_it_says_what_a_bare_svc_says() -> None:
    train, test = features(60), features(30, seed=1)
    bare = SVC(kernel="linear", probability=True, random_state=7).fit(train.values, train.labels)
    fitted = svm({}).fit(train.values, train.labels)
    np.testing.assert_array_equal(
        fitted.predict_proba(test.values), bare.predict_proba(test.values)
    )


@pytest.mark.parametrize("kernel", KERNELS)
def test_scaled_features_may_be_in_any_unit(kernel: str) -> None:
    train, test = features(60), features(30, seed=1)
    units = np.array([1, 1000, 0.001, 20], np.float32)
    says = svm({"kernel": kernel, "scale": True}).fit(train.values, train.labels)
    same = svm({"kernel": kernel, "scale": True}).fit(train.values * units, train.labels)
    np.testing.assert_allclose(
        same.predict_proba(test.values * units), says.predict_proba(test.values), atol=0.02
    )


def test_balanced_classes_find_more_of_a_rare_one() -> None:
    everything = features(400, classes=2, noise=3)
    kept = np.flatnonzero((everything.labels == 0) | (np.arange(400) % 20 == 1))
    values, labels = everything.values[kept], everything.labels[kept]

    def found(class_weight: str) -> int:
        fitted = svm({"class_weight": class_weight}).fit(values, labels)
        return int((fitted.predict(values[labels == 1]) == 1).sum())

    assert found("balanced") > found("none")


@pytest.mark.parametrize("oracle", ORACLES)
def test_the_trials_come_best_first_and_each_is_told_once(oracle: str) -> None:
    told: list[Trial] = []
    trials = run(oracle=oracle, on_trial=told.append)
    assert [trial.id for trial in told] == ["1", "2", "3"]
    assert sorted(trials, key=lambda trial: trial.id) == told
    scores = [trial.score for trial in trials]
    assert scores == sorted(scores, reverse=True)
    assert {trial.status for trial in trials} == {"COMPLETED"}
    (row,) = trials[0].epochs
    metrics = {"accuracy", "macro_f1", "loss"}
    assert set(row) == {*metrics, *(f"val_{name}" for name in metrics), "epoch", "seconds"}
    assert trials[0].score == row["val_accuracy"] > 0.8


def test_a_loss_is_better_when_it_is_lower() -> None:
    trials = run(objective="val_loss")
    losses = [trial.epochs[0]["val_loss"] for trial in trials]
    assert losses == sorted(losses)
    assert [trial.score for trial in trials] == losses


def test_a_trial_is_fitted_on_train_and_judged_on_validation() -> None:
    train, validation = features(60, noise=2), features(30, seed=1, noise=2)
    for trial in run(train=train, validation=validation):
        fitted = svm(trial.values).fit(train.values, train.labels)
        row = trial.epochs[0]
        assert measure(fitted, train).items() <= row.items()
        judged = measure(fitted, validation)
        assert {name: row[f"val_{name}"] for name in judged} == judged
        assert trial.parameters == count_parameters(fitted)


def test_the_same_seed_searches_the_same() -> None:
    first = [trial.values for trial in run()]
    assert [trial.values for trial in run()] == first
    assert [trial.values for trial in run(seed=1)] != first


def test_only_the_kernels_that_are_named_are_searched() -> None:
    trials = run(kernels=["linear"], max_trials=5)
    assert {trial.values["kernel"] for trial in trials} == {"linear"}
    assert not {"gamma", "coef0"} & set(trials[0].values)


def test_data_of_one_class_end_the_search_with_the_reason() -> None:
    one = Features(features(12).values, np.zeros(12, np.int64))
    with pytest.raises(ValueError, match="number of classes has to be greater than one"):
        run(train=one)


def test_parameters_are_the_numbers_that_it_stores() -> None:
    two = Features(np.float32([[-1, 0], [1, 0]] * 5), np.array([0, 1] * 5))
    fitted = svm({"C": 1e-3}).fit(two.values, two.labels)
    # All ten are support vectors at so small a C: two numbers and a coefficient each.
    assert count_parameters(fitted) == 10 * 2 + 10 + 1


def test_a_training_that_was_stopped_has_not_converged() -> None:
    train = features(60, noise=4)
    fitted = svm({}).fit(train.values, train.labels)
    assert has_converged(fitted)
    fitted["svc"].n_iter_[0] = 100_000
    assert not has_converged(fitted)
