from typing import Any

import keras_tuner as kt
import pytest

from tuning.sweep.job import Job
from tuning.sweep.oracles import ORACLES, keras_tuner_id, make_oracle, trial_number

JOB = Job("-", (4, 4, 1), 2, "random", "val_accuracy", 4, None, 9, None, 32, "float32", 0)


def oracle_of(name: str, spent: float = 0.0, **changed: Any) -> Any:
    oracle = make_oracle(JOB._replace(oracle=name, **changed), lambda: spent)
    oracle.verbose = 0
    space = kt.HyperParameters()
    space.Choice("units", [2, 4, 8])
    space.Float("learning_rate", 1e-4, 1e-1, sampling="log")
    oracle.update_space(space)
    return oracle


def run_all(oracle: Any, score: float = 0.5) -> list[str]:
    ids = []
    while (trial := oracle.create_trial("tuner0")).status == "RUNNING":
        oracle.update_trial(trial.trial_id, {oracle.objective.name: score})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
        ids.append(trial.trial_id)
    return ids


@pytest.mark.parametrize("name", ORACLES)
def test_it_proposes_as_many_trials_as_were_asked_for(name: str) -> None:
    assert run_all(oracle_of(name)) == ["0000", "0001", "0002", "0003"]


@pytest.mark.parametrize(("max_trials", "random_ones"), [(4, 3), (12, 4), (90, 6)])
def test_bayesian_proposes_a_third_at_random_and_no_more_than_keras_tuner(
    max_trials: int, random_ones: int
) -> None:
    def proposed(name: str) -> list[dict[str, Any]]:
        oracle = oracle_of(name, max_trials=max_trials)
        scores = iter(range(max_trials))
        while len(oracle.trials) <= random_ones:
            trial = oracle.create_trial("tuner0")
            oracle.update_trial(trial.trial_id, {oracle.objective.name: next(scores)})
            trial.status = "COMPLETED"
            oracle.end_trial(trial)
        return [trial.hyperparameters.values for trial in oracle.trials.values()]

    random, bayesian = proposed("random"), proposed("bayesian")
    assert bayesian[:random_ones] == random[:random_ones]
    assert bayesian[random_ones] != random[random_ones]


@pytest.mark.parametrize(("spent", "trials"), [(0.0, 4), (89.9, 4), (90.0, 0), (500.0, 0)])
def test_no_trial_begins_once_the_minutes_are_spent(spent: float, trials: int) -> None:
    assert len(run_all(oracle_of("random", spent, minutes=1.5))) == trials


@pytest.mark.parametrize("name", ["random", "bayesian"])
def test_minutes_alone_are_a_budget(name: str) -> None:
    spent = iter([0.0] * 16 + [90.0])
    job = JOB._replace(oracle=name, max_trials=None, minutes=1.5)
    oracle = make_oracle(job, lambda: next(spent))
    oracle.verbose = 0
    space = kt.HyperParameters()
    space.Float("learning_rate", 1e-4, 1e-1)
    oracle.update_space(space)
    assert len(run_all(oracle)) == 16


def test_trials_that_fail_in_a_row_count_and_do_not_end_the_search() -> None:
    oracle = oracle_of("random", max_trials=6)
    for _ in range(6):
        trial = oracle.create_trial("tuner0")
        assert trial.status == "RUNNING"
        trial.status = "FAILED"
        oracle.end_trial(trial)
    assert oracle.create_trial("tuner0").status == "STOPPED"


@pytest.mark.parametrize(
    ("objective", "direction"),
    [("val_accuracy", "max"), ("val_macro_f1", "max"), ("val_loss", "min")],
)
def test_a_loss_is_to_be_small_and_all_else_large(objective: str, direction: str) -> None:
    assert oracle_of("random", objective=objective).objective.direction == direction


def test_seed_0_is_a_seed() -> None:
    def values() -> dict[str, Any]:
        return oracle_of("random", seed=0).create_trial("tuner0").hyperparameters.values

    assert values() == values()


def test_ids_are_the_same_whatever_the_budget() -> None:
    for max_trials in (5, 5000):
        oracle = oracle_of("random", max_trials=max_trials)
        assert oracle.create_trial("tuner0").trial_id == keras_tuner_id("1")
    assert [trial_number(keras_tuner_id(n)) for n in ("1", "12", "20000")] == ["1", "12", "20000"]
