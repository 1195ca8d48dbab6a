"""A stopped search goes on: its oracle is rebuilt from the trials that it left.

KerasTuner keeps its state in files that it writes in place, and dies on a damaged one; its grid
does not keep its own at all. What each oracle knows can be told from the trials, so nothing else
is kept.
"""

import functools
import logging
from collections.abc import Sequence
from typing import Any

import keras_tuner as kt

from tuning.sweep.oracles import keras_tuner_id
from tuning.sweep.trials import Trial

log = logging.getLogger(__name__)


def restore(oracle: Any, trials: Sequence[Trial]) -> None:
    """Brings a new oracle, whose space is known, to where it stood after these trials.

    Ended trials stand. A trial that still ran is handed out again, before any new one; so is one
    that is missing between the others, as the oracle proposes it.

    Args:
        oracle: of `make_oracle`.
        trials: those that are left, by number.
    """
    left = {int(trial.id): trial for trial in trials}
    again = []
    for number in range(1, max(left, default=0) + 1):
        trial = left.get(number)
        if trial:
            _draw(oracle, trial)
        else:
            trial = _propose(oracle, str(number))
        _add(oracle, trial)
        if trial.status == "RUNNING":
            again.append(keras_tuner_id(trial.id))
    _arrange(oracle)
    oracle._retry_queue = again[::-1]  # KerasTuner takes the last one first.


def _propose(oracle: Any, number: str) -> Trial:
    """A trial in the place of one that is lost."""
    _arrange(oracle)
    # What a trial that still runs will score is guessed, of these alone.
    running = {t.trial_id: t for t in oracle.trials.values() if t.status == "RUNNING"}
    oracle.ongoing_trials = running
    proposed = oracle.populate_space(keras_tuner_id(number))
    oracle.ongoing_trials = {}
    if proposed["status"] == "RUNNING":
        log.warning("trial %s is lost: it is run again", number)
        return Trial(number, "RUNNING", None, proposed["values"], [])
    log.warning("trial %s is lost, and no other is proposed in its place", number)
    return Trial(number, "FAILED", None, {}, [], reason="its record was lost")


def _add(oracle: Any, trial: Trial) -> None:
    hyperparameters = oracle.get_space()
    hyperparameters.values = dict(trial.values)
    added = kt.engine.trial.Trial(hyperparameters, keras_tuner_id(trial.id), trial.status)
    oracle.trials[added.trial_id] = added
    oracle.start_order.append(added.trial_id)
    oracle._record_values(added)
    if trial.status != "RUNNING":
        added.score = trial.score
        oracle.end_order.append(added.trial_id)
        oracle._run_times[added.trial_id] = 1


def _draw(oracle: Any, trial: Trial) -> None:
    """Takes from the oracle's random numbers what the trial took: the next one gets the next."""
    if isinstance(oracle, kt.oracles.BayesianOptimizationOracle):
        completed = [t for t in oracle.trials.values() if t.status == "COMPLETED"]
        if len(completed) < oracle.num_initial_points:
            oracle._random_values()
        else:
            # It starts to look for the best next trial from 50 places.
            oracle._random_state.uniform(size=(50, len(oracle._get_hp_bounds())))
    elif not isinstance(oracle, kt.oracles.GridSearchOracle) and not trial.values.get(
        "tuner/round"
    ):
        oracle._random_values()


def _arrange(oracle: Any) -> None:
    """Rebuilds what Hyperband and the grid know of the trials beside their values and scores."""
    if isinstance(oracle, kt.oracles.HyperbandOracle):
        _fill_brackets(oracle)
    if isinstance(oracle, kt.oracles.GridSearchOracle):
        _order_grid(oracle)


def _fill_brackets(oracle: Any) -> None:
    numbers: dict[str, int] = {}
    rounds: dict[int, list[list[dict[str, Any]]]] = {}
    for trial_id, trial in oracle.trials.items():
        values = trial.hyperparameters.values
        past = values.get("tuner/trial_id")
        if "tuner/bracket" not in values:
            continue  # a trial that was lost
        # Of a promoted trial KerasTuner says the bracket that was the newest, not its own.
        number = numbers.get(past, values["tuner/bracket"])
        numbers[trial_id] = number
        bracket = rounds.setdefault(number, [[] for _ in range(number + 1)])
        bracket[values["tuner/round"]].append({"past_id": past, "id": trial_id})
    if rounds:
        oracle._brackets = [{"bracket_num": n, "rounds": r} for n, r in rounds.items()]
        oracle._current_bracket = min(rounds)


def _order_grid(oracle: Any) -> None:
    """The trials in the order of the grid, each asked again for the one that follows it."""

    def compare(one: str, other: str) -> int:
        return oracle._compare(values[one], values[other])

    values = {trial_id: t.hyperparameters.values for trial_id, t in oracle.trials.items()}
    oracle._ordered_ids = type(oracle._ordered_ids)()
    for trial_id in sorted(values, key=functools.cmp_to_key(compare)):
        oracle._ordered_ids.insert(trial_id)
    oracle._populate_next = list(oracle.start_order)
