import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import numpy as np
import pytest
import tensorflow as tf

from tuning.heads import classify, compile_classifier
from tuning.search import Trial, default_values, search

pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning")

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 4, 4, 1), dtype=np.uint8)
LABELS = np.arange(24) % 2
DATA = (PIXELS, LABELS)

Search = Callable[..., list[Trial]]


@pytest.fixture(autouse=True)
def _eager() -> Iterator[None]:
    """So small a model takes longer to trace than to train."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def build(hp: Any) -> keras.Model:
    units = hp.Choice("units", [2, 4, 8, 16, 32], default=4)
    learning_rate = hp.Float("learning_rate", 1e-4, 1e-1, sampling="log", default=1e-3)
    inputs = keras.Input((4, 4, 1))
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    x = keras.layers.Dropout(0.1)(keras.layers.Dense(units, activation="relu")(x))
    model = keras.Model(inputs, classify(x, 2))
    return compile_classifier(model, keras.optimizers.Adam(learning_rate))


class KilledError(BaseException):
    pass


class Observed:
    """Takes note of the trials that are started, and kills the process at one of them."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.trials: list[str] = []
        self.values: list[dict[str, Any]] = []
        self._kill_at = kill_at

    @contextmanager
    def __call__(self, trial: str, values: Mapping[str, Any]) -> Iterator[list[Any]]:
        if len(self.trials) == self._kill_at:
            raise KilledError
        self.trials.append(trial)
        self.values.append(dict(values))
        yield []


@pytest.fixture
def run(tmp_path: Path) -> Search:
    def call(name: str = "a", **changed: Any) -> list[Trial]:
        arguments = {
            "oracle": "random",
            "objective": "val_loss",
            "max_trials": 3,
            "epochs": 1,
            "batch_size": 12,
            "seed": 0,
            "directory": tmp_path / name,
            "observe": Observed(),
        }
        build_model = changed.pop("build", build)
        return search(build_model, DATA, DATA, **(arguments | changed))

    return call


def test_the_defaults_are_of_every_hyperparameter() -> None:
    assert default_values(build) == {"units": 4, "learning_rate": 1e-3}


@pytest.mark.parametrize(
    ("oracle", "objective", "better", "count"),
    # Of two epochs, Hyperband makes one bracket of two trials.
    [("random", "val_loss", min, 3), ("hyperband", "val_accuracy", max, 2)],
)
def test_the_best_trial_comes_first(
    run: Search, oracle: str, objective: str, better: Callable[..., float], count: int
) -> None:
    observed = Observed()
    trials = run(oracle=oracle, objective=objective, observe=observed, epochs=2)
    scores = [trial.score for trial in trials]
    assert len(trials) == count
    assert scores == sorted(scores, reverse=better is max)  # type: ignore[type-var]
    assert {trial.status for trial in trials} == {"COMPLETED"}
    assert sorted(trial.id for trial in trials) == sorted(observed.trials)
    by_id = {trial.id: trial.values for trial in trials}
    for trial_id, values in zip(observed.trials, observed.values, strict=True):
        assert values.keys() == {"units", "learning_rate"}
        assert values.items() <= by_id[trial_id].items()


def test_the_same_seed_searches_the_same(run: Search) -> None:
    first = run("first", max_trials=2)
    keras.utils.set_random_seed(99)
    assert run("second", max_trials=2) == first
    other = run("third", max_trials=2, seed=1)
    assert [trial.values for trial in other] != [trial.values for trial in first]


@pytest.mark.parametrize("oracle", ["random", "hyperband"])
def test_a_search_that_was_killed_goes_on_where_it_stopped(run: Search, oracle: str) -> None:
    undisturbed = Observed()
    wanted = run("undisturbed", oracle=oracle, epochs=2, observe=undisturbed)
    before, after = Observed(kill_at=1), Observed()
    with pytest.raises(KilledError):
        run("killed", oracle=oracle, epochs=2, observe=before)
    assert run("killed", oracle=oracle, epochs=2, observe=after) == wanted
    assert before.trials + after.trials == undisturbed.trials


def test_more_trials_go_on_from_those_that_are_there(run: Search) -> None:
    first, more = Observed(), Observed()
    before = run(max_trials=1, observe=first)
    after = run(max_trials=2, observe=more)
    assert (len(first.trials), len(more.trials)) == (1, 1)
    assert before[0] in after


@pytest.mark.parametrize("damaged", ["oracle.json", "tuner0.json", "trial_*/trial.json"])
def test_damaged_state_is_reported_and_the_search_starts_anew(
    run: Search, tmp_path: Path, caplog: pytest.LogCaptureFixture, damaged: str
) -> None:
    wanted = run(max_trials=2)
    file = next((tmp_path / "a").glob(damaged))
    content = file.read_text()
    file.write_text(content[: len(content) // 2])
    observed = Observed()
    with caplog.at_level(logging.WARNING):
        assert run(max_trials=2, observe=observed) == wanted
    assert len(observed.trials) == 2
    assert "cannot be resumed" in caplog.text


def failing(hp: Any) -> keras.Model:
    raise ValueError("these units do not fit")


def diverging(hp: Any) -> keras.Model:
    model = build(hp)
    nothing = keras.layers.Rescaling(float("nan"))(model.output)
    return compile_classifier(keras.Model(model.input, nothing), "sgd")


@pytest.mark.parametrize("bad_build", [failing, diverging])
def test_a_trial_that_fails_comes_last_and_the_search_goes_on(
    run: Search, bad_build: Callable[[Any], Any]
) -> None:
    observed = Observed()

    def bad_at_first(hp: Any) -> keras.Model:
        return bad_build(hp) if len(observed.trials) == 1 else build(hp)

    trials = run(build=bad_at_first, observe=observed)
    assert len(observed.trials) == len(trials) == 3
    assert trials[-1].id == observed.trials[0]
    assert trials[-1].status != "COMPLETED"
    assert [trial.status for trial in trials[:2]] == ["COMPLETED"] * 2
    assert all(trial.score is not None and math.isfinite(trial.score) for trial in trials[:2])


def test_failures_in_a_row_do_not_cost_the_trials_before(run: Search) -> None:
    observed = Observed()

    def failing_later(hp: Any) -> keras.Model:
        if len(observed.trials) > 1:
            raise ValueError("out of memory")
        return build(hp)

    trials = run(build=failing_later, observe=observed, max_trials=4)
    assert [trial.status for trial in trials] == ["COMPLETED"] + ["FAILED"] * 3
    assert trials[0].id == observed.trials[0]


def test_a_full_disk_ends_the_search_and_the_next_one_tries_again(run: Search) -> None:
    observed = Observed()

    def on_a_full_disk(hp: Any) -> keras.Model:
        if len(observed.trials) > 1:
            raise OSError(28, "No space left on device")
        return build(hp)

    with pytest.raises(kt.errors.FatalError, match="No space left"):
        run(build=on_a_full_disk, observe=observed)
    trials = run()
    assert [trial.status for trial in trials] == ["COMPLETED"] * 3
