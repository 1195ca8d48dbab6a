"""A run that is told to MLflow without a pipeline, in this process or as a script of its own."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.common import tracking
from components.common.tracking.trial_runs import trial_runs
from pipelines.mlflow_runs import parent_run
from tuning.sweep.trials import Trial

EPOCHS = 30
KILLED_IN = 15


def track(root: Path, run_id: str, on_epoch: Callable[[int], object]) -> str:
    """Tells a run with a step, a trial, curves, an artifact and a dataset; returns its id."""
    trial = Trial("1", "COMPLETED", 0.9, {"width": 8}, [{"epoch": 1, "loss": 0.5}], 9)
    with parent_run(root, "tiny", run_id, {"trainer": {"epochs": EPOCHS}}) as mlflow_run_id:
        with tracking.child_run("trainer", {"epochs": EPOCHS}):
            tracking.log_dataset("faces", "d1", "train", "faces.zip")
            for epoch in range(1, EPOCHS + 1):
                tracking.log_metrics({"loss": 1 / epoch, "val_loss": 2 / epoch}, step=epoch)
                on_epoch(epoch)
            plot = root / "plot.png"
            plot.write_text("pixels")
            tracking.log_artifact(plot)
            plot.unlink()
        trial_runs()(trial)
        tracking.log_metrics({"test/accuracy": 0.9})
    return mlflow_run_id


def told(client: Any, run_id: str) -> dict[str, Any]:
    """What MLflow knows of the run: of each of its runs by name, all that does not hang on when."""
    experiment = client.get_experiment_by_name("mien").experiment_id
    (parent,) = client.search_runs([experiment], f"tags.`mien.run_id` = '{run_id}'")
    return {"parent": _facts(client, parent), **_children(client, experiment, parent.info.run_id)}


def _children(client: Any, experiment: str, parent: str) -> dict[str, Any]:
    runs = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'")
    names = [run.info.run_name for run in runs]
    assert len(names) == len(set(names)), names
    return {run.info.run_name: _facts(client, run) for run in runs}


def _facts(client: Any, run: Any) -> dict[str, Any]:
    run_id = run.info.run_id
    datasets = [given.dataset for given in run.inputs.dataset_inputs]
    return {
        "status": run.info.status,
        "params": run.data.params,
        "metrics": {
            name: [(point.step, point.value) for point in client.get_metric_history(run_id, name)]
            for name in run.data.metrics
            if not name.startswith("system/")
        },
        "artifacts": [file.path for file in client.list_artifacts(run_id)],
        "datasets": [(given.name, given.digest) for given in datasets],
        "tags": set(run.data.tags) - {"mien.error"},
    }


def _kill(epoch: int) -> None:
    if epoch == KILLED_IN:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    import mlflow  # noqa: F401 - what takes seconds without any server

    root, run_id, *kill = sys.argv[1:]
    started = time.monotonic()
    track(Path(root), run_id, _kill if kill else lambda epoch: None)
    sys.stdout.write(f"{time.monotonic() - started:.2f}")
