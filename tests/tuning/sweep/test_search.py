import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import numpy as np
import pytest
import tensorflow as tf

from tests.tuning import jobs
from tuning.heads import classify, compile_classifier
from tuning.space import default_values
from tuning.sweep import search as searching
from tuning.sweep.chief import become_chief
from tuning.sweep.running import KILLS, run_trial
from tuning.sweep.search import search
from tuning.sweep.trials import Trial, read_trials, running_seconds, write_trial
from tuning.sweep.workers import DEATHS
from tuning.task import Task
from tuning.training.batches import Arrays

pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning")

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 4, 4, 1), dtype=np.uint8)
DATA = Arrays(PIXELS, np.arange(24) % 2)

JOB = jobs.JOB._replace(hypermodel="tiny", image_shape=(4, 4, 1), max_trials=3, batch_size=12)

Search = Callable[..., list[Trial]]


@pytest.fixture(autouse=True)
def _eager() -> Iterator[None]:
    """So small a model takes longer to trace than to train."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def build(hp: Any, task: Task) -> keras.Model:
    units = hp.Choice("units", [2, 4, 8, 16, 32], default=4)
    learning_rate = hp.Float("learning_rate", 1e-4, 1e-1, sampling="log", default=1e-3)
    inputs = keras.Input(task.image_shape)
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    x = keras.layers.Dropout(0.1)(keras.layers.Dense(units, activation="relu")(x))
    model = keras.Model(inputs, classify(x, task.classes))
    return compile_classifier(model, keras.optimizers.Adam(learning_rate))


class KilledError(BaseException):
    pass


class Told:
    """Takes note of what is told, and kills the process at a state of a trial."""

    def __init__(self, kill_at: tuple[str, int] | None = None) -> None:
        self.states: list[Trial] = []
        self._kill_at = kill_at

    def __call__(self, trial: Trial) -> None:
        self.states.append(trial)
        if (trial.id, len(trial.epochs)) == self._kill_at and trial.status == "RUNNING":
            raise KilledError

    @property
    def started(self) -> list[str]:
        """The trials, in the order in which they were first told."""
        return list(dict.fromkeys(trial.id for trial in self.states))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Search:
    def call(
        name: str = "a",
        build: Callable[..., Any] = build,
        told: Callable[[Trial], None] = lambda trial: None,
        **changed: Any,
    ) -> list[Trial]:
        monkeypatch.setattr(searching, "get_hypermodel", lambda name: build)
        return search(JOB._replace(**changed), DATA, DATA, tmp_path / name, told)

    return call


def outcomes(trials: list[Trial]) -> list[tuple[Any, ...]]:
    """What of the trials does not hang on the clock."""
    return [(trial.id, trial.status, trial.score, trial.values) for trial in trials]


def test_the_defaults_are_of_every_hyperparameter() -> None:
    task = Task((4, 4, 1), 2, 2, 1)
    assert default_values(lambda hp: build(hp, task)) == {"units": 4, "learning_rate": 1e-3}


@pytest.mark.parametrize(
    ("oracle", "objective", "better"),
    [
        ("random", "val_loss", min),
        ("bayesian", "val_accuracy", max),
        ("hyperband", "val_macro_f1", max),
        ("grid", "val_accuracy", max),
    ],
)
def test_the_best_trial_comes_first(
    run: Search, oracle: str, objective: str, better: Callable[..., float]
) -> None:
    trials = run(oracle=oracle, objective=objective, epochs=3, max_trials=4)
    scores = [trial.score for trial in trials]
    assert len(trials) == 4
    assert scores == sorted(scores, reverse=better is max)  # type: ignore[type-var]
    for trial in trials:
        assert trial.score == better(row[objective] for row in trial.epochs)
        assert {"units", "learning_rate"} <= trial.values.keys()


def test_a_trial_is_told_when_it_starts_after_each_epoch_and_at_its_end(run: Search) -> None:
    told = Told()
    trials = run(told=told, max_trials=1, epochs=2)
    stages = [(trial.status, len(trial.epochs)) for trial in told.states]
    assert list(dict.fromkeys(stages)) == [
        ("RUNNING", 0),
        ("RUNNING", 1),
        ("RUNNING", 2),
        ("COMPLETED", 2),
    ]
    assert outcomes(told.states[-1:]) == outcomes(trials)


def test_what_the_record_of_a_trial_holds(run: Search, tmp_path: Path) -> None:
    before = time.time()
    run(max_trials=1, epochs=2)
    (trial,) = read_trials(tmp_path / "a" / "trials")
    units = trial.values["units"]
    assert trial.parameters == 16 * units + units + units + 1
    assert trial.batch_size == 12
    assert [row["epoch"] for row in trial.epochs] == [1, 2]
    metrics = {"loss", "accuracy", "val_loss", "val_accuracy", "val_macro_f1"}
    assert metrics | {"learning_rate", "seconds", "images_per_second"} <= trial.epochs[0].keys()
    assert trial.epochs[0]["learning_rate"] == pytest.approx(trial.values["learning_rate"])
    for row in trial.epochs:
        assert row["images_per_second"] >= 24 / row["seconds"]
    ((began, ended),) = trial.attempts
    assert before <= began < ended <= time.time()


def test_the_same_seed_searches_the_same(run: Search) -> None:
    first = run("first", max_trials=2)
    keras.utils.set_random_seed(99)
    assert outcomes(run("second", max_trials=2)) == outcomes(first)
    other = run("third", max_trials=2, seed=1)
    assert [trial.values for trial in other] != [trial.values for trial in first]


@pytest.mark.parametrize(
    ("oracle", "kill_at"), [("random", ("1", 0)), ("random", ("2", 2)), ("hyperband", ("4", 1))]
)
def test_a_search_that_was_killed_goes_on_where_it_stopped(
    run: Search, oracle: str, kill_at: tuple[str, int]
) -> None:
    asked = {"oracle": oracle, "epochs": 3, "max_trials": 2 if oracle == "random" else 4}
    wanted = run("undisturbed", **asked)
    with pytest.raises(KilledError):
        run("killed", told=Told(kill_at), **asked)
    told = Told()
    got = run("killed", told=told, **asked)
    assert outcomes(got) == outcomes(wanted)
    assert told.started == [str(n) for n in range(int(kill_at[0]), len(wanted) + 1)]
    again = next(trial for trial in got if trial.id == kill_at[0])
    assert len(again.attempts) == 2


def test_more_trials_go_on_from_those_that_are_there(run: Search) -> None:
    first, more = Told(), Told()
    before = run(max_trials=1, told=first)
    after = run(max_trials=2, told=more)
    assert (first.started, more.started) == (["1"], ["2"])
    assert before[0] in after


@pytest.mark.parametrize("damage", ["truncate", "delete"])
def test_each_file_of_a_search_may_be_damaged(
    run: Search, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    asked = {"oracle": "hyperband", "epochs": 3, "max_trials": 4}
    run(**asked)
    files = [path for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert len(files) == 8  # Four trials, three checkpoints, who the chief is.
    for path in files:
        stood = {t.id: t for t in read_trials(path.parent) if t.id != path.stem}
        if damage == "truncate":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        else:
            path.unlink()
        trials = {trial.id: trial for trial in run(**asked)}
        assert sorted(trials) == ["1", "2", "3", "4"]
        assert stood.items() <= trials.items()
        assert all(trial.status == "COMPLETED" for trial in trials.values())
        if damage == "truncate" and path.suffix == ".json":
            assert f"{path} is damaged: trial {path.stem} is run again" in caplog.text


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"PK")])
def test_without_the_checkpoint_that_it_goes_on_from_a_model_starts_anew(
    run: Search, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    asked = {"oracle": "hyperband", "epochs": 3}
    with pytest.raises(KilledError):
        run(told=Told(("4", 0)), max_trials=4, **asked)
    for path in (tmp_path / "a" / "checkpoints").iterdir():
        damage(path)
    trials = {trial.id: trial for trial in run(max_trials=4, **asked)}
    assert [row["epoch"] for row in trials["4"].epochs] == [1, 2, 3]


def test_hyperband_goes_on_with_the_model_of_its_best_trial(run: Search) -> None:
    trials = {trial.id: trial for trial in run(oracle="hyperband", epochs=3, max_trials=4)}
    promoted = trials["4"]
    past = trials[str(int(promoted.values["tuner/trial_id"]) + 1)]
    assert past.score == min(trials[number].score for number in "123")
    assert [row["epoch"] for row in past.epochs] == [1]
    assert [row["epoch"] for row in promoted.epochs] == [2, 3]
    assert promoted.epochs[0]["loss"] < past.epochs[0]["loss"]


def test_a_worker_reports_a_trial_that_ended_and_does_not_run_it_again(tmp_path: Path) -> None:
    """It was killed after it wrote the record, before it told the chief."""
    done = Trial("1", "COMPLETED", 0.25, {"units": 2}, [])
    failed = Trial("2", "FAILED", None, {"units": 2}, [], reason="out of memory: 3 GiB")
    for trial in (done, failed):
        write_trial(tmp_path / "trials", trial)

    def never(argument: Any) -> None:
        raise AssertionError("it was run again")

    setting = searching.Setting(JOB, never, DATA, DATA, tmp_path, 12, never)
    assert run_trial(setting, "0000", done.values) == 0.25
    with pytest.raises(kt.errors.FailedTrialError, match="out of memory: 3 GiB"):
        run_trial(setting, "0001", failed.values)


def test_after_its_minutes_no_trial_begins_also_over_a_resume(run: Search, tmp_path: Path) -> None:
    run(max_trials=1)
    (trial,) = read_trials(tmp_path / "a" / "trials")
    began = trial.attempts[0][0]
    write_trial(tmp_path / "a" / "trials", trial._replace(attempts=[[began - 59.5, began]]))
    run(max_trials=50, minutes=1.0)
    ran = read_trials(tmp_path / "a" / "trials")
    assert running_seconds(ran[:-1]) < 60 <= running_seconds(ran)
    told = Told()
    run(max_trials=50, minutes=1.0, told=told)
    assert told.started == []


def test_patience_ends_a_trial_that_does_not_get_better(run: Search) -> None:
    def learning_nothing(hp: Any, task: Task) -> keras.Model:
        model = build(hp, task)
        model.optimizer.learning_rate.assign(0.0)
        return model

    (trial,) = run(build=learning_nothing, max_trials=1, epochs=9, patience=2)
    assert [row["epoch"] for row in trial.epochs] == [1, 2, 3]
    assert trial.status == "COMPLETED"


def test_mixup_is_a_hyperparameter(run: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_mixup(hp: Any, task: Task) -> keras.Model:
        hp.Fixed("mixup", 0.3)
        return build(hp, task)

    seen: list[float] = []
    batches = run_trial.__globals__["Batches"]

    def note(*arguments: Any, mixup: float = 0.0, **rest: Any) -> Any:
        seen.append(mixup)
        return batches(*arguments, mixup=mixup, **rest)

    monkeypatch.setitem(run_trial.__globals__, "Batches", note)
    run(build=with_mixup, max_trials=1)
    assert seen == [0.3, 0.0]  # of train, of validation


class ResourceExhaustedError(Exception):
    """As TensorFlow's is called, which `tuning` does not import."""


