import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf

import tuning.sweep.search
from components import tuner
from components.common import progress
from components.common.features import originals_of
from components.common.files import read_json, write_json
from components.common.records import load_split
from components.tuner import NoTrialCompletedError, take_over, tune
from tfds_builders.catalog import OptionError
from tuning.heads import classify, compile_classifier
from tuning.sweep.job import Job, digest_of, job_to_json, load_job
from tuning.sweep.results import pack_results
from tuning.sweep.trials import Trial, write_trial
from tuning.task import Task

pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning")

Tune = Callable[..., dict[str, Any]]


def build(hp: Any, task: Task) -> keras.Model:
    units = hp.Choice("units", [2, 4, 8, 16], default=8)
    learning_rate = hp.Float("learning_rate", 1e-4, 1e-1, sampling="log", default=1e-3)
    inputs = keras.Input(task.image_shape, name="pixels")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    x = keras.layers.Dense(units, activation="relu")(x)
    model = keras.Model(inputs, classify(x, task.classes))
    return compile_classifier(model, keras.optimizers.Adam(learning_rate))


DEFAULTS = {"units": 8, "learning_rate": 1e-3}


def use(monkeypatch: pytest.MonkeyPatch, build: Callable[..., Any]) -> None:
    for module in (tuner, tuning.sweep.search):
        monkeypatch.setattr(module, "get_hypermodel", lambda name: build)


