"""The oracles alone, without a model: what a trial scores hangs on its hyperparameters."""

import logging
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import keras_tuner as kt
import pytest
from keras_tuner.src.tuners import bayesian

from tuning.sweep.job import Job
from tuning.sweep.oracles import ORACLES, make_oracle, trial_number
from tuning.sweep.resume import restore
from tuning.sweep.trials import Trial, read_trials, write_trial

Damage = Callable[[Path], None]


TRIALS = {"random": 8, "bayesian": 8, "hyperband": 6, "grid": 8}
"""Of three epochs Hyperband makes three trials, goes on with one, and makes two more."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """From each of its 50 places a Bayesian search goes on to a better one, which takes seconds."""

    def stay(value_of: Callable[[Any], Any], *, x0: Any, **_: Any) -> Any:
        return SimpleNamespace(x=x0, fun=value_of(x0))

    optimize = SimpleNamespace(minimize=stay)
    monkeypatch.setattr(bayesian, "scipy", SimpleNamespace(optimize=optimize))


def numbers(name: str) -> list[str]:
    return [str(number) for number in range(1, TRIALS[name] + 1)]


def oracle_of(name: str, epochs: int = 3, max_trials: int = 8) -> Any:
    job = Job("-", (4, 4, 1), 2, name, "val_loss", max_trials, None, epochs, None, 32, "-", 0)
    oracle = make_oracle(job, lambda: 0.0)
    oracle.verbose = 0
    space = kt.HyperParameters()
    space.Int("units", 1, 64)
    space.Float("learning_rate", 1e-4, 1e-1, sampling="log")
    oracle.update_space(space)
    return oracle


def play(oracle: Any, folder: Path, killed_in: int | None = None) -> list[str]:
    """Runs trials until there are none left, or the process is killed; the ids of those run."""
    restore(oracle, read_trials(folder))
    ran = []
    while (trial := oracle.create_trial("tuner0")).status == "RUNNING":
        record = Trial(
            trial_number(trial.trial_id), "RUNNING", None, trial.hyperparameters.values, []
        )
        write_trial(folder, record)
        ran.append(record.id)
        if len(ran) == killed_in:
            return ran
        # Hyperband promotes none of a round where one fails.
        if record.values["units"] % 5 == 0 and "tuner/round" not in record.values:
            trial.status = "FAILED"
            write_trial(folder, record._replace(status="FAILED", reason="it does not fit"))
        else:
            score = abs(math.log(trial.hyperparameters.values["learning_rate"]) + 5)
            oracle.update_trial(trial.trial_id, {"val_loss": score})
            trial.status = "COMPLETED"
            write_trial(folder, record._replace(status="COMPLETED", score=score))
        oracle.end_trial(trial)
    return ran


@pytest.mark.parametrize("killed_in", [1, 4, 5, 6])
@pytest.mark.parametrize("name", ORACLES)
def test_after_a_kill_it_proposes_what_it_would_have(
    name: str, killed_in: int, tmp_path: Path
) -> None:
    undisturbed = play(oracle_of(name), tmp_path / "undisturbed")
    before = play(oracle_of(name), tmp_path / "killed", killed_in)
    after = play(oracle_of(name), tmp_path / "killed")
    assert before[:-1] + after == undisturbed == numbers(name)
    assert read_trials(tmp_path / "killed") == read_trials(tmp_path / "undisturbed")


def test_a_whole_hyperband_survives_kill_after_kill(tmp_path: Path) -> None:
    def hyperband() -> Any:
        return oracle_of("hyperband", epochs=9, max_trials=100)

    undisturbed = play(hyperband(), tmp_path / "undisturbed")
    assert len(undisturbed) == 23
    for killed_in in (2, 1, 1, 8, 5, 4):
        play(hyperband(), tmp_path / "killed", killed_in)
    play(hyperband(), tmp_path / "killed")
    assert read_trials(tmp_path / "killed") == read_trials(tmp_path / "undisturbed")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [truncate, Path.unlink], ids=["truncated", "deleted"])
@pytest.mark.parametrize("damaged", ["1", "3", "5"])
@pytest.mark.parametrize("name", ORACLES)
def test_a_damaged_trial_alone_is_run_again(
    name: str, damaged: str, damage: Damage, tmp_path: Path
) -> None:
    play(oracle_of(name), tmp_path, killed_in=6)
    stood = [t for t in read_trials(tmp_path) if t.id not in (damaged, "6")]
    damage(tmp_path / f"{damaged}.json")
    ran = play(oracle_of(name), tmp_path)
    assert sorted(ran) == sorted([damaged, *numbers(name)[5:]])
    trials = read_trials(tmp_path)
    assert [trial.id for trial in trials] == numbers(name)
    assert all(trial in trials for trial in stood)
    assert "RUNNING" not in {trial.status for trial in trials}


@pytest.mark.parametrize("lost", [("1", "10"), ("5", "10")])
def test_what_a_lost_trial_will_score_is_guessed_when_the_next_lost_one_is_proposed(
    lost: tuple[str, str], tmp_path: Path
) -> None:
    play(oracle_of("bayesian", max_trials=12), tmp_path)
    for number in lost:
        (tmp_path / f"{number}.json").unlink()
    oracle = oracle_of("bayesian", max_trials=12)
    with mock.patch.object(oracle.gpr, "fit", wraps=oracle.gpr.fit) as fit:
        assert play(oracle, tmp_path) == list(lost)
    fitted = fit.call_args.args[1]
    assert len(set(fitted)) == len(fitted)  # No trial has the score of another one.


def test_all_trials_may_be_damaged(tmp_path: Path) -> None:
    play(oracle_of("random"), tmp_path, killed_in=4)
    for path in tmp_path.glob("*.json"):
        truncate(path)
    assert play(oracle_of("random"), tmp_path) == numbers("random")


def test_a_lost_trial_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    play(oracle_of("random"), tmp_path, killed_in=4)
    (tmp_path / "2.json").unlink()
    with caplog.at_level(logging.WARNING):
        restore(oracle_of("random"), read_trials(tmp_path))
    assert "trial 2 is lost: it is run again" in caplog.text


def test_interrupted_trials_of_several_workers_are_handed_out_first(tmp_path: Path) -> None:
    oracle = oracle_of("random")
    for worker in ("a", "b", "c"):
        trial = oracle.create_trial(worker)
        number, values = trial_number(trial.trial_id), trial.hyperparameters.values
        write_trial(tmp_path, Trial(number, "RUNNING", None, values, []))
    again = oracle_of("random")
    restore(again, read_trials(tmp_path))
    handed_out = [again.create_trial(worker) for worker in ("d", "e", "f", "g")]
    assert [trial.trial_id for trial in handed_out] == ["0000", "0001", "0002", "0003"]
    assert [t.hyperparameters.values for t in handed_out[:3]] == [
        trial.values for trial in read_trials(tmp_path)
    ]


@pytest.mark.parametrize("name", ["random", "hyperband"])
def test_nothing_is_tried_twice_after_a_resume(name: str, tmp_path: Path) -> None:
    play(oracle_of(name), tmp_path, killed_in=5)
    play(oracle_of(name), tmp_path)
    fresh = [t.values for t in read_trials(tmp_path) if "tuner/trial_id" not in t.values]
    assert len({(v["units"], v["learning_rate"]) for v in fresh}) == len(fresh)