def not_fitting(hp: Any, task: Task) -> keras.Model:
    raise ValueError("these units do not fit\n  in file x.py")


def too_large(hp: Any, task: Task) -> keras.Model:
    raise ResourceExhaustedError("OOM when allocating tensor with shape[64,64]")


def too_large_for_the_host(hp: Any, task: Task) -> keras.Model:
    raise MemoryError("Unable to allocate 3 GiB")


def diverging(hp: Any, task: Task) -> keras.Model:
    model = build(hp, task)
    nothing = keras.layers.Rescaling(float("nan"))(model.output)
    return compile_classifier(keras.Model(model.input, nothing), "sgd")


@pytest.mark.parametrize(
    ("bad_build", "reason"),
    [
        (not_fitting, "ValueError: these units do not fit"),
        (too_large, "out of memory: ResourceExhaustedError: OOM when allocating"),
        (too_large_for_the_host, "out of memory: MemoryError: Unable to allocate 3 GiB"),
        (diverging, "loss became nan in epoch 1"),
    ],
)
def test_a_trial_that_fails_says_why_and_the_search_goes_on(
    run: Search, bad_build: Callable[..., Any], reason: str
) -> None:
    told = Told()

    def bad_at_first(hp: Any, task: Task) -> keras.Model:
        return (bad_build if told.started == ["1"] else build)(hp, task)

    trials = run(build=bad_at_first, told=told)
    assert [trial.status for trial in trials] == ["COMPLETED", "COMPLETED", "FAILED"]
    assert trials[-1].id == "1"
    assert trials[-1].reason.startswith(reason)
    assert "\n" not in trials[-1].reason
    assert trials[-1].score is None
    for row in trials[-1].epochs:
        assert all(math.isfinite(value) for value in row.values())


