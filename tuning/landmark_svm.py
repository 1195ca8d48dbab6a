"""The landmark SVM: scikit-learn's SVC over features of facial landmarks, and its search.

The hand-crafted baseline of the CK+ experiment, whose hyperparameters are the defaults: it did not
scale its features.
"""

import time
from collections.abc import Callable, Sequence
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import keras_tuner as kt
import numpy as np
from sklearn import metrics
from sklearn.model_selection import PredefinedSplit
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from tuning.sweep.oracles import KERAS_TUNERS, keras_tuner_seed, trial_number
from tuning.sweep.trials import Trial, leaderboard
from tuning.training.rules import direction

RANDOM_STATES = {"linear": 7, "poly": 11}
"""By kernel, as in the CK+ experiment; they shuffle what the probabilities are fitted on."""

MAX_ITER = 100_000
"""The CK+ experiment had no limit, and ends below 1,000. Features that are neither scaled nor
separable can go on for hours: they had not ended after 10 million."""

ORACLES = tuple(name for name in KERAS_TUNERS if name != "hyperband")
"""An SVM has no epochs."""


class Features(NamedTuple):
    """Features float32 [n, k] and labels int64 [n]."""

    values: Any
    labels: Any


def build(hp: Any, kernels: Sequence[str]) -> Pipeline:
    """An SVM that is not fitted yet.

    `gamma` is `auto` by default, as scikit-learn had it until 0.22: with today's `scale`, and
    features that are not scaled, the polynomial SVM does not even fit its train examples.

    Args:
        hp: KerasTuner's hyperparameters.
        kernels: of `linear` and `poly`; the first is the default.
    """
    kernel = hp.Choice("kernel", list(kernels), default=kernels[0])
    scaler = StandardScaler() if hp.Boolean("scale", default=False) else "passthrough"
    class_weight = hp.Choice("class_weight", ["none", "balanced"], default="none")
    with hp.conditional_scope("kernel", ["poly"]):
        of_poly = {
            "degree": 3,
            "gamma": hp.Choice("gamma", ["auto", "scale"], default="auto"),
            "coef0": hp.Choice("coef0", [0.0, 1.0], default=0.0),
        }
    svc = SVC(
        C=hp.Float("C", 1e-3, 1e3, sampling="log", default=1.0),
        kernel=kernel,
        class_weight=None if class_weight == "none" else class_weight,
        tol=1e-3,
        probability=True,
        random_state=RANDOM_STATES[kernel],
        max_iter=MAX_ITER,
        **(of_poly if kernel == "poly" else {}),
    )
    return Pipeline([("scaler", scaler), ("svc", svc)])


def measure(svm: Pipeline, features: Features) -> dict[str, float]:
    """`accuracy`, `macro_f1` and `loss` of a fitted SVM, of the probabilities that it gives.

    The class is the one of the highest probability, as the Evaluator has it, and not what
    `predict` says: scikit-learn fits the probabilities apart, and the two may differ.
    """
    probabilities = svm.predict_proba(features.values)
    predicted = svm.classes_[probabilities.argmax(axis=1)]
    loss = metrics.log_loss(features.labels, probabilities, labels=svm.classes_)
    macro_f1 = metrics.f1_score(features.labels, predicted, average="macro", zero_division=0)
    accuracy = metrics.accuracy_score(features.labels, predicted)
    return {"accuracy": float(accuracy), "macro_f1": float(macro_f1), "loss": float(loss)}


def count_parameters(svm: Pipeline) -> int:
    """The numbers that a fitted SVM is made of: support vectors, coefficients, intercepts."""
    svc = svm["svc"]
    return int(svc.support_vectors_.size + svc.dual_coef_.size + svc.intercept_.size)


def has_converged(svm: Pipeline) -> bool:
    """Whether a fitted SVM ended before MAX_ITER."""
    return int(svm["svc"].n_iter_.max()) < MAX_ITER


def search(
    train: Features,
    validation: Features,
    *,
    kernels: Sequence[str],
    oracle: str,
    objective: str,
    max_trials: int,
    seed: int,
    on_trial: Callable[[Trial], None],
) -> list[Trial]:
    """Searches the hyperparameters; returns the trials, the best first.

    KerasTuner's SklearnTuner cross-validates. Here it has one fold, that is fitted on train and
    scored on validation: folds of train would put a person on both sides. A search takes minutes,
    so one that was stopped starts anew.

    Args:
        train: what the trials are fitted to.
        validation: what they are judged on.
        kernels: of `linear` and `poly`.
        oracle: one of ORACLES.
        objective: `val_` and a metric of `measure`.
        max_trials: how many trials at most.
        seed: of the oracle.
        on_trial: is told each trial when it has ended.

    Raises:
        ValueError: the data cannot be learned from, e.g. of a single class.
    """
    trials: list[Trial] = []
    row: dict[str, float] = {}

    def score(svm: Pipeline, values: Any, labels: Any, sample_weight: Any = None) -> float:
        of_validation = measure(svm, Features(values, labels))
        row.update(measure(svm, train), epoch=1)
        row.update({f"val_{name}": value for name, value in of_validation.items()})
        row.update(parameters=count_parameters(svm))
        return row[objective]

    class RecordedTuner(kt.SklearnTuner):
        """Makes a record of each trial, and keeps no model, which KerasTuner would pickle."""

        def run_trial(self, trial: Any, *data: Any, **options: Any) -> Any:
            began = time.time()
            try:
                result = super().run_trial(trial, *data, **options)
            except ValueError as error:
                # No hyperparameter is at fault: all other trials would end like this one.
                raise kt.errors.FatalValueError(str(error)) from error
            ended = time.time()
            epoch = {name: value for name, value in row.items() if name != "parameters"}
            record = Trial(
                id=trial_number(trial.trial_id),
                status="COMPLETED",
                score=row[objective],
                values=dict(trial.hyperparameters.values),
                epochs=[{**epoch, "seconds": ended - began}],
                parameters=int(row["parameters"]),
                attempts=[[began, ended]],
            )
            trials.append(record)
            on_trial(record)
            return result

        def save_model(self, *_: Any, **__: Any) -> None:
            pass

    with TemporaryDirectory() as directory:
        tuner = RecordedTuner(
            oracle=KERAS_TUNERS[oracle](
                objective=kt.Objective("score", direction(objective)),
                max_trials=max_trials,
                seed=keras_tuner_seed(seed),
            ),
            hypermodel=lambda hp: build(hp, kernels),
            scoring=score,
            cv=PredefinedSplit([-1] * len(train.labels) + [0] * len(validation.labels)),
            directory=directory,
        )
        tuner.oracle.verbose = 0
        tuner.search(*(np.concatenate(both) for both in zip(train, validation, strict=True)))
    return leaderboard(trials, objective)
