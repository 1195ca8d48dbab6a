"""The winner of a search: its hyperparameters, and its full training where the search ran."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras_tuner as kt

from tuning.accelerator import compile_for_device, dtype_policy, resolve_precision
from tuning.fitting import fit, to_serve
from tuning.hypermodels import get_hypermodel
from tuning.job import Arrays, Job
from tuning.rules import History, StoppingRule
from tuning.search import models_own
from tuning.task import Task
from tuning.trials import Trial


def describe_winner(job: Job, trials: list[Trial]) -> dict[str, Any]:
    """What the Trainer needs to know of the first of the trials, and why it was chosen."""
    best = trials[0]
    return {
        "hypermodel": job.hypermodel,
        "precision": resolve_precision(job.precision),
        "batch_size": best.batch_size,
        "values": models_own(best.values),
        "chosen_by": f"best {job.objective} of {len(trials)} trials, {best.score:.4f}",
        "trial": best.id,
        "score": best.score,
    }


def train_winner(
    job: Job,
    winner: Mapping[str, Any],
    train: Arrays,
    validation: Arrays,
    folder: Path,
    *,
    epochs: int,
    on_epoch: Callable[[Mapping[str, float]], None],
) -> History:
    """Trains the winner, from its last checkpoint where there is one, and writes `best.keras`.

    The epoch that is best by the job's objective is kept, in float32, whatever it was trained in:
    it is served on other machines.

    Args:
        job: what was searched.
        winner: of `describe_winner`.
        train: what the model is fitted to.
        validation: what the epochs are judged on.
        folder: gets `best.keras`, `best_history.json` and `best_checkpoints/`.
        epochs: how many.
        on_epoch: is told each new row of the history.
    """
    steps = math.ceil(len(train.labels) / winner["batch_size"])
    task = Task(job.image_shape, job.classes, steps, epochs)

    def build() -> Any:
        hp = kt.HyperParameters()
        hp.values.update(winner["values"])
        return compile_for_device(get_hypermodel(job.hypermodel)(hp, task))

    with dtype_policy(job.precision):
        trained, history = fit(
            build,
            train,
            validation,
            classes=job.classes,
            epochs=epochs,
            batch_size=winner["batch_size"],
            mixup=winner["values"].get("mixup", 0.0),
            seed=job.seed,
            rule=StoppingRule(monitor=job.objective),
            checkpoints=folder / "best_checkpoints",
            on_epoch=on_epoch,
        )
    to_serve(build, trained).save(folder / "best.keras")
    (folder / "best_history.json").write_text(json.dumps(history, indent=1))
    return history
