"""Tuner: searches the hyperparameters with KerasTuner; each trial is a nested MLflow run.

Reads:   transformed_examples
Writes:  best_hyperparameters (best_hyperparameters.json; of a search on another machine that also
         trained its winner: best.keras, best_history.json), tuner_results (trials.json, figures)
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import tensorflow as tf

from components.common import progress, tracking
from components.common.features import inputs_of, originals_of
from components.common.files import write_json
from components.common.recipe import read_recipe
from components.common.records import load_split, splits
from components.common.sweep_figures import draw_sweep
from components.common.tracking.dataset_inputs import log_split
from components.common.tracking.trial_runs import trial_runs
from tfds_builders.catalog import OptionError
from tuning.accelerator import BATCH_SIZE, has_gpu, resolve_precision
from tuning.backbones import BackboneError
from tuning.hypermodels import frozen_part, get_hypermodel
from tuning.space import SpaceError, default_values, require_possible, with_fixed
from tuning.sweep.archive import ArchiveError
from tuning.sweep.job import Job, digest_of, save_job
from tuning.sweep.results import HISTORY, MODEL, WINNER, unpack_results
from tuning.sweep.search import describe_winner, search
from tuning.sweep.trials import Trial, leaderboard, read_trials
from tuning.sweep.workers import search_with_workers
from tuning.task import Task
from tuning.training.batches import Arrays


class NoTrialCompletedError(RuntimeError):
    """Every trial failed; the message has what they died of."""


def tune(
    transformed_examples: Path,
    best_hyperparameters: Path,
    tuner_results: Path,
    *,
    hypermodel: str,
    oracle: str,
    objective: str,
    epochs: int,
    batch_size: int | Literal["auto"],
    precision: str,
    seed: int,
    work_dir: Path,
    features_dir: Path,
    max_trials: int | None = None,
    minutes: float | None = None,
    patience: int | None = None,
    workers: int = 1,
    fixed: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """Writes and returns the best hyperparameters: of a search, or the hypermodel's defaults.

    Without trials, or without a validation split to select on, the defaults are taken, and
    `chosen_by` says so.

    Args:
        transformed_examples: what Transform wrote; of its splits, train and validation are read.
        best_hyperparameters: folder to fill.
        tuner_results: folder to fill.
        hypermodel: one of `tuning.hypermodels.HYPERMODELS`.
        oracle: one of `tuning.sweep.oracles.ORACLES`.
        objective: a validation metric: `val_accuracy`, `val_macro_f1` or `val_loss`.
        epochs: of a trial.
        batch_size: images a step, in the search and in the training after it; `auto`: the largest
            that a GPU holds.
        precision: one of `tuning.accelerator.PRECISIONS`.
        seed: of the search.
        work_dir: the state of the search; one that was killed goes on from it.
        features_dir: keeps the features of frozen backbones.
        max_trials: how many trials at most; 0 takes the defaults; None: the minutes alone say.
        minutes: how long trials are started, all starts of the search together; None: no limit.
        patience: a trial ends after that many epochs without a better objective; None: never.
        workers: processes that search, one a GPU where there are GPUs; 1: this one alone.
        fixed: hyperparameters that are set, and not searched, by name.

    Raises:
        NoTrialCompletedError: there is nothing to choose from.
        OptionError: the hypermodel has no hyperparameter of a fixed one's name, or none of its
            value, or the backbone cannot be had, or takes other pictures.
    """
    recipe, labels = read_recipe(transformed_examples)
    image_shape = (recipe.height, recipe.width, recipe.channels)
    try:
        values = _default_values(hypermodel, Task(image_shape, len(labels), 1, epochs), fixed)
        backbone = frozen_part(hypermodel, values, image_shape)
    except SpaceError as error:
        raise OptionError(f"tuner.fixed.{error}") from error
    except BackboneError as error:
        raise OptionError(f"tuner.fixed: {error}") from error
    job = Job(
        hypermodel=hypermodel,
        image_shape=backbone.output_shape[1:] if backbone else image_shape,
        classes=len(labels),
        oracle=oracle,
        objective=objective,
        max_trials=max_trials,
        minutes=minutes,
        epochs=epochs,
        patience=patience,
        batch_size=None if batch_size == "auto" else batch_size,
        precision=resolve_precision(precision),
        seed=seed,
        fixed=dict(fixed),
    )

    def inputs(name: str) -> Arrays:
        log_split(transformed_examples, name)
        split = load_split(transformed_examples, name)
        return inputs_of(split, name, backbone, transformed_examples, features_dir)

    trials: list[Trial] = []
    if max_trials == 0:
        best = _defaults(job, values, "defaults: no search was asked for")
    elif "validation" not in splits(transformed_examples):
        best = _defaults(job, values, "defaults: there is no validation split to select on")
    else:
        trials = _search(job, inputs("train"), inputs("validation"), work_dir, workers)
        best = describe_winner(job, trials)
    _write(best, trials, objective, best_hyperparameters, tuner_results)
    return best


def take_over(
    transformed_examples: Path,
    best_hyperparameters: Path,
    tuner_results: Path,
    *,
    results: Path,
    hypermodel: str,
    objective: str,
    work_dir: Path,
) -> dict[str, Any]:
    """As `tune`, but the search was made on another machine: by `python -m tuning`.

    Where its winner was trained there, the model goes to the Trainer, which does not train again.

    Args:
        transformed_examples: what the search was exported from; its train split and its validation
            split must be the same pictures still, or the test split may hold what was trained on.
        best_hyperparameters: folder to fill.
        tuner_results: folder to fill.
        results: the `results.zip` that the search left.
        hypermodel: that the search must have been of.
        objective: that it must have been for.
        work_dir: is used for a while.

    Raises:
        OptionError: the file is no results of a search, or those of another one.
    """
    folder = work_dir / "taken_over"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        found = unpack_results(results, folder)
    except ArchiveError as error:
        raise OptionError(f"tuner.results: {error}") from error
    _require_same_search(found.job, hypermodel, objective)
    _require_same_pictures(found.job, transformed_examples)
    log = trial_runs()
    for trial in found.trials:
        log(trial)
    best = found.winner
    best_hyperparameters.mkdir(parents=True, exist_ok=True)
    if (folder / HISTORY).exists():
        best.setdefault("trained", {"monitor": found.job.objective, "seed": found.job.seed})
        for name in (MODEL, HISTORY):
            shutil.copy(folder / name, best_hyperparameters)
    _write(best, found.trials, objective, best_hyperparameters, tuner_results)
    shutil.rmtree(folder)
    return best


def _require_same_search(job: Job, hypermodel: str, objective: str) -> None:
    if (job.hypermodel, job.objective) != (hypermodel, objective):
        raise OptionError(
            f"tuner.results: the search was of {job.hypermodel} for {job.objective}; say "
            f"tuner.hypermodel={job.hypermodel} and tuner.objective={job.objective}"
        )


def _require_same_pictures(job: Job, transformed_examples: Path) -> None:
    if "validation" not in splits(transformed_examples):
        raise OptionError("tuner.results: there is no validation split: say split.validation")
    for name in ("train", "validation"):
        log_split(transformed_examples, name)
    there = [
        originals_of(load_split(transformed_examples, name)) for name in ("train", "validation")
    ]
    if digest_of(*there) != job.digest:
        raise OptionError(
            "tuner.results: the search was on other pictures than this config's train and "
            "validation splits: take the config and the data that it was exported with"
        )


def _write(
    best: Mapping[str, Any],
    trials: Sequence[Trial],
    objective: str,
    best_hyperparameters: Path,
    tuner_results: Path,
) -> None:
    write_json(best_hyperparameters / WINNER, best)
    write_json(tuner_results / "trials.json", [trial._asdict() for trial in trials])
    for picture in draw_sweep(trials, objective, tuner_results):
        tracking.log_artifact(picture)
    tracking.log_params({f"best/{name}": value for name, value in best["values"].items()})


def _default_values(hypermodel: str, task: Task, fixed: Mapping[str, Any]) -> dict[str, Any]:
    def build(hp: Any) -> Any:
        return get_hypermodel(hypermodel)(hp, task)

    require_possible(build, fixed)
    return default_values(with_fixed(build, fixed))


def _defaults(job: Job, values: dict[str, Any], chosen_by: str) -> dict[str, Any]:
    return {
        "hypermodel": job.hypermodel,
        "precision": job.precision,
        "batch_size": job.batch_size or BATCH_SIZE,
        "values": values,
        "chosen_by": chosen_by,
    }


def _search(
    job: Job, train: Arrays, validation: Arrays, work_dir: Path, workers: int
) -> list[Trial]:
    folder = work_dir / "search"
    on_change = _follow(job, folder)
    if workers > 1:
        save_job(folder, job, train, validation)
        trials = search_with_workers(folder, workers, on_change)
    else:
        if not has_gpu():
            # The same seed finds the same hyperparameters. On a GPU it would cost XLA.
            tf.config.experimental.enable_op_determinism()
        trials = search(job, train, validation, folder, on_change)
    if not trials or trials[0].score is None:
        shutil.rmtree(work_dir)  # The next run tries again, and does not resume failures.
        reasons = "; ".join(dict.fromkeys(trial.reason for trial in trials))
        raise NoTrialCompletedError(f"none of {len(trials)} trials completed: {reasons}"[:1000])
    return trials


def _follow(job: Job, folder: Path) -> Callable[[Trial], None]:
    """Logs the trials of the starts before, and returns what is told those of this one."""
    log = trial_runs()
    known = {trial.id: trial for trial in read_trials(folder / "trials")}
    for trial in known.values():
        if trial.status != "RUNNING":
            log(trial)

    def on_change(trial: Trial) -> None:
        known[trial.id] = trial
        log(trial)
        if trial.epochs and trial.status == "RUNNING":
            progress.say(_standing(job, trial, leaderboard(known.values(), job.objective)[0].score))

    return on_change


def _standing(job: Job, trial: Trial, best: float | None) -> str:
    """`trial 2/10, epoch 1/5, loss 0.41, ..., best val_accuracy so far 0.912`."""
    row, epochs = trial.epochs[-1], trial.values.get("tuner/epochs", job.epochs)
    of = f"/{job.max_trials}" if job.max_trials else ""
    text = f"trial {trial.id}{of}, epoch {row['epoch']}/{epochs}, "
    text += progress.figures(row)
    return text if best is None else f"{text}, best {job.objective} so far {best:.3f}"