def test_failures_in_a_row_do_not_cost_the_trials_before(run: Search) -> None:
    told = Told()

    def failing_later(hp: Any, task: Task) -> keras.Model:
        return (not_fitting if len(told.started) > 1 else build)(hp, task)

    trials = run(build=failing_later, told=told, max_trials=5)
    assert [trial.status for trial in trials] == ["COMPLETED"] + ["FAILED"] * 4
    assert trials[0].id == "1"


@pytest.mark.parametrize("status", ["RUNNING", "COMPLETED", "FAILED"])
def test_a_disk_that_is_full_between_two_epochs_ends_the_search_and_costs_no_trial(
    run: Search, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    def bad_at_last(hp: Any, task: Task) -> keras.Model:
        return (not_fitting if told.started == ["1", "2"] else build)(hp, task)

    def write(folder: Path, trial: Trial) -> None:
        if trial.id == "2" and trial.status == status:
            raise OSError(28, "No space left on device")
        write_trial(folder, trial)

    told = Told()
    asked = {"build": bad_at_last if status == "FAILED" else build}
    with monkeypatch.context() as full:
        full.setitem(run_trial.__globals__, "write_trial", write)
        with pytest.raises(kt.errors.FatalError, match="No space left"):
            run(told=told, **asked)
    again = Told()
    assert [trial.status for trial in run(told=again)] == ["COMPLETED"] * 3
    assert again.started == ["2", "3"]


def runs_of_a_trial(attempts: int, excused: int, folder: Path) -> Trial:
    """The record of a trial that still ran when its process ended."""
    began = [[float(n), n + 0.5] for n in range(attempts)]
    trial = Trial("1", "RUNNING", None, {"units": 2, "learning_rate": 0.1}, [])
    trial = trial._replace(attempts=began, excused=excused)
    write_trial(folder / "trials", trial)
    return trial


def test_a_trial_in_which_the_process_is_killed_again_and_again_is_given_up(
    run: Search, tmp_path: Path
) -> None:
    """Else the kernel, which kills what takes too much memory, would have it run for ever."""
    assert KILLS < DEATHS
    killed = runs_of_a_trial(KILLS, 0, tmp_path / "a")
    told = Told()
    trials = run(told=told)
    reason = "the process was killed in it 3 times: out of memory?"
    given_up = killed._replace(status="FAILED", reason=reason)
    assert trials[-1] == told.states[0] == given_up
    assert [trial.status for trial in trials] == ["COMPLETED", "COMPLETED", "FAILED"]


@pytest.mark.parametrize(("attempts", "excused"), [(KILLS - 1, 0), (KILLS, 1), (9, 9)])
def test_a_trial_that_was_interrupted_by_no_fault_of_its_own_is_run_again(
    run: Search, tmp_path: Path, attempts: int, excused: int
) -> None:
    runs_of_a_trial(attempts, excused, tmp_path / "a")
    (trial,) = run(max_trials=1)
    assert trial.status == "COMPLETED"
    assert len(trial.attempts) == attempts + 1


def test_trials_of_workers_whose_chief_is_started_anew_are_excused(
    run: Search, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs_of_a_trial(KILLS, 0, tmp_path / "a")
    monkeypatch.setattr(searching, "_is_chief", lambda: True)
    (trial,) = run(max_trials=1)
    assert (trial.status, trial.excused) == ("COMPLETED", 1)


def test_what_a_killed_process_left_half_written_is_removed(run: Search, tmp_path: Path) -> None:
    half = tmp_path / "a" / "checkpoints" / ".0000.host-1.part.keras"
    half.parent.mkdir(parents=True)
    half.write_text("half")
    run(max_trials=1)
    assert not half.exists()


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (OSError(28, "No space left on device"), kt.errors.FatalError),
    ],
)
def test_a_person_and_a_full_disk_do_not_count_as_kills(
    run: Search, tmp_path: Path, error: BaseException, raised: type[BaseException]
) -> None:
    def interrupted(hp: Any, task: Task) -> keras.Model:
        if told.started:
            raise error
        return build(hp, task)

    for _ in range(KILLS):
        told = Told()
        with pytest.raises(raised):
            run(build=interrupted, told=told, max_trials=1)
    (left,) = read_trials(tmp_path / "a" / "trials")
    assert (len(left.attempts), left.excused) == (KILLS, KILLS)


