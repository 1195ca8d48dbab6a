"""KerasTuner's oracles, by the name that a job says; what they propose, and until when."""

from collections.abc import Callable
from typing import Any

import keras_tuner as kt

from tuning.sweep.job import Job
from tuning.training.rules import direction

ORACLES = ("random", "bayesian", "hyperband", "grid")

_ORACLES = {
    "random": kt.oracles.RandomSearchOracle,
    "bayesian": kt.oracles.BayesianOptimizationOracle,
    "hyperband": kt.oracles.HyperbandOracle,
    "grid": kt.oracles.GridSearchOracle,
}


def make_oracle(job: Job, seconds_spent: Callable[[], float]) -> Any:
    """The oracle of a job, without trials yet.

    Args:
        job: what is searched.
        seconds_spent: tells how much of the job's minutes is spent, when a trial is asked for.
    """
    base: Any = _ORACLES[job.oracle]

    class BoundedOracle(base):
        """Stops by the job's budget; its state is the trials' files, so it writes none."""

        def populate_space(self, trial_id: str) -> dict[str, Any]:
            out_of_time = job.minutes is not None and seconds_spent() >= 60 * job.minutes
            if out_of_time or len(self.trials) >= job.max_trials:
                return {"status": "STOPPED", "values": None}
            return super().populate_space(trial_id)

        def save(self, *_: Any) -> None:
            pass

        def _save_trial(self, trial: Any) -> None:
            pass

    oracle = BoundedOracle(
        objective=kt.Objective(job.objective, direction(job.objective)),
        seed=job.seed + 1,  # KerasTuner takes 0 for none, and draws one.
        # Failures in a row would end the search with an exception, and lose the trials before.
        max_consecutive_failed_trials=job.max_trials + 1,
        **({"max_epochs": job.epochs, "factor": 3} if job.oracle == "hyperband" else {}),
    )
    # KerasTuner makes ids as long as this number: with another one they would be others.
    oracle.max_trials = None
    return oracle


def trial_number(trial_id: str) -> str:
    """From 1: KerasTuner counts from 0, with zeros in front."""
    return str(int(trial_id) + 1)


def keras_tuner_id(number: str) -> str:
    """KerasTuner's id of a trial, as it makes it without `max_trials`."""
    return f"{int(number) - 1:04d}"
