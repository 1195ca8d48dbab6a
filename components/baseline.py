"""Baseline: the landmark SVM, searched and fitted; what the networks are measured against.

Reads:   transformed_examples, with landmarks
Writes:  model (model.skops, model.json, recipe.json, dataset.json), best_hyperparameters
         (best_hyperparameters.json), tuner_results (trials.json, figures)
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import skops.io
from sklearn.pipeline import Pipeline

from components.common import progress, tracking
from components.common.files import write_json
from components.common.records import load_split, splits
from components.common.sweep_figures import draw_sweep
from components.common.tracking.dataset_inputs import log_split
from components.common.tracking.trial_runs import trial_runs
from tfds_builders.catalog import OptionError
from tuning.landmark_svm import (
    MAX_ITER,
    Features,
    build,
    count_parameters,
    has_converged,
    measure,
    search,
)
from tuning.space import build_with, default_values
from tuning.sweep.trials import Trial, describe_best


def train_baseline(
    transformed_examples: Path,
    model: Path,
    best_hyperparameters: Path,
    tuner_results: Path,
    *,
    kernels: Sequence[str],
    oracle: str,
    objective: str,
    max_trials: int,
    seed: int,
) -> list[str]:
    """Searches on validation, fits to train, writes the SVM; returns warnings.

    Without trials, or without a validation split to select on, the defaults are taken, which are
    the CK+ experiment's own, and `chosen_by` says so.

    Args:
        transformed_examples: what Transform wrote; of its splits, train and validation are read.
        model: folder to fill.
        best_hyperparameters: folder to fill.
        tuner_results: folder to fill.
        kernels: of `linear` and `poly`, those that are searched; the first is the default.
        oracle: one of `tuning.landmark_svm.ORACLES`.
        objective: `val_accuracy`, `val_macro_f1` or `val_loss`.
        max_trials: how many trials at most; 0 takes the defaults.
        seed: of the search.

    Raises:
        OptionError: there are no landmarks beside the pictures; says how to get them.
    """
    train = _features(transformed_examples, "train")
    trials: list[Trial] = []
    if max_trials == 0:
        best = _defaults(kernels, "defaults: no search was asked for")
    elif "validation" not in splits(transformed_examples):
        best = _defaults(kernels, "defaults: there is no validation split to select on")
    else:
        trials = search(
            train,
            _features(transformed_examples, "validation"),
            kernels=kernels,
            oracle=oracle,
            objective=objective,
            max_trials=max_trials,
            seed=seed,
            on_trial=_teller(max_trials),
        )
        best = describe_best(trials, objective)
    write_json(best_hyperparameters / "best_hyperparameters.json", best)
    write_json(tuner_results / "trials.json", [trial._asdict() for trial in trials])
    for picture in draw_sweep(trials, objective, tuner_results):
        tracking.log_artifact(picture)
    tracking.log_params({f"best/{name}": value for name, value in best["values"].items()})

    svm = build_with(lambda hp: build(hp, kernels), best["values"])
    svm.fit(train.values, train.labels)
    model.mkdir(parents=True, exist_ok=True)
    skops.io.dump(svm, model / "model.skops")
    for name in ("recipe.json", "dataset.json"):
        shutil.copy(transformed_examples / name, model)
    return _describe(svm, train, best, model)


def _features(transformed_examples: Path, split: str) -> Features:
    loaded = load_split(transformed_examples, split)
    log_split(transformed_examples, split)
    if not loaded.landmarks.shape[1]:
        raise OptionError(
            "the baseline sees landmarks, and there are none beside the pictures: "
            "say transform.landmarks=scale_free"
        )
    return Features(loaded.landmarks, loaded.labels)


def _defaults(kernels: Sequence[str], chosen_by: str) -> dict[str, Any]:
    values = default_values(lambda hp: build(hp, kernels))
    return {"values": values, "chosen_by": chosen_by}


def _teller(max_trials: int) -> Callable[[Trial], None]:
    log = trial_runs()

    def tell(trial: Trial) -> None:
        log(trial)
        progress.say(f"trial {trial.id}/{max_trials}, {progress.figures(trial.epochs[-1])}")

    return tell


def _describe(svm: Pipeline, train: Features, best: dict[str, Any], model: Path) -> list[str]:
    """Writes `model.json`, tells MLflow, and returns what a person should be warned of."""
    facts = {
        "hypermodel": "landmark_svm",
        "hyperparameters": best["values"],
        "parameters": count_parameters(svm),
        "features": train.values.shape[1],
        "converged": has_converged(svm),
        "train": measure(svm, train),
    }
    write_json(model / "model.json", facts)
    tracking.log_params({"parameters": facts["parameters"], "converged": facts["converged"]})
    tracking.log_metrics(facts["train"])
    if facts["converged"]:
        return []
    return [f"the SVM was stopped after {MAX_ITER:,} iterations: search, and it may scale them"]
