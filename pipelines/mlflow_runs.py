"""One `mien run` = one MLflow parent run, with a child run for each step that is executed.

What a run tells MLflow goes through a queue under the pipeline root. A tracking server that does
not answer costs the run a few seconds; what it was to be told waits there for the next run.
"""

import getpass
import hashlib
import logging
import os
import platform
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import Timeout

from components.common import tracking
from components.common.tracking import TrackedRun
from components.common.tracking.mlflow_sender import Sender
from components.common.tracking.spool import Spool, left_behind, refused_folder, set_damaged_aside
from components.common.tracking.system_metrics import system_metrics
from components.common.tracking.tracking_queue import TrackingQueue, replay
from pipelines.environment import PACKAGES, git_commit
from pipelines.errors import UsageError
from pipelines.mlflow_database import prepare_database
from pipelines.orphans import close_orphans, this_process
from pipelines.ports import require_free
from pipelines.store import flat

log = logging.getLogger(__name__)

EXPERIMENT = "mien"
_BETWEEN_TRIES = 5.0
"""Seconds from one try to send what earlier runs left to the next."""

CATCHING_UP = "mlflow catching up"
"""The thread that sends what earlier runs could not."""

_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # A request that MLflow repeats on its own starts a run, or registers a version, twice.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
}


def configure_mlflow(seconds: int) -> None:
    """Sets mien's defaults for MLflow, where the environment says nothing; before its import.

    Args:
        seconds: that a request may take.
    """
    for name, value in {**_SETTINGS, "MLFLOW_HTTP_REQUEST_TIMEOUT": str(seconds)}.items():
        os.environ.setdefault(name, value)


def tracking_uri(root: Path) -> str:
    """MLFLOW_TRACKING_URI, or a sqlite file in the pipeline root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _own_uri(root)


def _own_uri(root: Path) -> str:
    return f"sqlite:///{root / 'mlflow.db'}"


def open_sender(root: Path) -> Sender:
    """What tells the experiment of a root, whose own database, if it has one, is there then."""
    uri = tracking_uri(root)
    if uri != _own_uri(root):
        return Sender(uri, EXPERIMENT, None)  # The server knows where artifacts go.
    artifacts = (root / "mlartifacts").as_uri()
    prepare_database(root, EXPERIMENT, artifacts)
    return Sender(uri, EXPERIMENT, artifacts)


def spool_folder(root: Path, run_id: str) -> Path:
    """What MLflow has not yet been told of a run; is not there where it was told all.

    Each server has a folder of its own, named by a digest: its address may hold a password.
    """
    digest = hashlib.sha256(tracking_uri(root).encode()).hexdigest()[:12]
    server = "own" if tracking_uri(root) == _own_uri(root) else digest
    return root / "tracking" / server / run_id


def untold(root: Path, run_id: str) -> list[str]:
    """What MLflow does not know of a run that has ended, in words; nothing where it knows all."""
    folder = spool_folder(root, run_id)
    refused = refused_folder(folder)
    said = {
        folder: f"MLflow was not told all: the next run sends what lies in {folder}",
        refused: f"MLflow refused what lies in {refused}: run.log says why",
    }
    return [text for path, text in said.items() if path.exists()]


@contextmanager
def parent_run(
    root: Path, config: str, run_id: str, parameters: Mapping[str, Any]
) -> Iterator[str]:
    """Opens the run that the steps' runs lie under; gives its MLflow id, "" without an answer.

    It lies below the run that is open already, if one is: that of a cross-validation.
    """
    # Nobody waits for the queue: what a slow server has begun, it may end.
    configure_mlflow(seconds=30)
    tags = {"mien.config": config, "mien.run_id": run_id}
    with _started(root, f"{config} {run_id}", run_id, tags) as run, tracking.entered(run):
        tracking.log_params(flat(parameters))
        yield tracking.run_id()


@contextmanager
def _started(root: Path, name: str, run_id: str, tags: Mapping[str, str]) -> Iterator[TrackedRun]:
    if outer := tracking.active_run():
        yield outer.child(name, tags)
        return
    with _queue(root, run_id) as queue:
        run = TrackedRun(queue, name, {**tags, **_versions()})
        with system_metrics(run):
            yield run


@contextmanager
def _queue(root: Path, run_id: str) -> Iterator[TrackingQueue]:
    """A queue; beside it, what earlier runs left is sent, and their orphans are closed."""
    folder = spool_folder(root, run_id)
    sender = open_sender(root)
    queue = TrackingQueue(Spool(folder), sender, _tags_of_every_run())
    queue.start()
    catching_up = threading.Thread(
        target=catch_up, args=(folder.parent, sender), name=CATCHING_UP, daemon=True
    )
    catching_up.start()
    try:
        yield queue
    finally:
        if not queue.close():
            log.warning("MLflow was not told all: the next run sends what is in %s", folder)
        catching_up.join(queue.patience)


def catch_up(folder: Path, sender: Sender) -> None:
    """Sends what earlier runs left in a folder, and closes the runs of killed processes.

    What fails is tried again after all others, for as long as this process lives.
    """
    failed = _catch_up(folder, sender)
    for path in failed:
        log.warning("MLflow is not told yet what is in %s", path)
    while failed:
        time.sleep(_BETWEEN_TRIES)
        failed = _catch_up(folder, sender)


def _catch_up(folder: Path, sender: Sender) -> list[Path]:
    """One try; returns the folders of what failed, whose runs stay as they are."""
    failed = [spool for path in left_behind(folder) if (spool := _send_rest(path, sender))]
    half_told = {run_id for spool in failed for run_id in spool.ids.values()}
    try:
        close_orphans(sender.client, sender.experiment(), half_told)
    except Exception as error:  # the databases behind MLflow raise whatever they like
        if not failed:  # Else it is said of what failed.
            log.warning("MLflow does not answer, orphaned runs stay RUNNING: %s", error)
    return [spool.folder for spool in failed]


def _send_rest(folder: Path, sender: Sender) -> Spool | None:
    """Sends what is in a folder; returns its spool where that failed."""
    try:
        spool = Spool(folder)
        return None if replay(spool, sender) else spool
    except Timeout:
        pass  # It is that of a living process.
    except OSError as error:
        log.warning("MLflow is not told what is in %s: %s", folder, error)
    except ValueError as error:
        damaged = set_damaged_aside(folder)
        log.warning("MLflow is not told the rest, which is damaged, in %s: %s", damaged, error)
    return None


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
    open_sender(root)
    # Job execution starts six more processes, for what mien does not use.
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    options = ["--backend-store-uri", uri, "--host", host, "--port", str(port), "--workers", "1"]
    options += ["--uvicorn-opts", "--log-level warning"]
    return [sys.executable, "-m", "mlflow", "server", *options]


def _tags_of_every_run() -> dict[str, str]:
    user = {"mlflow.user": _user(), "mlflow.source.name": "mien"}
    return {**user, "mlflow.source.type": "LOCAL", **this_process()}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # A container's user may have no name.
        return str(os.getuid())


def _versions() -> dict[str, str]:
    commit = git_commit()
    return {
        "mien.git_commit": commit,
        "mlflow.source.git.commit": commit,
        "version.python": platform.python_version(),
        **{f"version.{package}": version(package) for package in PACKAGES},
    }
