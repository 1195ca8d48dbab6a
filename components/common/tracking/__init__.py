"""What a component tells MLflow: always of the run that is active, nothing where there is none.

The runner opens the runs; a component neither knows a tracking server nor needs one. What is told
is kept on disk and sent by another thread (`tracking_queue.py`): a server that is slow, or down,
costs no training and no record.
"""

import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.common.tracking.mlflow_sender import LOCAL_ID
from components.common.tracking.tracking_queue import PATIENCE, TrackingQueue

log = logging.getLogger(__name__)

_METRICS_AT_ONCE = 1000
_PARAMS_AT_ONCE = 100
"""MLflow takes no more, of tags neither."""


class TrackedRun:
    """A run, known by an id of its own: it can be told of before the server has heard of it."""

    def __init__(
        self,
        queue: TrackingQueue,
        name: str,
        tags: Mapping[str, str],
        parent: "TrackedRun | None" = None,
        at: float | None = None,
    ) -> None:
        """Starts a run, at Unix time `at`, or now."""
        self.queue = queue
        self.id = uuid.uuid4().hex
        self._put(
            "start",
            at,
            name=name,
            tags={**queue.tags, **tags},
            parent=parent.id if parent else None,
        )

    def _put(self, kind: str, at: float | None = None, **content: Any) -> None:
        now = int(1000 * (time.time() if at is None else at))
        self.queue.put({"op": kind, "run": self.id, "at": now, **content})

    def _put_rows(self, kind: str, rows: list[tuple[Any, ...]], at_once: int) -> None:
        for start in range(0, len(rows), at_once):
            self._put(kind, rows=rows[start : start + at_once])

    def child(self, name: str, tags: Mapping[str, str], at: float | None = None) -> "TrackedRun":
        """Starts a run below this one."""
        return TrackedRun(self.queue, name, tags, self, at)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Logs metrics; `step` is the epoch for those that have one."""
        self.log_history([(step or 0, metrics)])

    def log_history(self, history: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """Logs metrics of several steps, all in one batch."""
        # The time is the record's own: the same one sent twice is one point and not two.
        now = int(1000 * time.time())
        rows = [
            (name, float(value), now, step)
            for step, metrics in history
            for name, value in metrics.items()
        ]
        self._put_rows("metrics", rows, _METRICS_AT_ONCE)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Logs parameters, as text."""
        rows = [(name, str(value)) for name, value in params.items()]
        self._put_rows("params", rows, _PARAMS_AT_ONCE)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Sets tags."""
        rows = [(name, str(value)) for name, value in tags.items()]
        self._put_rows("tags", rows, _PARAMS_AT_ONCE)

    def log_artifact(self, path: Path) -> None:
        """Logs a file, or the files of a folder under the folder's name."""
        try:
            self._put("artifact", path=self.queue.spool.copy(path))
        except OSError as error:
            log.warning("%s is not logged to MLflow: %s", path, error)

    def log_dataset(self, name: str, digest: str, context: str, source: str) -> None:
        """Logs a dataset as an input."""
        self._put("dataset", name=name, digest=digest, context=context, source=source)

    def end(self, status: str, at: float | None = None) -> None:
        """Ends the run: FINISHED, FAILED or KILLED, at Unix time `at`, or now."""
        self._put("end", at, status=status)


_active: list[TrackedRun] = []
"""One stack for the process and no context variable: trials are told from other threads."""


def active_run() -> TrackedRun | None:
    """The run that components tell of, None where nothing is tracked."""
    return _active[-1] if _active else None


def run_id() -> str:
    """The server's id of the active run, "" where there is none or the server does not answer."""
    run = active_run()
    return run.queue.id_of(run.id) if run else ""


def log_metrics(metrics: Mapping[str, float], step: int | None = None) -> None:
    """Logs metrics in one batch; `step` is the epoch for those that have one."""
    if run := active_run():
        run.log_metrics(metrics, step)


def log_params(params: Mapping[str, Any]) -> None:
    """Logs parameters in one batch."""
    if run := active_run():
        run.log_params(params)


def set_tags(tags: Mapping[str, str]) -> None:
    """Sets tags in one batch."""
    if run := active_run():
        run.set_tags(tags)


def describe(text: str) -> None:
    """Sets the run's description, Markdown, which the MLflow UI shows above everything."""
    set_tags({"mlflow.note.content": text})


def log_artifact(path: Path) -> None:
    """Logs a file, or the files of a folder under the folder's name."""
    if run := active_run():
        run.log_artifact(path)


def log_dataset(name: str, digest: str, context: str, source: str = "") -> None:
    """Logs a dataset as an input of the run.

    Args:
        name: the dataset's.
        digest: of its content, of this split; MLflow takes the first 36 characters. Two splits of
            one digest would be one input.
        context: `train`, `validation` or `test`.
        source: where it came from.
    """
    if run := active_run():
        run.log_dataset(name, digest, context, source)


def tell(call: Callable[[Any], object]) -> bool:
    """Calls `call` with the mlflow module, its active run being ours; returns whether that worked.

    For what needs the server's answer, such as a model's version. It waits until all that was told
    before is sent. A failure, and a server that does not answer, is a warning.
    """
    run = active_run()
    if run is None:
        return False
    if run.queue.drain() and run.queue.outage:
        run.set_tags({LOCAL_ID: run.id})  # Of one slow answer a prompt one is the end.
    # Where answers are slow all may be sent, and each request of `call` would wait for its own.
    if not run.queue.drain() or run.queue.outage or not run_id():
        log.warning("MLflow does not answer in time, the run goes on without what it was to do")
        return False
    import mlflow

    try:
        with _short_requests():
            mlflow.set_tracking_uri(run.queue.sender.uri)
            with mlflow.start_run(run_id=run_id()):
                call(mlflow)
            run.queue.sender.client.update_run(run_id(), "RUNNING")  # The block ended it.
    except Exception as error:  # the databases behind MLflow raise whatever they like
        log.warning("MLflow failed, the run goes on without what it was to do: %s", error)
        return False
    return True


@contextmanager
def _short_requests() -> Iterator[None]:
    """Requests that the training waits for end sooner than those of the queue."""
    name = "MLFLOW_HTTP_REQUEST_TIMEOUT"
    before = os.environ.get(name)
    os.environ[name] = f"{PATIENCE:.0f}"
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


@contextmanager
def child_run(name: str, params: Mapping[str, Any]) -> Iterator[None]:
    """Opens a run under the active one for the length of the block; an exception marks it FAILED.

    Where nothing is tracked the block runs all the same.
    """
    parent = active_run()
    if parent is None:
        yield
        return
    with entered(parent.child(name, {})):
        log_params(params)
        yield


@contextmanager
def entered(run: TrackedRun) -> Iterator[None]:
    """Has components tell of a run for the length of the block, and ends it as that ended."""
    _active.append(run)
    status = "FAILED"
    try:
        yield
        status = "FINISHED"
    except BaseException as error:
        run.set_tags({"mien.error": f"{type(error).__name__}: {error}"[:500]})
        raise
    finally:
        _active.remove(run)
        run.end(status)
