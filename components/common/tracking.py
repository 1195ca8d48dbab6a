"""What a component tells MLflow: always of the run that is active, nothing where there is none.

The runner opens the runs; a component neither knows a tracking server nor needs one. A server that
fails costs the record and never the training: the failure is a warning.
"""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


def active_mlflow() -> Any | None:
    """The mlflow module where a run is active, else None; never the one who imports it."""
    mlflow = sys.modules.get("mlflow")
    return mlflow if mlflow and mlflow.active_run() else None


def run_id() -> str:
    """The id of the active run, or "" where there is none."""
    mlflow = active_mlflow()
    return mlflow.active_run().info.run_id if mlflow else ""


def tell(call: Callable[[Any], object]) -> None:
    """Calls `call` with the mlflow module where a run is active; its failure is a warning."""
    mlflow = active_mlflow()
    if mlflow is None:
        return
    try:
        call(mlflow)
    except Exception as error:  # the databases behind MLflow raise whatever they like
        log.warning("MLflow did not take a record, the run goes on without it: %s", error)


def log_metrics(metrics: Mapping[str, float], step: int | None = None) -> None:
    """Logs metrics in one batch; `step` is the epoch for those that have one."""
    tell(lambda mlflow: mlflow.log_metrics(dict(metrics), step=step))


def log_params(params: Mapping[str, Any]) -> None:
    """Logs parameters in one batch."""
    tell(lambda mlflow: mlflow.log_params(dict(params)))


def log_artifact(path: Path) -> None:
    """Logs a file, or the files of a folder under the folder's name."""
    if path.is_dir():
        tell(lambda mlflow: mlflow.log_artifacts(str(path), artifact_path=path.name))
    else:
        tell(lambda mlflow: mlflow.log_artifact(str(path)))


@contextmanager
def child_run(name: str, params: Mapping[str, Any]) -> Iterator[None]:
    """Opens a run under the active one for the length of the block; an exception marks it FAILED.

    Where MLflow is not there, or does not open one, the block runs all the same.
    """
    mlflow = active_mlflow()
    if mlflow is None:
        yield
        return
    opened: list[Any] = []
    tell(lambda mlflow: opened.append(mlflow.start_run(run_name=name, nested=True)))
    status = "FAILED"
    try:
        log_params(params)
        yield
        status = "FINISHED"
    except BaseException as error:
        reason = f"{type(error).__name__}: {error}"[:500]
        tell(lambda mlflow: mlflow.set_tag("mien.error", reason))
        raise
    finally:
        if opened:
            tell(lambda mlflow: mlflow.end_run(status))