@pytest.fixture(autouse=True)
def _small_and_eager(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """So small a model takes longer to trace than to train."""
    use(monkeypatch, build)
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
        if not examples.exists():
            there = {split: bright_or_dark(16) for split in (*splits, "test")}
            write_transformed(examples, there, ["sad", "happy"])
            (examples / "test.tfrecord").unlink()
        arguments = {
            "hypermodel": "emoji_cnn",
            "oracle": "random",
            "objective": "val_accuracy",
            "max_trials": 2,
            "epochs": 1,
            "batch_size": 8,
            "precision": "auto",
            "seed": 0,
            "features_dir": tmp_path / "features",
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
        "hypermodel": "emoji_cnn",
        "precision": "float32",
        "batch_size": 8,
        "values": DEFAULTS,
        "chosen_by": reason,
    }
    assert read_json(tmp_path / "best" / "best_hyperparameters.json") == best
    assert read_json(tmp_path / "results" / "trials.json") == []


@pytest.mark.parametrize(
    ("oracle", "objective", "better"),
    [("random", "val_loss", min), ("hyperband", "val_macro_f1", max)],
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
def test_when_every_trial_fails_it_says_why(
    run: Tune, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, max_trials: int
) -> None:
    def fits_not(hp: Any, task: Task) -> keras.Model:
        height, *rest = task.image_shape
        return build(hp, task._replace(image_shape=(height + 1, *rest)))

    use(monkeypatch, fits_not)
    with pytest.raises(NoTrialCompletedError, match=f"none of {max_trials} trials.*: ValueError: "):
        run(max_trials=max_trials)
    use(monkeypatch, build)
    assert run(max_trials=max_trials)["score"] > 0  # Failures are not resumed.


@pytest.mark.parametrize(
    ("fixed", "said"),
    [
        ({"units": 5}, r"tuner\.fixed\.units: 5 is not possible: one of 2, 4, 8, 16"),
        ({"unit": 4}, r"tuner\.fixed\.unit: no such hyperparameter; there are units, learning"),
    ],
)
def test_what_cannot_be_fixed_is_told_before_anything_is_trained(
    run: Tune, tmp_path: Path, fixed: dict[str, Any], said: str
) -> None:
    with pytest.raises(OptionError, match=said):
        run(fixed=fixed)
    assert not (tmp_path / "work").exists()


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[list[Trial]]:
    """The states that each start of the Tuner logs."""
    starts: list[list[Trial]] = []

    def trial_runs() -> Callable[[Trial], None]:
        starts.append([])
        return starts[-1].append

    monkeypatch.setattr(tuner, "trial_runs", trial_runs)
    return starts


def test_each_trial_is_logged_and_tells_its_progress(run: Tune, logged: list[list[Trial]]) -> None:
    heard: list[str] = []
    with progress.listening(heard.append):
        run(epochs=2)
    (states,) = logged
    assert {trial.id for trial in states} == {"1", "2"}
    assert [trial.id for trial in states if trial.status == "COMPLETED"] == ["1", "2"]
    assert len(heard) == 4
    assert heard[0].startswith("trial 1/2, epoch 1/2, loss ")
    assert "best" not in heard[0]
    assert re.fullmatch(r"trial 2/2, epoch 2/2, .*, best val_accuracy so far \d\.\d{3}", heard[3])


class KilledError(BaseException):
    pass


def test_trials_that_ended_before_a_kill_are_logged_in_the_next_run_once(
    run: Tune, logged: list[list[Trial]]
) -> None:
    def kill(text: str) -> None:
        if text.startswith("trial 2"):
            raise KilledError

    with pytest.raises(KilledError), progress.listening(kill):
        run(max_trials=3)
    assert run(max_trials=3)["chosen_by"].startswith("best val_accuracy of 3 trials")
    ended = [trial.id for trial in logged[1] if trial.status == "COMPLETED"]
    assert ended == ["1", "2", "3"]
    assert [trial.id for trial in logged[1]].count("1") == 1


def test_with_workers_the_same_job_is_searched_in_a_folder(
    run: Tune, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[tuple[Path, int]] = []

    def search_with_workers(folder: Path, workers: int, on_change: Any) -> list[Trial]:
        asked.append((folder, workers))
        job, train, validation = load_job(folder)
        assert (job.max_trials, job.minutes, len(train.labels)) == (2, 0.5, 16)
        assert validation.images.shape == (16, 12, 12, 1)
        return [Trial("1", "COMPLETED", 0.75, {"units": 2}, [], batch_size=8)]

    monkeypatch.setattr(tuner, "search_with_workers", search_with_workers)
    best = run(workers=3, minutes=0.5)
    assert asked == [(tmp_path / "work" / "search", 3)]
    assert (best["score"], best["values"], best["batch_size"]) == (0.75, {"units": 2}, 8)


def test_minutes_alone_are_a_budget(run: Tune, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning.sweep.search, "running_seconds", lambda trials: 20.0 * len(trials))
    heard: list[str] = []
    with progress.listening(heard.append):
        best = run(max_trials=None, minutes=1.5)
    assert best["chosen_by"].startswith("best val_accuracy of 5 trials")
    assert heard[-1].startswith("trial 5, epoch 1/1, ")


def test_the_batch_size_that_was_found_is_that_of_the_training(run: Tune) -> None:
    assert run(batch_size="auto", max_trials=1)["batch_size"] == 32


TakeOver = Callable[..., dict[str, Any]]
WINNER = {"hypermodel": "tiny", "batch_size": 8, "values": DEFAULTS, "trial": "2"}


@pytest.fixture
def searched_elsewhere(
    tmp_path: Path, write_transformed: Callable[..., Path], bright_or_dark: Callable[..., Any]
) -> TakeOver:
    """Takes over a search on a split's pictures, but for what is changed in its job."""

    def call(
        files: Sequence[str] = ("best.keras", "best_history.json"),
        splits: tuple[str, ...] = ("train", "validation"),
        winner: Mapping[str, Any] = WINNER,
        **changed: Any,
    ) -> dict[str, Any]:
        examples, folder = tmp_path / "examples", tmp_path / "away"
        there = {split: bright_or_dark(16) for split in splits}
        write_transformed(examples, there, ["sad", "happy"])
        arrays = [originals_of(load_split(examples, name)) for name in (splits * 2)[:2]]
        image_shape = arrays[0].images.shape[1:]
        job = Job("tiny", image_shape, 2, "random", "val_loss", 2, None, 1, None, 8, "auto", 7)
        job = job._replace(**({"digest": digest_of(*arrays)} | changed))
        for number, score in (("1", 0.7), ("2", 0.5)):
            write_trial(folder / "trials", Trial(number, "COMPLETED", score, DEFAULTS, []))
        (folder / "job.json").write_text(job_to_json(job))
        write_json(folder / "best_hyperparameters.json", winner)
        for name in files:
            (folder / name).write_text("[]")
        return take_over(
            examples,
            tmp_path / "best",
            tmp_path / "results",
            results=pack_results(folder, folder),
            hypermodel="tiny",
            objective="val_loss",
            work_dir=tmp_path / "work",
        )

    return call


def test_a_search_on_another_machine_is_taken_over_with_its_model_and_its_trials(
    searched_elsewhere: TakeOver, tmp_path: Path, logged: list[list[Trial]]
) -> None:
    best = searched_elsewhere()
    assert best == WINNER | {"trained": {"monitor": "val_loss", "seed": 7}}
    assert read_json(tmp_path / "best" / "best_hyperparameters.json") == best
    assert (tmp_path / "best" / "best.keras").read_text() == "[]"
    trials = read_json(tmp_path / "results" / "trials.json")
    assert [trial["id"] for trial in trials] == ["2", "1"]
    assert [trial.id for trial in logged[0]] == ["2", "1"]
    assert (tmp_path / "results" / "objective.png").exists()


def test_a_winner_that_was_trained_there_with_another_seed_says_so(
    searched_elsewhere: TakeOver,
) -> None:
    trained = {"trained": {"monitor": "val_loss", "seed": 3}}
    assert searched_elsewhere(winner=WINNER | trained) == WINNER | trained


@pytest.mark.parametrize("files", [(), ("best.keras",)])  # Killed before it was whole.
def test_a_winner_that_was_not_trained_there_is_left_to_the_trainer(
    searched_elsewhere: TakeOver, tmp_path: Path, files: tuple[str, ...]
) -> None:
    assert searched_elsewhere(files=files) == WINNER
    assert [path.name for path in (tmp_path / "best").iterdir()] == ["best_hyperparameters.json"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"digest": "0" * 64}, "the search was on other pictures"),
        ({"digest": ""}, "the search was on other pictures"),
        ({"hypermodel": "emoji_cnn"}, "tuner.hypermodel=emoji_cnn"),
        ({"objective": "val_accuracy"}, "tuner.objective=val_accuracy"),
        ({"splits": ("train",)}, "there is no validation split"),
    ],
)
def test_another_search_is_not_taken_over(
    searched_elsewhere: TakeOver, tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(OptionError, match=said):
        searched_elsewhere(**changed)
    assert not (tmp_path / "best").exists()
