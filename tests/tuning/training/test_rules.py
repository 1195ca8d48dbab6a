from typing import Any

import keras
import pytest

from tuning.training.rules import ReduceRateRule, StoppingRule, best_epoch, next_rate, should_stop


def history_of(metric: str, values: list[float]) -> list[dict[str, float]]:
    return [{"epoch": n, "accuracy": 0.5, metric: v} for n, v in enumerate(values, start=1)]


@pytest.mark.parametrize(
    ("monitor", "values", "best"),
    [
        ("val_accuracy", [0.5, 0.9, 0.7], 1),
        ("val_accuracy", [0.5, 0.9, 0.9], 1),
        ("val_loss", [0.5, 0.2, 0.7], 1),
        ("val_loss", [0.5, 0.2, 0.2], 1),
        ("loss", [0.5, 0.4, 0.3], 2),
    ],
)
def test_the_best_epoch_is_the_earliest_of_the_best(
    monitor: str, values: list[float], best: int
) -> None:
    assert best_epoch(history_of(monitor, values), StoppingRule(monitor=monitor)) == best


def test_without_the_monitor_the_last_epoch_is_the_best() -> None:
    assert best_epoch(history_of("loss", [0.1, 0.2]), StoppingRule(monitor="val_loss")) == 1


@pytest.mark.parametrize(
    ("accuracy", "stops"), [(0.998, False), (0.999, False), (0.9991, True), (1.0, True)]
)
def test_it_stops_once_the_train_accuracy_is_passed(accuracy: float, stops: bool) -> None:
    history = [{"accuracy": 1.0}, {"accuracy": accuracy}]
    assert should_stop(history, StoppingRule(at_accuracy=0.999)) == stops


@pytest.mark.parametrize(
    ("monitor", "values", "stops"),
    [
        ("val_accuracy", [0.9, 0.8], False),
        ("val_accuracy", [0.9, 0.8, 0.9], True),
        ("val_accuracy", [0.9, 0.8, 0.95], False),
        ("val_loss", [0.9, 0.8, 0.85, 0.7], False),
        ("val_loss", [0.5, 0.8, 0.9], True),
    ],
)
def test_it_stops_after_so_many_epochs_without_a_better_one(
    monitor: str, values: list[float], stops: bool
) -> None:
    rule = StoppingRule(patience=2, monitor=monitor)
    assert should_stop(history_of(monitor, values), rule) == stops


def test_without_a_rule_or_a_history_it_goes_on() -> None:
    assert not should_stop(history_of("val_accuracy", [0.9, 0.1, 0.1, 0.1]), StoppingRule())
    assert not should_stop([], StoppingRule(at_accuracy=0.0, patience=0))


RULE = ReduceRateRule("val_loss", factor=0.1, patience=2, min_rate=1e-5)


class Trained:
    """What Keras's own callback wants of a model."""

    def __init__(self, rate: float) -> None:
        self.optimizer = keras.optimizers.SGD(rate)


def rates_of_keras(values: list[float], rule: ReduceRateRule, rate: float) -> list[float]:
    callback = keras.callbacks.ReduceLROnPlateau(
        rule.monitor,
        mode="min" if rule.monitor.endswith("loss") else "max",
        factor=rule.factor,
        patience=rule.patience,
        min_lr=rule.min_rate,
    )
    model: Any = Trained(rate)
    callback.set_model(model)
    callback.on_train_begin()
    rates = []
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {rule.monitor: value})
        rates.append(float(model.optimizer.learning_rate))
    return rates


@pytest.mark.parametrize(
    ("monitor", "values"),
    [
        ("val_loss", [1.0, 0.9, 0.8, 0.7]),
        ("val_loss", [1.0, 1.0, 1.0, 0.9, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ("val_loss", [1.0, 0.99995, 0.9999, 0.99985, 0.9997]),
        ("val_loss", [1.0, float("nan"), float("nan"), 0.5, float("nan"), 0.6]),
        ("val_accuracy", [0.5, 0.6, 0.6, 0.55, 0.7, 0.7, 0.7, 0.7]),
    ],
)
@pytest.mark.parametrize("rate", [3.5e-4, 1.5e-5, 1e-6])
def test_the_rate_is_reduced_as_keras_does_it(
    monitor: str, values: list[float], rate: float
) -> None:
    rule = RULE._replace(monitor=monitor)
    history = [
        {"epoch": n, monitor: value, "learning_rate": rate}
        for n, value in enumerate(values, start=1)
    ]
    rates = [next_rate(history[: n + 1], rule) for n in range(len(history))]
    assert rates == pytest.approx(rates_of_keras(values, rule, rate), rel=1e-5)


def test_without_the_monitor_the_rate_stands() -> None:
    history = [{"epoch": n, "loss": 1.0, "learning_rate": 0.1} for n in range(1, 9)]
    assert next_rate(history, RULE) == 0.1
