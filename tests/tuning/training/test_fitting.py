from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tuning.heads import classify, compile_classifier
from tuning.optimizers import cosine
from tuning.training import fitting
from tuning.training.batches import Batches
from tuning.training.fitting import fit
from tuning.training.rules import ReduceRateRule, StoppingRule

pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning")

Fit = Callable[..., tuple[Any, list[dict[str, float]]]]

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 6, 6, 1), dtype=np.uint8)
LABELS = np.arange(40) % 3


def build(learning_rate: Any = 0.01) -> keras.Model:
    """All that makes a resume hard: an optimizer with state, BatchNormalization, random layers."""
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.Rescaling(1 / 255)(keras.layers.RandomFlip("horizontal")(inputs))
    x = keras.layers.Flatten()(x)
    x = keras.layers.BatchNormalization()(keras.layers.Dense(8)(x))
    x = keras.layers.Dropout(0.3)(keras.layers.ReLU()(x))
    return compile_classifier(
        keras.Model(inputs, classify(x, 3)), keras.optimizers.Adam(learning_rate)
    )


@pytest.fixture
def run(tmp_path: Path) -> Fit:
    def call(name: str, **changed: Any) -> tuple[Any, list[dict[str, float]]]:
        arguments = {
            "classes": 3,
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


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"mixup": 0.4},
        {"build": lambda: build(cosine(0.01, 9))},
        {"reduce_rate": ReduceRateRule("val_accuracy", patience=1)},
    ],
    ids=["plain", "mixup", "schedule", "reduced"],
)
def test_a_training_that_was_killed_takes_the_same_steps(run: Fit, changed: dict[str, Any]) -> None:
    changed = {"epochs": 3, **changed}
    wanted, history = run("undisturbed", **changed)
    with pytest.raises(KilledError):
        run("killed", on_epoch=killed_after(2), **changed)
    keras.utils.set_random_seed(99)  # Another process has another state.
    got, resumed = run("killed", **changed)
    assert resumed == history
    for one, other in zip(got.get_weights(), wanted.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_rate_is_reduced_while_the_monitor_stands_still(run: Fit) -> None:
    def hardly_learning() -> keras.Model:
        inputs = keras.Input((6, 6, 1))
        x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
        outputs = classify(x, 3)
        return compile_classifier(keras.Model(inputs, outputs), keras.optimizers.SGD(1e-9))

    rule = ReduceRateRule("val_loss", factor=0.5, patience=1, min_rate=3e-10)
    _, history = run("a", build=hardly_learning, epochs=4, reduce_rate=rule)
    rates = [row["learning_rate"] for row in history]
    assert rates == pytest.approx([1e-9, 1e-9, 5e-10, 3e-10])


def test_a_rate_that_follows_a_schedule_is_not_reduced_as_well(run: Fit) -> None:
    with pytest.raises(ValueError, match="a schedule already: leave trainer"):
        run("a", build=lambda: build(cosine(0.01, 12)), reduce_rate=ReduceRateRule())


def test_times_are_told_and_not_kept(run: Fit) -> None:
    told: list[Mapping[str, float]] = []
    _, history = run("a", epochs=1, on_epoch=told.append)
    assert told[0].keys() - history[0].keys() == {"seconds", "images_per_second"}
    assert len(PIXELS) / told[0]["images_per_second"] <= told[0]["seconds"]
    assert told[0].items() >= history[0].items()


def test_the_random_state_of_the_process_decides_nothing(run: Fit) -> None:
    _, history = run("one")
    keras.utils.set_random_seed(99)
    assert run("other")[1] == history
    assert run("another seed", seed=1)[1] != history


def test_the_model_of_the_best_epoch_is_returned(run: Fit) -> None:
    model, history = run("a", rule=StoppingRule(monitor="val_loss"), epochs=6)
    best = min(row["val_loss"] for row in history)
    again = model.evaluate(
        Batches(PIXELS[:10], LABELS[:10], 3, batch_size=10), verbose=0, return_dict=True
    )
    assert again["loss"] == pytest.approx(best)


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


def test_a_model_that_is_loaded_is_compiled_for_the_device_as_a_new_one_is(
    run: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[Any] = []

    def compile_for_device(model: Any) -> Any:
        compiled.append(model)
        return model

    monkeypatch.setattr(fitting, "compile_for_device", compile_for_device)
    run("a", epochs=1)
    assert compiled == []
    run("a", epochs=2)
    assert len(compiled) == 1


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
