from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tuning.fitting import StoppingRule, best_epoch, fit, should_stop
from tuning.heads import classify, compile_classifier

pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning")

Fit = Callable[..., tuple[Any, list[dict[str, float]]]]

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 6, 6, 1), dtype=np.uint8)
LABELS = np.arange(40) % 3


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


def build() -> keras.Model:
    """All that makes a resume hard: an optimizer with state, BatchNormalization, dropout."""
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    x = keras.layers.BatchNormalization()(keras.layers.Dense(8)(x))
    x = keras.layers.Dropout(0.3)(keras.layers.ReLU()(x))
    return compile_classifier(keras.Model(inputs, classify(x, 3)), keras.optimizers.Adam(0.01))


@pytest.fixture
def run(tmp_path: Path) -> Fit:
    def call(name: str, **changed: Any) -> tuple[Any, list[dict[str, float]]]:
        arguments = {
            "epochs": 4,
            "batch_size": 16,
            "seed": 0,
            "rule": StoppingRule(),
            "checkpoints": tmp_path / name,
            "on_epoch": lambda row: None,
        }
        validation = (PIXELS[:10], LABELS[:10])
        validation = changed.pop("validation", validation)
        build_model = changed.pop("build", build)
        return fit(build_model, (PIXELS, LABELS), validation, **(arguments | changed))

    return call


@pytest.fixture(autouse=True)
def _eager() -> Iterator[None]:
    """So small a model takes longer to trace than to train."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


class KilledError(BaseException):
    pass


def killed_after(epoch: int) -> Callable[[Mapping[str, float]], None]:
    def on_epoch(row: Mapping[str, float]) -> None:
        if row["epoch"] == epoch:
            raise KilledError

    return on_epoch


def test_a_training_that_was_killed_takes_the_same_steps(run: Fit) -> None:
    wanted, history = run("undisturbed")
    with pytest.raises(KilledError):
        run("killed", on_epoch=killed_after(2))
    keras.utils.set_random_seed(99)  # Another process has another state.
    got, resumed = run("killed")
    assert resumed == history
    for one, other in zip(got.get_weights(), wanted.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_random_state_of_the_process_decides_nothing(run: Fit) -> None:
    _, history = run("one")
    keras.utils.set_random_seed(99)
    assert run("other")[1] == history
    assert run("another seed", seed=1)[1] != history


def test_the_model_of_the_best_epoch_is_returned(run: Fit) -> None:
    model, history = run("a", rule=StoppingRule(monitor="val_loss"), epochs=6)
    best = min(row["val_loss"] for row in history)
    assert model.evaluate(PIXELS[:10], LABELS[:10], verbose=0) == pytest.approx(
        [best, max(r["val_accuracy"] for r in history if r["val_loss"] == best)]
    )


def test_every_epoch_is_told_once_also_over_a_resume(run: Fit) -> None:
    told: list[float] = []
    with pytest.raises(KilledError):
        run("a", on_epoch=killed_after(2))
    _, history = run("a", on_epoch=lambda row: told.append(row["epoch"]))
    assert told == [3, 4]
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"} <= history[0].keys()


def test_what_is_finished_is_not_trained_again_but_may_go_on(run: Fit) -> None:
    def built_again() -> keras.Model:
        raise AssertionError("the checkpoint was not taken")

    first, history = run("a", epochs=2)
    told: list[float] = []
    again, same = run("a", epochs=2, build=built_again, on_epoch=lambda r: told.append(r["epoch"]))
    assert same == history
    assert told == []
    for one, other in zip(again.get_weights(), first.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    _, longer = run("a", epochs=3, build=built_again)
    assert longer[:2] == history
    assert len(longer) == 3


def test_a_stop_by_the_rule_is_final(run: Fit) -> None:
    rule = StoppingRule(at_accuracy=0.0)
    assert len(run("a", rule=rule)[1]) == 1
    assert len(run("a", rule=rule)[1]) == 1


def test_without_validation_the_last_epoch_is_returned(run: Fit) -> None:
    _, history = run("a", epochs=2, validation=None)
    assert len(history) == 2
    assert "val_loss" not in history[0]


def test_a_checkpoint_that_was_half_written_is_harmless(run: Fit, tmp_path: Path) -> None:
    _, history = run("whole", epochs=2)
    part = tmp_path / "a" / "part"
    part.mkdir(parents=True)
    (part / "last.keras").write_bytes(b"half a model")
    assert run("a", epochs=2)[1] == history
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["epoch-00002"]
