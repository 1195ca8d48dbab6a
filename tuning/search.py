"""The search: KerasTuner's oracles over a hypermodel, resumed where it was stopped."""

import logging
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import keras
import keras_tuner as kt

log = logging.getLogger(__name__)

ORACLES = ("random", "hyperband")

Arrays = tuple[Any, Any]
"""Images uint8 [n, height, width, channels] and labels int64 [n]."""

Observer = Callable[[str, Mapping[str, Any]], AbstractContextManager[list[Any]]]
"""Opened around a trial with its id and hyperparameters; gives the callbacks to train with."""


class Trial(NamedTuple):
    """A trial that ended: its number, its hyperparameters, its score or None where it failed."""

    id: str
    status: str
    score: float | None
    values: dict[str, Any]


def default_values(build: Callable[[Any], Any]) -> dict[str, Any]:
    """The default of every hyperparameter that a hypermodel declares."""
    hp = kt.HyperParameters()
    build(hp)
    return dict(hp.values)


def models_own(values: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameters without those that Hyperband adds for its own schedule."""
    return {name: value for name, value in values.items() if not name.startswith("tuner/")}


def search(
    build: Callable[[Any], Any],
    train: Arrays,
    validation: Arrays,
    *,
    oracle: str,
    objective: str,
    max_trials: int,
    epochs: int,
    batch_size: int,
    seed: int,
    directory: Path,
    observe: Observer,
) -> list[Trial]:
    """Runs a search, or the rest of one, and returns its trials, the best first.

    Args:
        build: from hyperparameters to a compiled model.
        train: what the trials are fitted to.
        validation: what they are judged on.
        oracle: one of ORACLES.
        objective: a metric of the training's logs, e.g. `val_accuracy`.
        max_trials: the budget; Hyperband may end below it.
        epochs: of a trial; with Hyperband of the longest ones.
        batch_size: images a step.
        seed: of the oracle, and of every trial's weights and order of images.
        directory: KerasTuner's own state, kept for a resume.
        observe: opened around each trial.
    """
    arguments = {
        "hypermodel": build,
        "objective": kt.Objective(objective, "min" if objective.endswith("loss") else "max"),
        "seed": seed + 1,  # KerasTuner takes 0 for none, and draws one.
        "directory": str(directory.parent),
        "project_name": directory.name,
    }
    budget = (
        {"max_epochs": epochs, "factor": 3} if oracle == "hyperband" else {"max_trials": max_trials}
    )
    tuner = _resume(_tuner_class(oracle, seed, observe), {**arguments, **budget}, directory)
    tuner.oracle.max_trials = max_trials
    # Three failures in a row would end the search with an exception, and lose the trials before.
    tuner.oracle.max_consecutive_failed_trials = max_trials + 1
    tuner.search(
        x=train[0],
        y=train[1],
        validation_data=validation,
        epochs=epochs,
        batch_size=batch_size,
        callbacks=[],
        verbose=0,
    )
    return _leaderboard(tuner)


def _tuner_class(oracle: str, seed: int, observe: Observer) -> type[kt.Tuner]:
    base: Any = {"random": kt.RandomSearch, "hyperband": kt.Hyperband}[oracle]

    class ObservedTuner(base):
        """Opens the observer around every trial, and starts every trial from the same seed."""

        def run_trial(self, trial: Any, *args: Any, callbacks: list[Any], **kwargs: Any) -> Any:
            keras.utils.set_random_seed(seed)
            values = models_own(trial.hyperparameters.values)
            with observe(_number(trial), values) as observers:
                callbacks = [*callbacks, *observers]
                try:
                    return super().run_trial(trial, *args, callbacks=callbacks, **kwargs)
                except OSError as error:
                    # A full disk is no fault of the trial's hyperparameters: it ends the search.
                    raise kt.errors.FatalError(str(error)) from error

    return ObservedTuner


def _number(trial: Any) -> str:
    """From 1: KerasTuner counts from 0, in more or fewer digits."""
    return str(int(trial.trial_id) + 1)


def _resume(tuner_class: type[kt.Tuner], arguments: Mapping[str, Any], directory: Path) -> kt.Tuner:
    """A tuner with the state that is on disk, or without where that state is damaged.

    KerasTuner writes its files in place: killed while it does, it leaves one that cannot be read.
    """
    try:
        return tuner_class(**arguments, overwrite=False)
    except (ValueError, KeyError, OSError) as error:
        log.warning("the stopped search cannot be resumed (%s): it starts anew", error)
        shutil.rmtree(directory)
        return tuner_class(**arguments)


def _leaderboard(tuner: kt.Tuner) -> list[Trial]:
    trials = [
        Trial(
            _number(trial),
            trial.status,
            trial.score if trial.status == "COMPLETED" else None,
            dict(trial.hyperparameters.values),
        )
        for trial in tuner.oracle.trials.values()
    ]
    sign = 1 if tuner.oracle.objective.direction == "min" else -1
    return sorted(trials, key=lambda t: float("inf") if t.score is None else sign * t.score)