def test_a_worker_whose_chief_was_replaced_does_not_go_on(run: Search, tmp_path: Path) -> None:
    """The new chief hands its trial to another worker, whose record is not written over."""
    others = Trial("1", "RUNNING", None, {"units": 2, "learning_rate": 0.1}, [])

    def replace_chief(trial: Trial) -> None:
        if trial.epochs:
            become_chief(tmp_path / "a")
            write_trial(tmp_path / "a" / "trials", others)

    with pytest.raises(kt.errors.FatalError, match="another chief"):
        run(told=replace_chief, epochs=2)
    assert read_trials(tmp_path / "a" / "trials") == [others._replace(attempts=[])]


def test_a_full_disk_ends_the_search_and_the_next_one_tries_again(run: Search) -> None:
    told = Told()

    def on_a_full_disk(hp: Any, task: Task) -> keras.Model:
        if len(told.started) > 1:
            raise OSError(28, "No space left on device")
        return build(hp, task)

    with pytest.raises(kt.errors.FatalError, match="No space left"):
        run(build=on_a_full_disk, told=told)
    again = Told()
    trials = run(told=again)
    assert [trial.status for trial in trials] == ["COMPLETED"] * 3
    assert again.started == ["2", "3"]


def test_the_batch_size_that_was_found_stays(run: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "largest_batch_size", lambda *_, **__: 8)
    (trial,) = run(max_trials=1, batch_size=None)
    assert trial.batch_size == 8
    monkeypatch.setattr(searching, "largest_batch_size", lambda *_, **__: 16)
    assert {trial.batch_size for trial in run(max_trials=2, batch_size=None)} == {8}


