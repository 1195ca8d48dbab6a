"""Tuner: searches the hyperparameters with KerasTuner; each trial is a nested MLflow run.

Reads:   transformed_examples
Writes:  best_hyperparameters (best_hyperparameters.json), tuner_results (trials.json)
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from components.common import progress, tracking
from components.common.files import write_json
from components.common.recipe import read_recipe
from components.common.records import load_split, splits
from tuning.hypermodels import get_hypermodel
from tuning.search import Trial, default_values, models_own, search


class NoTrialCompletedError(RuntimeError):
    """Every trial failed; what each died of is in its MLflow run."""


def tune(
    transformed_examples: Path,
    best_hyperparameters: Path,
    tuner_results: Path,
    *,
    hypermodel: str,
    oracle: str,
    objective: str,
    max_trials: int,
    epochs: int,
    batch_size: int,
    seed: int,
    work_dir: Path,
) -> dict[str, Any]:
    """Writes and returns the best hyperparameters: of a search, or the hypermodel's defaults.

    Without trials, or without a validation split to select on, the defaults are taken, and
    `chosen_by` says so.

    Args:
        transformed_examples: what Transform wrote; of its splits, train and validation are read.
        best_hyperparameters: folder to fill.
        tuner_results: folder to fill.
        hypermodel: one of `tuning.hypermodels.HYPERMODELS`.
        oracle: one of `tuning.search.ORACLES`.
        objective: a validation metric, e.g. `val_accuracy`.
        max_trials: how many trials at most; 0 takes the defaults.
        epochs: of a trial.
        batch_size: images a step, in the search and in the training after it.
        seed: of the search.
        work_dir: KerasTuner's state; a search that was killed goes on from it.

    Raises:
        NoTrialCompletedError: there is nothing to choose from.
    """
    recipe, labels = read_recipe(transformed_examples)
    shape = (recipe.height, recipe.width, recipe.channels)
    build_hypermodel = get_hypermodel(hypermodel)

    def build(hp: Any) -> Any:
        return build_hypermodel(hp, shape, len(labels))

    trials: list[Trial] = []
    best: dict[str, Any] = {"hypermodel": hypermodel, "batch_size": batch_size}
    if max_trials == 0:
        best |= {"values": default_values(build), "chosen_by": "defaults: no search was asked for"}
    elif "validation" not in splits(transformed_examples):
        reason = "defaults: there is no validation split to select on"
        best |= {"values": default_values(build), "chosen_by": reason}
    else:
        # The same seed finds the same hyperparameters.
        tf.config.experimental.enable_op_determinism()
        train = load_split(transformed_examples, "train")
        validation = load_split(transformed_examples, "validation")
        trials = search(
            build,
            (train.images, train.labels),
            (validation.images, validation.labels),
            oracle=oracle,
            objective=objective,
            max_trials=max_trials,
            epochs=epochs,
            batch_size=batch_size,
            seed=seed,
            directory=work_dir / "keras_tuner",
            observe=_observer(max_trials, epochs),
        )
        if trials[0].score is None:
            shutil.rmtree(work_dir)  # The next run tries again, and does not resume failures.
            raise NoTrialCompletedError(f"none of {len(trials)} trials completed: see MLflow")
        best |= _choose(trials, objective)
    write_json(best_hyperparameters / "best_hyperparameters.json", best)
    write_json(tuner_results / "trials.json", [trial._asdict() for trial in trials])
    tracking.log_params({f"best/{name}": value for name, value in best["values"].items()})
    return best


def _choose(trials: list[Trial], objective: str) -> dict[str, Any]:
    best = trials[0]
    return {
        "values": models_own(best.values),
        "chosen_by": f"best {objective} of {len(trials)} trials, {best.score:.4f}",
        "trial": best.id,
        "score": best.score,
    }


def _observer(max_trials: int, epochs: int) -> Any:
    @contextmanager
    def observe(trial: str, values: Mapping[str, Any]) -> Iterator[list[Any]]:
        with tracking.child_run(f"trial {trial}", values):
            yield [_TrialProgress(f"trial {trial}/{max_trials}", epochs)]

    return observe


class _TrialProgress(keras.callbacks.Callback):
    """Reports every epoch; a class of its own since KerasTuner deep-copies callbacks."""

    def __init__(self, trial: str, epochs: int) -> None:
        super().__init__()
        self._trial, self._epochs = trial, epochs

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        logs = logs or {}
        tracking.log_metrics(logs, step=epoch + 1)
        progress.say(f"{self._trial}, epoch {epoch + 1}/{self._epochs}, {progress.figures(logs)}")
