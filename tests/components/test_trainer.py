from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from components import trainer
from components.common import progress
from components.common.evaluation.calibration import expected_calibration_error
from components.common.files import read_json, write_json
from components.common.records import load_split
from components.trainer import Trained, train
from tfds_builders.catalog import OptionError
from tuning.heads import classify, compile_classifier
from tuning.optimizers import cosine
from tuning.task import Task
from tuning.training import winner
from tuning.training.rules import ReduceRateRule, StoppingRule


def build(hp: Any, task: Task) -> keras.Model:
    inputs = keras.Input(task.image_shape, name="pixels")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    x = keras.layers.Dense(hp.Choice("units", [4, 8]), activation="relu")(x)
    x = keras.layers.Dropout(0.2)(x)
    return compile_classifier(keras.Model(inputs, classify(x, task.classes)), "adam")


@pytest.fixture(autouse=True)
def _hypermodel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winner, "get_hypermodel", lambda name: build)
    monkeypatch.setattr(trainer, "frozen_part", lambda name, values, shape: None)


@pytest.fixture
def run(
    tmp_path: Path, write_transformed: Callable[..., Path], bright_or_dark: Callable[..., Any]
) -> Callable[..., Trained]:
    """Trains on pictures of three classes; the shard of the test split is not there at all."""

    def call(
        model: Path,
        splits: tuple[str, ...] = ("train", "validation"),
        best: dict[str, Any] | None = None,
        **changed: Any,
    ) -> Trained:
        examples = tmp_path / "-".join(splits)
        if not examples.exists():
            there = {split: bright_or_dark(24, 3) for split in (*splits, "test")}
            write_transformed(examples, there, ["sad", "neutral", "happy"])
            (examples / "test.tfrecord").unlink()
        chosen = {"hypermodel": "tiny", "values": {"units": 8}, "batch_size": 8}
        write_json(tmp_path / "best" / "best_hyperparameters.json", chosen | (best or {}))
        arguments = {
            "epochs": 3,
            "rule": StoppingRule(),
            "calibrate": False,
            "seed": 0,
            "work_dir": tmp_path / f"work-{model.name}",
            "features_dir": tmp_path / "features",
        }
        return train(examples, tmp_path / "best", model, **(arguments | changed))

    return call


def weights(model: Path) -> list[Any]:
    return keras.models.load_model(model / "model.keras").get_weights()


def test_the_model_and_all_that_belongs_to_it(run: Callable[..., Any], tmp_path: Path) -> None:
    model = tmp_path / "model"
    history = run(model).history
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert read_json(model / "history.json") == history
    facts = read_json(model / "model.json")
    assert facts["hyperparameters"] == {"units": 8}
    assert facts["parameters"] == 144 * 8 + 8 + 8 * 3 + 3
    best = facts["best_epoch"] - 1
    assert history[best]["val_accuracy"] == max(row["val_accuracy"] for row in history)
    assert (model / "learning_curves.png").stat().st_size > 0
    assert facts["seed"] == 0
    counts = {"sad": 8, "neutral": 8, "happy": 8}
    of_split = {"images": 24, "pictures": 24, "subjects": None, "classes": counts}
    assert facts["data"] == {"train": of_split, "validation": of_split}
    for name in ("recipe.json", "dataset.json"):
        assert (model / name).read_bytes() == (tmp_path / "train-validation" / name).read_bytes()


def test_the_export_answers_as_the_keras_model(run: Callable[..., Any], tmp_path: Path) -> None:
    run(tmp_path / "model")
    pixels = load_split(tmp_path / "train-validation", "validation").images.astype(np.float32)
    wanted = keras.models.load_model(tmp_path / "model" / "model.keras").predict(pixels, verbose=0)
    saved = tf.saved_model.load(str(tmp_path / "model" / "saved_model"))
    answer = saved.signatures["predict_pixels"](pixels=tf.constant(pixels))
    np.testing.assert_allclose(answer["probabilities"], wanted, atol=1e-6)