def test_workers_agree_on_a_batch_size_also_before_there_is_a_trial(
    run: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter([8, 16])
    monkeypatch.setattr(searching, "largest_batch_size", lambda *_, **__: next(found))
    for _ in range(2):
        assert run(max_trials=0, batch_size=None) == []
    (trial,) = run(max_trials=1, batch_size=None)
    assert trial.batch_size == 8


def test_the_winner_has_the_precision_of_its_trial_wherever_it_is_described(run: Search) -> None:
    trials = run(max_trials=1, precision="mixed_bfloat16")
    assert trials[0].precision == "mixed_bfloat16"
    winner = searching.describe_winner(JOB._replace(precision="auto"), trials)
    assert winner["precision"] == "mixed_bfloat16"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"max_trials": 2}, []),
        (
            {"oracle": "hyperband", "max_trials": 50, "epochs": 4},
            [
                "hyperband ended after 2 of 50 trials: for 4 epochs it has no more; say more "
                "tuner.epochs, or another oracle"
            ],
        ),
        ({"max_trials": 5}, ["random ended after 2 of 5 trials: it has no values that were not"]),
        ({"max_trials": 5, "minutes": 1.5}, []),
        ({"max_trials": None, "minutes": 1.5}, []),
        ({"max_trials": None, "minutes": 1.6}, ["random ended after 2 trials: it has no values"]),
    ],
)
def test_a_search_that_ended_before_its_budget_says_so(
    changed: dict[str, Any], said: list[str]
) -> None:
    trial = Trial("1", "COMPLETED", 0.5, {}, [], attempts=[[10.0, 55.0]])
    trials = [trial, trial._replace(id="2", attempts=[[60.0, 105.0]])]
    warnings = searching.describe_winner(JOB._replace(**changed), trials)["warnings"]
    assert len(warnings) == len(said)
    for warning, begins in zip(warnings, said, strict=True):
        assert warning.startswith(begins)


