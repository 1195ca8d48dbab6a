"""What the history of a training decides: the best epoch, whether to stop, the next rate."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

History = list[dict[str, float]]
"""One row an epoch: `epoch` (from 1), the metrics, `learning_rate`."""

_LEAST_IMPROVEMENT = 1e-4


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


class ReduceRateRule(NamedTuple):
    """When the learning rate is reduced: as Keras's ReduceLROnPlateau does.

    Attributes:
        monitor: the metric that stands still.
        factor: what the rate is multiplied by.
        patience: after that many epochs in which `monitor` is not better by 1e-4.
        min_rate: the rate is not reduced below it.
    """

    monitor: str = "val_loss"
    factor: float = 0.1
    patience: int = 2
    min_rate: float = 1e-5


def direction(metric: str) -> Literal["min", "max"]:
    """Which way a metric gets better: a loss is minimized, all others are maximized."""
    return "min" if metric.endswith("loss") else "max"


def best_epoch(history: Sequence[Mapping[str, float]], rule: StoppingRule) -> int:
    """The index of the best epoch; the earliest of equals."""
    if rule.monitor not in history[-1]:
        return len(history) - 1
    values = _to_minimize(history, rule.monitor)
    return min(range(len(values)), key=values.__getitem__)


def should_stop(history: Sequence[Mapping[str, float]], rule: StoppingRule) -> bool:
    """Whether training ends after the last epoch of the history."""
    if not history:
        return False
    if rule.at_accuracy is not None and history[-1]["accuracy"] > rule.at_accuracy:
        return True
    stale = len(history) - 1 - best_epoch(history, rule)
    return rule.patience is not None and stale >= rule.patience


def next_rate(history: Sequence[Mapping[str, float]], rule: ReduceRateRule) -> float:
    """The learning rate of the epoch after a history, which has one epoch or more."""
    rate = history[0]["learning_rate"]
    if rule.monitor not in history[-1]:
        return rate
    best, waited = math.inf, 0
    for value in _to_minimize(history, rule.monitor):
        waited += 1
        if value < best - _LEAST_IMPROVEMENT:
            best, waited = value, 0
        elif waited >= rule.patience:
            rate, waited = min(rate, max(rate * rule.factor, rule.min_rate)), 0
    return rate


def _to_minimize(history: Sequence[Mapping[str, float]], monitor: str) -> list[float]:
    """A metric's values, the better the smaller; not a number is the worst."""
    sign = 1 if direction(monitor) == "min" else -1
    return [math.inf if math.isnan(row[monitor]) else sign * row[monitor] for row in history]
