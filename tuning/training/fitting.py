"""Training that can be killed at any moment and goes on as if it had not been.

A checkpoint is a folder that appears whole, after every epoch: the model with its optimizer, the
best model so far, the history. The order of the images hangs on the seed and the epoch's number
alone, and whether to stop and the learning rate on the history alone, so that a resumed training
takes the same steps.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tuning.accelerator import compile_for_device
from tuning.training.batches import Arrays, Batches
from tuning.training.clock import Clock
from tuning.training.rules import (
    History,
    ReduceRateRule,
    StoppingRule,
    best_epoch,
    next_rate,
    should_stop,
)


def fit(
    build: Callable[[], Any],
    train: Arrays,
    validation: Arrays | None,
    *,
    classes: int,
    epochs: int,
    batch_size: int,
    mixup: float = 0.0,
    seed: int,
    rule: StoppingRule,
    reduce_rate: ReduceRateRule | None = None,
    checkpoints: Path,
    on_epoch: Callable[[Mapping[str, float]], None],
) -> tuple[Any, History]:
    """Trains, from the last checkpoint where there is one.

    Args:
        build: makes the compiled model.
        train: what the model is fitted to.
        validation: what the epochs are judged on, or None.
        classes: how many.
        epochs: at most so many.
        batch_size: images a step.
        mixup: of the train images: see `tuning.training.batches.Batches`.
        seed: of the weights, dropout, mixup and the order of the images.
        rule: when to stop before, and which epoch is the best.
        reduce_rate: when the learning rate is reduced; None: the optimizer's own stands.
        checkpoints: folder of the checkpoints.
        on_epoch: is told each new row of the history, with `seconds`, of the epoch's training and
            validation, and `images_per_second`, of its training.

    Returns:
        The model of the best epoch, and the history.

    Raises:
        ValueError: the learning rate is to be reduced, and follows a schedule already.
    """
    keras.utils.set_random_seed(seed)
    history, model = _last_checkpoint(checkpoints)
    model = model or build()
    if reduce_rate:
        _check_rate_can_be_set(model.optimizer)
    if len(history) < epochs and not should_stop(history, rule):
        batches = Batches(*train, classes, batch_size=batch_size, mixup=mixup)
        clock = Clock(len(train[1]))

        def start_epoch(epoch: int, logs: Any) -> None:
            batches.shuffle(seed, epoch)
            _reseed(model, seed, epoch)
            if reduce_rate and history:
                model.optimizer.learning_rate = next_rate(history, reduce_rate)

        def end_epoch(epoch: int, logs: Any) -> None:
            # Times are told, not kept: two trainings of the same steps leave the same history.
            on_epoch(history[-1] | clock.times)

        model.fit(
            batches,
            validation_data=validation and Batches(*validation, classes, batch_size=256),
            initial_epoch=len(history),
            epochs=epochs,
            callbacks=[
                keras.callbacks.LambdaCallback(on_epoch_begin=start_epoch),
                clock,
                _Checkpoint(checkpoints, history, rule),
                keras.callbacks.LambdaCallback(on_epoch_end=end_epoch),
            ],
            shuffle=False,  # else Keras shuffles the batches by a generator that nothing restores
            verbose=0,
        )
    return keras.models.load_model(_checkpoint(checkpoints, len(history)) / "best.keras"), history


def _check_rate_can_be_set(optimizer: Any) -> None:
    try:
        optimizer.learning_rate = float(optimizer.learning_rate)
    except TypeError as error:
        raise ValueError(
            "the learning rate follows a schedule already: leave trainer.reduce_rate out"
        ) from error


def to_serve(build: Callable[[], Any], fitted: Any) -> Any:
    """A trained network in float32, whatever it was trained in, without its optimizer.

    Args:
        build: makes the model, here under the float32 policy.
        fitted: what `fit` returned.
    """
    model = build()
    model.set_weights(fitted.get_weights())
    return keras.Model(model.input, model.output, name=model.name)


def _reseed(model: Any, seed: int, epoch: int) -> None:
    """Sets the random layers by the epoch's number: a saved model does not hold their state."""
    states = [v for v in model.variables if v.name == "seed_generator_state"]
    for number, state in enumerate(states):
        state.assign(np.random.default_rng([seed, epoch, number]).integers(2**32, size=2))


class _Checkpoint(keras.callbacks.Callback):
    """Adds each epoch to the history, writes a checkpoint after it, and stops by the rule."""

    def __init__(self, folder: Path, history: History, rule: StoppingRule) -> None:
        super().__init__()
        self._folder, self._history, self._rule = folder, history, rule

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        row = {name: float(value) for name, value in (logs or {}).items()}
        rate = float(self.model.optimizer.learning_rate)
        self._history.append({"epoch": epoch + 1, **row, "learning_rate": rate})
        self._save()
        self.model.stop_training = should_stop(self._history, self._rule)

    def _save(self) -> None:
        epoch = len(self._history)
        part = self._folder / "part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        self.model.save(part / "last.keras")
        is_best = best_epoch(self._history, self._rule) == epoch - 1
        best = part if is_best else _checkpoint(self._folder, epoch - 1)
        shutil.copy(best / ("last.keras" if is_best else "best.keras"), part / "best.keras")
        (part / "history.json").write_text(json.dumps(self._history))
        part.rename(_checkpoint(self._folder, epoch))
        shutil.rmtree(_checkpoint(self._folder, epoch - 1), ignore_errors=True)


def _checkpoint(folder: Path, epoch: int) -> Path:
    return folder / f"epoch-{epoch:05d}"


def _last_checkpoint(folder: Path) -> tuple[History, Any | None]:
    found = sorted(folder.glob("epoch-*"))
    if not found:
        return [], None
    history = json.loads((found[-1] / "history.json").read_text())
    return history, compile_for_device(keras.models.load_model(found[-1] / "last.keras"))