def test_the_precision_of_a_search_is_not_that_of_what_comes_after(run: Search) -> None:
    before = keras.config.dtype_policy().name
    seen: list[str] = []

    def noting(hp: Any, task: Task) -> keras.Model:
        seen.append(keras.config.dtype_policy().name)
        return build(hp, task)

    run(build=noting, max_trials=2, precision="mixed_bfloat16")
    assert seen[-2:] == ["mixed_bfloat16"] * 2
    assert keras.config.dtype_policy().name == before


def test_nothing_of_a_trial_stays_in_memory(run: Search) -> None:
    """TensorFlow keeps the custom gradients of every graph, and with them the graph."""
    tf.config.run_functions_eagerly(False)
    run(max_trials=2)
    registered = sys.modules["tensorflow.python.framework.ops"].gradient_registry.list()
    assert not [name for name in registered if name.startswith("CustomGradient-")]


KILLED = """
import os, sys
from pathlib import Path
import keras
import numpy as np
from tuning.sweep import search as searching
from tuning.sweep.job import Job
from tuning.training.batches import Arrays
from tuning.heads import classify, compile_classifier

def build(hp, task):
    hp.Float("learning_rate", 1e-4, 1e-1, sampling="log")
    inputs = keras.Input(task.image_shape)
    outputs = classify(keras.layers.Flatten()(inputs), task.classes)
    return compile_classifier(keras.Model(inputs, outputs), "sgd")

def told(trial):
    if (trial.id, len(trial.epochs)) == (sys.argv[2], 2):
        os.kill(os.getpid(), 9)

searching.get_hypermodel = lambda name: build
data = Arrays(np.zeros((24, 4, 4, 1), np.uint8), np.arange(24) % 2)
job = Job("-", (4, 4, 1), 2, "random", "val_loss", 3, None, 3, None, 12, "float32", 0)
for trial in searching.search(job, data, data, Path(sys.argv[1]), told):
    print(trial.id, trial.status, len(trial.epochs), len(trial.attempts))
"""


def test_a_process_that_is_killed_in_a_trial_goes_on_with_it(tmp_path: Path) -> None:
    def run_process(kill_in: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", KILLED, str(tmp_path / "a"), kill_in]
        environment = os.environ | {"PYTHONPATH": os.getcwd()}
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    assert run_process(kill_in="2").returncode == -signal.SIGKILL
    left = read_trials(tmp_path / "a" / "trials")
    assert [(t.id, t.status, len(t.epochs)) for t in left] == [
        ("1", "COMPLETED", 3),
        ("2", "RUNNING", 2),
    ]
    finished = run_process(kill_in="none")
    assert finished.returncode == 0, finished.stderr
    assert sorted(finished.stdout.splitlines()) == [
        "1 COMPLETED 3 1",
        "2 COMPLETED 3 2",
        "3 COMPLETED 3 1",
    ]
    assert read_trials(tmp_path / "a" / "trials")[0] == left[0]
