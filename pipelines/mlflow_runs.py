"""One `mien run` = one MLflow parent run, with a child run for each step that is executed.

A tracking server that does not answer costs the record and not the run: it is said once, and the
steps go on untracked.
"""

import logging
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock

from components.common import tracking
from pipelines.errors import UsageError
from pipelines.ports import require_free
from pipelines.store import flat

log = logging.getLogger(__name__)

EXPERIMENT = "mien"
PACKAGES = ("tensorflow", "keras", "apache-beam", "tensorflow-datasets", "keras-tuner", "mlflow")

_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
}


def tracking_uri(root: Path) -> str:
    """MLFLOW_TRACKING_URI, or a sqlite file in the pipeline root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _own_uri(root)


def _own_uri(root: Path) -> str:
    return f"sqlite:///{root / 'mlflow.db'}"


@contextmanager
def parent_run(
    root: Path, config: str, run_id: str, parameters: Mapping[str, Any]
) -> Iterator[str]:
    """Opens the run that the steps' runs lie under, and gives its MLflow id, "" without MLflow.

    It lies below the run that is open already, if one is: that of a cross-validation.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    mlflow_run_id = _start(root, config, run_id)
    if not mlflow_run_id:
        yield ""
        return
    tracking.log_params(flat(parameters))
    tracking.tell(lambda mlflow: mlflow.log_dict(dict(parameters), "config.yaml"))
    status = "FAILED"
    try:
        yield mlflow_run_id
        status = "FINISHED"
    finally:
        tracking.tell(lambda mlflow: mlflow.end_run(status))


def _start(root: Path, config: str, run_id: str) -> str:
    """Starts the run and returns its id, "" where MLflow does not answer."""
    import mlflow

    uri = tracking_uri(root)
    try:
        # Two first runs at once would both make the database, and one of them fail.
        with FileLock(root / ".mlflow.lock"):
            mlflow.set_tracking_uri(uri)
            # With a server of the user's own, the server knows where artifacts go.
            artifacts = (root / "mlartifacts").as_uri() if uri == _own_uri(root) else None
            mlflow.set_experiment(experiment_id=_experiment(mlflow, artifacts))
        run = mlflow.start_run(
            run_name=f"{config} {run_id}", tags=_tags(config, run_id), nested=True
        )
    except Exception as error:  # the databases behind MLflow raise whatever they like
        log.warning("MLflow does not answer, nothing of this run is tracked: %s", error)
        return ""
    return run.info.run_id


def ui_command(root: Path, host: str, port: int) -> list[str]:
    """The command of the MLflow UI on the runs under a root.

    Raises:
        UsageError: there are no runs, or they are on a server of the user's own.
        PortError: the port is in use.
    """
    root = root.resolve()
    uri = tracking_uri(root)
    if uri.startswith("http"):
        raise UsageError(f"MLFLOW_TRACKING_URI is set, the runs are on that server: open {uri}")
    if uri == _own_uri(root) and not (root / "mlflow.db").exists():
        raise UsageError(f"no runs under {root}: run `mien run drawn_faces` first, or say --root")
    require_free(host, port, "--port")
    # Job execution starts six more processes, for what mien does not use.
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    options = ["--backend-store-uri", uri, "--host", host, "--port", str(port), "--workers", "1"]
    options += ["--uvicorn-opts", "--log-level warning"]
    return [sys.executable, "-m", "mlflow", "server", *options]


def _experiment(mlflow: Any, artifacts: str | None) -> str:
    experiment = mlflow.get_experiment_by_name(EXPERIMENT)
    if experiment:
        return experiment.experiment_id
    # Without the tag the UI takes it for an experiment with language models.
    tags = {"mlflow.experimentKind": "custom_model_development"}
    return mlflow.create_experiment(EXPERIMENT, artifact_location=artifacts, tags=tags)


def _tags(config: str, run_id: str) -> dict[str, str]:
    versions = {f"version.{package}": version(package) for package in PACKAGES}
    return {
        "mien.config": config,
        "mien.run_id": run_id,
        "mien.git_commit": _git_commit(),
        "version.python": platform.python_version(),
        **versions,
    }


def _git_commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
