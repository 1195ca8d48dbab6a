"""KerasTuner's oracles, by the name that a job says; what they propose, and until when."""

import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import keras_tuner as kt

from tuning.sweep.job import Job
from tuning.training.rules import direction

_INITIAL_POINTS = 10
"""Random trials of a Bayesian search for which no number of trials was asked."""


class _Bayesian(kt.oracles.BayesianOptimizationOracle):
    """Spends a third of its trials on random points, where KerasTuner would spend more.

    KerasTuner makes 3 for each hyperparameter, fixed ones too: for expression_net 48, which leaves
    nothing of 20 trials.
    """

    def __init__(self, *, max_trials: int | None, **options: Any) -> None:
        super().__init__(max_trials=max_trials, **options)
        self._most_initial_points = max_trials // 3 if max_trials else _INITIAL_POINTS

    def update_space(self, hyperparameters: Any) -> None:
        super().update_space(hyperparameters)
        of_space = 3 * len(self.hyperparameters.space)
        self.num_initial_points = max(3, min(of_space, self._most_initial_points))


KERAS_TUNERS: Mapping[str, Any] = MappingProxyType(
    {
        "random": kt.oracles.RandomSearchOracle,
        "bayesian": _Bayesian,
        "hyperband": kt.oracles.HyperbandOracle,
        "grid": kt.oracles.GridSearchOracle,
    }
)
ORACLES = tuple(KERAS_TUNERS)


def make_oracle(job: Job, seconds_spent: Callable[[], float]) -> Any:
    """The oracle of a job, without trials yet.

    Args:
        job: what is searched.
        seconds_spent: tells how much of the job's minutes is spent, when a trial is asked for.
    """
    base: Any = KERAS_TUNERS[job.oracle]
    own: dict[str, Any] = {"max_trials": job.max_trials}
    if job.oracle == "hyperband":
        own = {"max_epochs": job.epochs, "factor": 3}

    class BoundedOracle(base):
        """Stops by the job's budget; its state is the trials' files, so it writes none."""

        def populate_space(self, trial_id: str) -> dict[str, Any]:
            out_of_time = job.minutes is not None and seconds_spent() >= 60 * job.minutes
            enough = job.max_trials is not None and len(self.trials) >= job.max_trials
            if out_of_time or enough:
                return {"status": "STOPPED", "values": None}
            return super().populate_space(trial_id)

        def save(self, *_: Any) -> None:
            pass

        def _save_trial(self, trial: Any) -> None:
            pass

    oracle = BoundedOracle(
        objective=kt.Objective(job.objective, direction(job.objective)),
        seed=keras_tuner_seed(job.seed),
        # Failures in a row would end the search with an exception, and lose the trials before.
        max_consecutive_failed_trials=sys.maxsize,
        **own,
    )
    # KerasTuner makes ids as long as this number: with another one they would be others.
    oracle.max_trials = None
    return oracle


def keras_tuner_seed(seed: int) -> int:
    """KerasTuner takes 0 for none, and draws one."""
    return seed + 1


def trial_number(trial_id: str) -> str:
    """From 1: KerasTuner counts from 0, with zeros in front."""
    return str(int(trial_id) + 1)


def keras_tuner_id(number: str) -> str:
    """KerasTuner's id of a trial, as it makes it without `max_trials`."""
    return f"{int(number) - 1:04d}"
