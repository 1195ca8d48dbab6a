"""The trials of a search in MLflow: each a child run of the run that is active.

Trials are told as states, by a search in this process, by the records of another process, or by
those that came from another machine: what is new in a state is logged, once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from components.common import tracking
from components.common.tracking import TrackedRun
from tuning.sweep.trials import Trial, models_own


@dataclass
class _Logged:
    """What was logged of a trial: the run of which attempt, and how many epochs."""

    run: TrackedRun
    attempt: int
    epochs: int = 0
    ended: bool = False


def trial_runs() -> Callable[[Trial], None]:
    """What takes the states of the trials of one search, each trial's in their order."""
    logged: dict[str, _Logged] = {}
    return lambda trial: _log(logged, trial)


def _log(all_logged: dict[str, _Logged], trial: Trial) -> None:
    parent = tracking.active_run()
    if parent is None:
        return
    logged = all_logged.get(trial.id)
    if logged and logged.attempt != len(trial.attempts) and not logged.ended:
        logged.run.end("KILLED")
    if logged is None or logged.attempt != len(trial.attempts):
        logged = all_logged[trial.id] = _Logged(_start(parent, trial), len(trial.attempts))
    if logged.ended:
        return
    _log_epochs(logged.run, trial.epochs[logged.epochs :])
    logged.epochs = len(trial.epochs)
    if trial.status != "RUNNING":
        _end(logged.run, trial)
        logged.ended = True


def _start(parent: TrackedRun, trial: Trial) -> TrackedRun:
    at = trial.attempts[-1][0] if trial.attempts else None
    run = parent.child(f"trial {trial.id}", {"mien.trial": trial.id}, at)
    run.log_params(models_own(trial.values))
    return run


def _log_epochs(run: TrackedRun, epochs: Sequence[dict[str, float]]) -> None:
    run.log_history([(int(row["epoch"]), _metrics(row)) for row in epochs])


def _metrics(row: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if name != "epoch"}


def _end(run: TrackedRun, trial: Trial) -> None:
    facts = {"score": trial.score, "parameters": trial.parameters}
    run.log_metrics({name: value for name, value in facts.items() if value is not None})
    run.log_params({"batch_size": trial.batch_size})
    if trial.reason:
        run.set_tags({"mien.error": trial.reason})
    ended = trial.attempts[-1][1] if trial.attempts else None
    run.end("FINISHED" if trial.status == "COMPLETED" else "FAILED", ended)
