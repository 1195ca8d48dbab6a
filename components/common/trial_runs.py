"""The trials of a search in MLflow: each a child run of the run that is active.

Trials are told as states, by a search in this process, by the records of another process, or by
those that came from another machine: what is new in a state is logged, once. A server that fails
costs the record and never the search, and what it did not take is told again with the next state.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.common import tracking
from tuning.sweep.trials import Trial, models_own

_METRICS_A_BATCH = 1000
"""MLflow takes no more at once."""


@dataclass
class _Run:
    """A trial's run: which attempt it is of, and what was logged of it."""

    id: str
    attempt: int
    epochs: int = 0
    ended: bool = False


def trial_runs() -> Callable[[Trial], None]:
    """What takes the states of the trials of one search, each trial's in their order."""
    runs: dict[str, _Run] = {}
    return lambda trial: tracking.tell(lambda mlflow: _log(mlflow, runs, trial))


def _log(mlflow: Any, runs: dict[str, _Run], trial: Trial) -> None:
    client = mlflow.MlflowClient()
    run = runs.get(trial.id)
    if run and run.attempt != len(trial.attempts) and not run.ended:
        client.set_terminated(run.id, "KILLED")
    if run is None or run.attempt != len(trial.attempts):
        run = runs[trial.id] = _Run(_open(mlflow, client, trial), len(trial.attempts))
    if run.ended:
        return
    if not run.epochs:
        _log_values(mlflow, client, run.id, trial.values)
    _log_epochs(mlflow, client, run, trial.epochs)
    if trial.status != "RUNNING":
        _end(mlflow, client, run.id, trial)
        run.ended = True


def _open(mlflow: Any, client: Any, trial: Trial) -> str:
    parent = mlflow.active_run().info
    run = client.create_run(
        parent.experiment_id,
        start_time=_milliseconds(trial.attempts[-1][0] if trial.attempts else time.time()),
        run_name=f"trial {trial.id}",
        tags={"mlflow.parentRunId": parent.run_id, "mien.trial": trial.id},
    )
    return run.info.run_id


def _log_values(mlflow: Any, client: Any, run_id: str, values: Mapping[str, Any]) -> None:
    params = [mlflow.entities.Param(name, str(v)) for name, v in models_own(values).items()]
    client.log_batch(run_id, params=params)


def _log_epochs(mlflow: Any, client: Any, run: _Run, epochs: Sequence[dict[str, float]]) -> None:
    now = _milliseconds(time.time())
    metrics = [
        mlflow.entities.Metric(name, value, now, int(row["epoch"]))
        for row in epochs[run.epochs :]
        for name, value in row.items()
        if name != "epoch"
    ]
    for start in range(0, len(metrics), _METRICS_A_BATCH):
        client.log_batch(run.id, metrics=metrics[start : start + _METRICS_A_BATCH])
    run.epochs = len(epochs)


def _end(mlflow: Any, client: Any, run_id: str, trial: Trial) -> None:
    now = _milliseconds(time.time())
    facts = {"score": trial.score, "parameters": trial.parameters}
    client.log_batch(
        run_id,
        metrics=[mlflow.entities.Metric(k, v, now, 0) for k, v in facts.items() if v is not None],
        params=[mlflow.entities.Param("batch_size", str(trial.batch_size))],
        tags=[mlflow.entities.RunTag("mien.error", trial.reason)] if trial.reason else [],
    )
    ended = _milliseconds(trial.attempts[-1][1]) if trial.attempts else now
    client.set_terminated(run_id, "FINISHED" if trial.status == "COMPLETED" else "FAILED", ended)


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