def test_a_training_that_was_killed_ends_as_one_that_was_not(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = run(tmp_path / "undisturbed").history

    def killed(text: str) -> None:
        if text.startswith("epoch 2"):
            raise KeyboardInterrupt

    with progress.listening(killed), pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed")
    assert run(tmp_path / "killed").history == history
    for wanted, got in zip(
        weights(tmp_path / "undisturbed"), weights(tmp_path / "killed"), strict=True
    ):
        np.testing.assert_array_equal(got, wanted)


def test_without_a_validation_split_the_last_epoch_is_taken(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    history = run(tmp_path / "model", ("train",)).history
    assert "val_accuracy" not in history[0]
    assert read_json(tmp_path / "model" / "model.json")["best_epoch"] == 3


def test_it_stops_by_the_rule(run: Callable[..., Any], tmp_path: Path) -> None:
    history = run(tmp_path / "model", epochs=5, rule=StoppingRule(at_accuracy=0.0)).history
    assert len(history) == 1


def log_loss(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    return float(-np.log(probabilities[np.arange(len(labels)), labels]).mean())


def test_a_calibrated_model_says_the_same_classes_with_better_probabilities(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    run(tmp_path / "plain")
    run(tmp_path / "calibrated", calibrate=True)
    validation = load_split(tmp_path / "train-validation", "validation")
    said = {
        name: keras.models.load_model(tmp_path / name / "model.keras").predict(
            validation.images, verbose=0
        )
        for name in ("plain", "calibrated")
    }
    np.testing.assert_array_equal(said["plain"].argmax(axis=1), said["calibrated"].argmax(axis=1))
    losses = [log_loss(validation.labels, of_model) for of_model in said.values()]
    errors = [expected_calibration_error(validation.labels, said[name]) for name in said]
    assert losses[1] < losses[0]
    assert errors[1] <= errors[0]
    temperature = read_json(tmp_path / "calibrated" / "model.json")["temperature"]
    odds = said["plain"].astype(np.float64) ** (1 / temperature)
    by_hand = odds / odds.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(said["calibrated"], by_hand, rtol=1e-3)
    assert "temperature" not in read_json(tmp_path / "plain" / "model.json")


def test_what_is_served_is_calibrated_too(run: Callable[..., Any], tmp_path: Path) -> None:
    run(tmp_path / "model", calibrate=True)
    pixels = load_split(tmp_path / "train-validation", "validation").images.astype(np.float32)
    wanted = keras.models.load_model(tmp_path / "model" / "model.keras").predict(pixels, verbose=0)
    saved = tf.saved_model.load(str(tmp_path / "model" / "saved_model"))
    answer = saved.signatures["predict_pixels"](pixels=tf.constant(pixels))
    np.testing.assert_allclose(answer["probabilities"], wanted, atol=1e-6)


def test_without_a_validation_split_there_is_nothing_to_calibrate_on(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=r"trainer\.calibrate: there is no validation split"):
        run(tmp_path / "model", ("train",), calibrate=True)
    assert not (tmp_path / "work-model").exists()


def test_the_rate_is_reduced_by_its_rule(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hardly_learning(hp: Any, task: Task) -> keras.Model:
        return compile_classifier(build(hp, task), keras.optimizers.SGD(1e-9))

    monkeypatch.setattr(winner, "get_hypermodel", lambda name: hardly_learning)
    rule = ReduceRateRule("val_loss", factor=0.5, patience=1, min_rate=0.0)
    history = run(tmp_path / "model", reduce_rate=rule).history
    rates = [row["learning_rate"] for row in history]
    assert rates == pytest.approx([1e-9, 1e-9, 5e-10])


def test_a_rate_that_follows_a_schedule_is_not_reduced_and_it_is_said(
    run: Callable[..., Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scheduled(hp: Any, task: Task) -> keras.Model:
        optimizer = keras.optimizers.SGD(cosine(0.01, 9))
        return compile_classifier(build(hp, task), optimizer)

    monkeypatch.setattr(winner, "get_hypermodel", lambda name: scheduled)
    best = {"values": {"units": 8, "schedule": "cosine"}}
    history, warnings = run(tmp_path / "model", best=best, reduce_rate=ReduceRateRule())
    assert len(history) == 3
    assert warnings == [
        "trainer.reduce_rate counts for nothing: the learning rate follows the schedule cosine; "
        "tuner.fixed.schedule=constant leaves it to reduce_rate"
    ]
    assert run(tmp_path / "model", best=best).warnings == []


def test_progress_is_told_every_epoch(run: Callable[..., Any], tmp_path: Path) -> None:
    heard: list[str] = []
    with progress.listening(heard.append):
        run(tmp_path / "model", epochs=2)
    assert [text.split(",")[0] for text in heard] == ["epoch 1/2", "epoch 2/2"]
    assert all("val_accuracy" in text for text in heard)


def test_what_was_trained_on_another_machine_is_exported_and_not_trained_again(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    run(tmp_path / "there", seed=5)
    history = read_json(tmp_path / "there" / "history.json")
    (tmp_path / "there" / "model.keras").rename(tmp_path / "best" / "best.keras")
    write_json(tmp_path / "best" / "best_history.json", history)
    trained = {"trained": {"monitor": "val_loss", "seed": 5}}
    here = tmp_path / "here"
    assert run(here, best=trained, seed=0, epochs=1).history == history
    there = keras.models.load_model(tmp_path / "best" / "best.keras").get_weights()
    for ours, theirs in zip(weights(here), there, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    facts = read_json(here / "model.json")
    losses = [row["val_loss"] for row in history]
    assert (facts["seed"], facts["epochs"]) == (5, 3)
    assert facts["best_epoch"] == losses.index(min(losses)) + 1
    assert (here / "saved_model" / "saved_model.pb").exists()
