from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf

from components import tuner
from components.common import progress
from components.common.files import read_json
from components.tuner import NoTrialCompletedError, tune
from tuning.heads import classify, compile_classifier

pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning")

Tune = Callable[..., dict[str, Any]]


def build(hp: Any, image_shape: tuple[int, int, int], classes: int) -> keras.Model:
    units = hp.Choice("units", [2, 4, 8, 16], default=8)
    learning_rate = hp.Float("learning_rate", 1e-4, 1e-1, sampling="log", default=1e-3)
    inputs = keras.Input(image_shape, name="pixels")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    x = keras.layers.Dense(units, activation="relu")(x)
    model = keras.Model(inputs, classify(x, classes))
    return compile_classifier(model, keras.optimizers.Adam(learning_rate))


DEFAULTS = {"units": 8, "learning_rate": 1e-3}


@pytest.fixture(autouse=True)
def _small_and_eager(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """So small a model takes longer to trace than to train."""
    monkeypatch.setattr(tuner, "get_hypermodel", lambda name: build)
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def run(
    tmp_path: Path, write_transformed: Callable[..., Path], bright_or_dark: Callable[..., Any]
) -> Tune:
    """Tunes on pictures of two classes; the shard of the test split is not there at all."""

    def call(splits: tuple[str, ...] = ("train", "validation"), **changed: Any) -> dict[str, Any]:
        examples = tmp_path / "-".join(splits)
        there = {split: bright_or_dark(16) for split in (*splits, "test")}
        write_transformed(examples, there, ["sad", "happy"])
        (examples / "test.tfrecord").unlink()
        arguments = {
            "hypermodel": "tiny",
            "oracle": "random",
            "objective": "val_accuracy",
            "max_trials": 2,
            "epochs": 1,
            "batch_size": 8,
            "seed": 0,
            "work_dir": tmp_path / "work",
        }
        return tune(examples, tmp_path / "best", tmp_path / "results", **(arguments | changed))

    return call


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"max_trials": 0}, "defaults: no search was asked for"),
        ({"splits": ("train",)}, "defaults: there is no validation split to select on"),
    ],
)
def test_without_a_search_the_defaults_are_taken_and_it_says_why(
    run: Tune, tmp_path: Path, changed: dict[str, Any], reason: str
) -> None:
    best = run(**changed)
    assert best == {
        "hypermodel": "tiny",
        "batch_size": 8,
        "values": DEFAULTS,
        "chosen_by": reason,
    }
    assert read_json(tmp_path / "best" / "best_hyperparameters.json") == best
    assert read_json(tmp_path / "results" / "trials.json") == []


@pytest.mark.parametrize(
    ("oracle", "objective", "better"),
    [("random", "val_loss", min), ("hyperband", "val_accuracy", max)],
)
def test_the_best_trial_is_the_best_by_score(
    run: Tune, tmp_path: Path, oracle: str, objective: str, better: Any
) -> None:
    best = run(oracle=oracle, objective=objective, max_trials=3, epochs=2)
    trials = read_json(tmp_path / "results" / "trials.json")
    assert len(trials) >= 2
    assert best["score"] == trials[0]["score"] == better(trial["score"] for trial in trials)
    assert best["trial"] == trials[0]["id"]
    assert best["values"].keys() == DEFAULTS.keys()
    assert best["values"].items() <= trials[0]["values"].items()
    assert best["chosen_by"] == f"best {objective} of {len(trials)} trials, {best['score']:.4f}"
    assert read_json(tmp_path / "best" / "best_hyperparameters.json") == best


@pytest.mark.parametrize("max_trials", [1, 3])
def test_when_every_trial_fails_it_says_so(
    run: Tune, monkeypatch: pytest.MonkeyPatch, max_trials: int
) -> None:
    def fits_not(hp: Any, image_shape: tuple[int, int, int], classes: int) -> keras.Model:
        return build(hp, (image_shape[0] + 1, *image_shape[1:]), classes)

    monkeypatch.setattr(tuner, "get_hypermodel", lambda name: fits_not)
    with pytest.raises(NoTrialCompletedError):
        run(max_trials=max_trials)


def test_each_trial_is_a_child_run_and_tells_its_progress(
    run: Tune, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: dict[str, Mapping[str, Any]] = {}
    logged: list[tuple[set[str], int]] = []

    @contextmanager
    def child_run(name: str, params: Mapping[str, Any]) -> Iterator[None]:
        runs[name] = dict(params)
        yield

    monkeypatch.setattr(tuner.tracking, "child_run", child_run)
    monkeypatch.setattr(
        tuner.tracking, "log_metrics", lambda logs, step: logged.append((set(logs), step))
    )
    heard: list[str] = []
    with progress.listening(heard.append):
        run(epochs=2, oracle="hyperband")
    assert list(runs) == ["trial 1", "trial 2"]
    assert all(values.keys() == DEFAULTS.keys() for values in runs.values())
    assert heard[0].startswith("trial 1/2, epoch 1/2, loss ")
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= logged[0][0]
    assert logged[0][1] == 1
