import keras
import keras_tuner as kt
import numpy as np
import pytest

from tuning.optimizers import cosine, schedule_of, search_optimizer
from tuning.task import Task

TASK = Task((8, 8, 1), 2, steps=10, epochs=4)


def optimizer(**values: object) -> keras.optimizers.Optimizer:
    hp = kt.HyperParameters()
    hp.values.update(values)
    return search_optimizer(hp, TASK)


@pytest.mark.parametrize(
    ("name", "kind", "rate", "decay"),
    [
        ("adam", keras.optimizers.Adam, 1e-3, None),
        ("adamw", keras.optimizers.AdamW, 1e-3, 0.02),
        ("sgd", keras.optimizers.SGD, 1e-2, 0.002),
    ],
)
def test_each_optimizer_has_its_rate_and_its_decay(
    name: str, kind: type, rate: float, decay: float | None
) -> None:
    made = optimizer(optimizer=name, schedule="constant", learning_rate=1e-3, weight_decay=0.02)
    assert type(made) is kind
    assert float(made.learning_rate) == pytest.approx(rate)
    assert made.weight_decay == (None if decay is None else pytest.approx(decay))


@pytest.mark.parametrize(("schedule", "follows"), [("constant", False), ("cosine", True)])
def test_whether_a_rate_follows_a_schedule_is_told_by_the_hyperparameters(
    schedule: str, follows: bool
) -> None:
    made = optimizer(schedule=schedule)._learning_rate
    assert isinstance(made, keras.optimizers.schedules.LearningRateSchedule) == follows
    assert schedule_of({"schedule": schedule}) == (schedule if follows else None)
    assert schedule_of({"units": 8}) is None


def test_sgd_has_nesterovs_momentum() -> None:
    made = optimizer(optimizer="sgd")
    assert (made.momentum, made.nesterov) == (0.9, True)


def test_the_cosine_goes_over_the_whole_training() -> None:
    rate = optimizer(schedule="cosine", learning_rate=1e-3).get_config()["learning_rate"]
    wanted = keras.saving.serialize_keras_object(cosine(1e-3, TASK.steps * TASK.epochs))
    assert rate["config"] == wanted["config"]


def test_the_cosine_rises_first_then_falls_to_nothing() -> None:
    schedule = cosine(0.1, 100)
    rates = [float(schedule(step)) for step in range(101)]
    assert rates[0] == 0
    assert rates[5] == max(rates) == pytest.approx(0.1)
    assert (np.diff(rates[:6]) > 0).all()
    assert (np.diff(rates[5:]) < 0).all()
    assert rates[100] == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_training_has_a_rate(steps: int) -> None:
    assert all(np.isfinite(float(cosine(0.1, steps)(step))) for step in range(steps + 1))
