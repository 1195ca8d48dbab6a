"""One record to MLflow, by its client; sending a record twice is as good as sending it once."""

import json
import threading
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from components.common.tracking.spool import Record, Spool

LOCAL_ID = "mien.local_id"
"""The tag by which a run is found that was created, and whose id never came back."""

_DIGEST_CHARACTERS = 36
"""MLflow's limit of a dataset's digest."""

_TRY_AGAIN = {401, 403, 408, 429}
"""HTTP's refusals that another try may not meet: of who asks, or of when."""

_TRIES = 30
"""Of one kind of record, in a row, while the server takes another: with the pauses, two minutes."""


class RefusedError(Exception):
    """MLflow answers, and will never take this record."""


class Sender:
    """Sends records to one experiment; it and the connection are made by the first that is sent."""

    def __init__(self, uri: str, experiment: str, artifacts: str | None) -> None:
        """Takes a tracking URI, an experiment's name, and where its artifacts lie.

        Args:
            uri: of the tracking server.
            experiment: its name.
            artifacts: a URI, where the experiment is made anew; None: the server says.
        """
        self.uri = uri
        self._name = experiment
        self._artifacts = artifacts
        self._making = threading.Lock()
        self._failures: Counter[str] = Counter()

    @cached_property
    def client(self) -> Any:
        """MLflow's client; raises whatever the database or the server does."""
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri)

    def experiment(self) -> str:
        """The experiment's id; raises as `client`."""
        with self._making:  # Two threads send, and one experiment is enough.
            return self._experiment

    @cached_property
    def _experiment(self) -> str:
        found = self.client.get_experiment_by_name(self._name)
        if found is None:
            # Without the tag the UI takes it for an experiment with language models.
            tags = {"mlflow.experimentKind": "custom_model_development"}
            return self.client.create_experiment(self._name, self._artifacts, tags)
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        return found.experiment_id

    def send(self, record: Record, spool: Spool) -> str | None:
        """Sends a record of a spool; returns the server's id of a run that it starts.

        Raises:
            RefusedError: it is no use to try again.
            Exception: whatever the server, or the database behind MLflow, fails with.
        """
        experiment = self.experiment()
        try:
            server_id = self._tell(experiment, record, spool)
        except Exception as error:
            if _is_final(error) or self._fails_alone(experiment, record["op"]):
                raise RefusedError(f"{type(error).__name__}: {error}") from error
            raise
        self._failures[record["op"]] = 0
        return server_id

    def _fails_alone(self, experiment: str, kind: str) -> bool:
        """Says whether it is this kind of record that fails, and not the server.

        A server whose artifact store is broken takes all the rest. It is asked to write: one with a
        locked database, or a full disk, still reads.
        """
        try:
            self.client.set_experiment_tag(experiment, "mien.takes_records", "yes")
        except Exception:  # whatever the databases behind MLflow raise
            return False
        self._failures[kind] += 1
        return self._failures[kind] >= _TRIES

    def _tell(self, experiment: str, record: Record, spool: Spool) -> str | None:
        if record["op"] == "start":
            return self._start(experiment, record, spool.ids)
        self._log(spool.ids[record["run"]], record, spool.folder)
        return None

    def _start(self, experiment: str, record: Record, ids: Mapping[str, str]) -> str:
        found = self.client.search_runs(
            [experiment], f"tags.`{LOCAL_ID}` = '{record['run']}'", max_results=1
        )
        if found:
            return found[0].info.run_id
        tags = {**record["tags"], LOCAL_ID: record["run"]}
        if record["parent"]:
            tags["mlflow.parentRunId"] = ids[record["parent"]]
        run = self.client.create_run(experiment, record["at"], tags, record["name"])
        return run.info.run_id

    def _log(self, run_id: str, record: Record, folder: Path) -> None:
        from mlflow.entities import Metric, Param, RunTag

        match record["op"]:
            case "metrics":
                self.client.log_batch(run_id, metrics=[Metric(*row) for row in record["rows"]])
            case "params":
                self.client.log_batch(run_id, params=[Param(*row) for row in record["rows"]])
            case "tags":
                self.client.log_batch(run_id, tags=[RunTag(*row) for row in record["rows"]])
            case "dataset":
                self.client.log_inputs(run_id, [_dataset_input(record)])
            case "artifact":
                self._log_artifact(run_id, folder / record["path"])
            case "end":
                self.client.set_terminated(run_id, record["status"], record["at"])

    def _log_artifact(self, run_id: str, path: Path) -> None:
        if path.is_dir():
            self.client.log_artifacts(run_id, str(path), path.name)
        else:
            self.client.log_artifact(run_id, str(path))


def _dataset_input(record: Record) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    digest = record["digest"][:_DIGEST_CHARACTERS]
    source = json.dumps({"uri": record["source"]})
    dataset = Dataset(record["name"], digest, source_type="local", source=source)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", record["context"])])


def _is_final(error: Exception) -> bool:
    from mlflow.exceptions import MlflowException
    from requests import HTTPError

    if isinstance(error, MlflowException):
        # What a database raises MLflow calls a bad request; a lost connection is among it.
        status = 503 if error.error_code == "BAD_REQUEST" else error.get_http_status_code()
    elif isinstance(error, HTTPError) and error.response is not None:
        status = error.response.status_code
    else:
        # A run that was refused has no id, a file may have been removed by hand, and the client of
        # an artifact store (boto3) may not be installed.
        return isinstance(error, KeyError | FileNotFoundError | ImportError)
    return 400 <= status < 500 and status not in _TRY_AGAIN
