"""Training that can be killed at any moment and goes on as if it had not been.

A checkpoint is a folder that appears whole, after every epoch: the model with its optimizer, the
best model so far, the history. The order of the images hangs on the seed and the epoch's number
alone, and whether to stop on the history alone, so that a resumed training takes the same steps.
"""

import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

History = list[dict[str, float]]
"""One row an epoch: `epoch` (from 1), the metrics, `learning_rate`."""


class StoppingRule(NamedTuple):
    """When training ends before its last epoch.

    Attributes:
        at_accuracy: as soon as the train accuracy passes this; None: never.
        patience: after that many epochs without a better `monitor`; None: never.
        monitor: the metric that tells the best epoch. Without it in the history (no validation
            split) the last epoch is the best.
    """

    at_accuracy: float | None = None
    patience: int | None = None
    monitor: str = "val_accuracy"


def best_epoch(history: Sequence[Mapping[str, float]], rule: StoppingRule) -> int:
    """The index of the best epoch; the earliest of equals."""
    if rule.monitor not in history[-1]:
        return len(history) - 1
    sign = 1 if rule.monitor.endswith("loss") else -1
    values = [sign * row[rule.monitor] for row in history]
    return min(range(len(values)), key=lambda i: math.inf if math.isnan(values[i]) else values[i])


def should_stop(history: Sequence[Mapping[str, float]], rule: StoppingRule) -> bool:
    """Whether training ends after the last epoch of the history."""
    if not history:
        return False
    if rule.at_accuracy is not None and history[-1]["accuracy"] > rule.at_accuracy:
        return True
    stale = len(history) - 1 - best_epoch(history, rule)
    return rule.patience is not None and stale >= rule.patience


def fit(
    build: Callable[[], Any],
    train: tuple[Any, Any],
    validation: tuple[Any, Any] | None,
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    rule: StoppingRule,
    checkpoints: Path,
    on_epoch: Callable[[Mapping[str, float]], None],
) -> tuple[Any, History]:
    """Trains, from the last checkpoint where there is one.

    Args:
        build: makes the compiled model.
        train: images uint8 [n, height, width, channels] and labels int64 [n].
        validation: the same, or None.
        epochs: at most so many.
        batch_size: images a step.
        seed: of the weights, dropout and the order of the images.
        rule: when to stop before, and which epoch is the best.
        checkpoints: folder of the checkpoints.
        on_epoch: is told each new row of the history.

    Returns:
        The model of the best epoch, and the history.
    """
    keras.utils.set_random_seed(seed)
    history, model = _last_checkpoint(checkpoints)
    model = model or build()
    if len(history) < epochs and not should_stop(history, rule):
        batches = _Batches(*train, batch_size=batch_size)

        def start_epoch(epoch: int, logs: Any) -> None:
            batches.shuffle(seed, epoch)
            _reseed(model, seed, epoch)

        model.fit(
            batches,
            validation_data=_Batches(*validation, batch_size=256) if validation else None,
            initial_epoch=len(history),
            epochs=epochs,
            callbacks=[
                keras.callbacks.LambdaCallback(on_epoch_begin=start_epoch),
                _Checkpoint(checkpoints, history, rule, on_epoch),
            ],
            shuffle=False,  # else Keras shuffles the batches by a generator that nothing restores
            verbose=0,
        )
    return keras.models.load_model(_checkpoint(checkpoints, len(history)) / "best.keras"), history


def _reseed(model: Any, seed: int, epoch: int) -> None:
    """Sets the random layers by the epoch's number: a saved model does not hold their state."""
    states = [v for v in model.variables if v.name == "seed_generator_state"]
    for number, state in enumerate(states):
        state.assign(np.random.default_rng([seed, epoch, number]).integers(2**32, size=2))


class _Batches(keras.utils.PyDataset):
    """Batches of arrays that may be larger than memory; Keras copies an array that it is given."""

    def __init__(self, images: Any, labels: Any, *, batch_size: int) -> None:
        super().__init__()
        self._images, self._labels, self._batch_size = images, labels, batch_size
        self._order = np.arange(len(labels))

    def shuffle(self, seed: int, epoch: int) -> None:
        """Into an order that hangs on the seed and the number of the epoch alone."""
        self._order = np.random.default_rng([seed, epoch]).permutation(len(self._labels))

    def __len__(self) -> int:
        return math.ceil(len(self._labels) / self._batch_size)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        rows = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        return self._images[rows], self._labels[rows]


class _Checkpoint(keras.callbacks.Callback):
    """Writes a checkpoint after each epoch, and stops by the rule."""

    def __init__(
        self,
        folder: Path,
        history: History,
        rule: StoppingRule,
        on_epoch: Callable[[Mapping[str, float]], None],
    ) -> None:
        super().__init__()
        self._folder, self._history, self._rule, self._on_epoch = folder, history, rule, on_epoch

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        row = {name: float(value) for name, value in (logs or {}).items()}
        rate = float(self.model.optimizer.learning_rate)
        self._history.append({"epoch": epoch + 1, **row, "learning_rate": rate})
        self._save()
        self._on_epoch(self._history[-1])
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
    return history, keras.models.load_model(found[-1] / "last.keras")
