"""The full training of the hyperparameters that a search, or a person, chose."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tuning.accelerator import compile_for_device, dtype_policy, has_gpu
from tuning.hypermodels import get_hypermodel
from tuning.space import build_with
from tuning.task import Task
from tuning.training.batches import Arrays
from tuning.training.fitting import fit, to_serve
from tuning.training.rules import History, ReduceRateRule, StoppingRule


def train_winner(
    winner: Mapping[str, Any],
    train: Arrays,
    validation: Arrays | None,
    *,
    classes: int,
    epochs: int,
    seed: int,
    rule: StoppingRule,
    reduce_rate: ReduceRateRule | None = None,
    checkpoints: Path,
    on_epoch: Callable[[Mapping[str, float]], None],
) -> tuple[Any, History]:
    """Trains the winner of a search, from its last checkpoint where there is one.

    Args:
        winner: of `tuning.sweep.search.describe_winner`: hypermodel, values, batch size, precision.
        train: what the model is fitted to.
        validation: what the epochs are judged on, or None.
        classes: how many.
        epochs: at most so many.
        seed: of the weights and the order of the images.
        rule: when training ends before, and which epoch is the best.
        reduce_rate: when the learning rate is reduced; None: the hypermodel's own stands.
        checkpoints: folder of the checkpoints.
        on_epoch: is told each new row of the history.

    Returns:
        The model of the best epoch, in float32 whatever it was trained in: it is served on other
        machines. And the history.
    """
    batch_size = winner["batch_size"]
    steps = math.ceil(len(train.labels) / batch_size)
    task = Task(train.images.shape[1:], classes, steps, epochs)
    build_hypermodel = get_hypermodel(winner["hypermodel"])

    def build() -> Any:
        model = build_with(lambda hp: build_hypermodel(hp, task), winner["values"])
        return compile_for_device(model)

    with dtype_policy(winner["precision"] if has_gpu() else "float32"):
        fitted, history = fit(
            build,
            train,
            validation,
            classes=classes,
            epochs=epochs,
            batch_size=batch_size,
            mixup=winner["values"].get("mixup", 0.0),
            seed=seed,
            rule=rule,
            reduce_rate=reduce_rate,
            checkpoints=checkpoints,
            on_epoch=on_epoch,
        )
    return to_serve(build, fitted), history
