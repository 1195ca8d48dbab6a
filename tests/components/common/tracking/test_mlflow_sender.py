"""Records to MLflow's own store on sqlite."""

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
import requests
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST

from components.common.tracking.mlflow_sender import RefusedError, Sender
from components.common.tracking.spool import Record, Spool
from components.common.tracking.tracking_queue import replay

START: Record = {"op": "start", "run": "a", "parent": None, "name": "tiny", "tags": {}, "at": 1000}


@pytest.fixture(scope="module")
def sender(tmp_path_factory: pytest.TempPathFactory) -> Sender:
    folder = tmp_path_factory.mktemp("mlflow")
    return Sender(f"sqlite:///{folder / 'mlflow.db'}", "faces", (folder / "artifacts").as_uri())


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture
def run_id(sender: Sender, spool: Spool, request: pytest.FixtureRequest) -> str:
    started = sender.send({**START, "run": request.node.name}, spool)
    assert started
    spool.ids["a"] = started
    return started


def of_a(kind: str, **content: Any) -> Record:
    return {"op": kind, "run": "a", "at": 5000, **content}


def test_every_record_sent_twice_is_there_once(sender: Sender, spool: Spool, run_id: str) -> None:
    (spool.folder / "plot.png").write_text("pixels")
    points = [["loss", 0.5, 2000, 1], ["loss", float("nan"), 2001, 2]]
    records = [
        of_a("metrics", rows=points),
        of_a("params", rows=[["epochs", "3"]]),
        of_a("tags", rows=[["mien.test_read", "now"]]),
        of_a("dataset", name="faces", digest="d" * 64, context="train", source="faces.zip"),
        of_a("artifact", path="plot.png"),
        of_a("end", status="FINISHED"),
    ]
    for record in [*records, *records]:
        assert sender.send(record, spool) is None
    run = sender.client.get_run(run_id)
    history = sender.client.get_metric_history(run_id, "loss")
    assert [(point.step, point.timestamp) for point in history] == [(1, 2000), (2, 2001)]
    assert run.data.params == {"epochs": "3"}
    assert run.data.tags["mien.test_read"] == "now"
    (dataset,) = run.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("faces", "d" * 36)
    assert {tag.key: tag.value for tag in dataset.tags} == {"mlflow.data.context": "train"}
    assert [file.path for file in sender.client.list_artifacts(run_id)] == ["plot.png"]
    assert (run.info.status, run.info.start_time, run.info.end_time) == ("FINISHED", 1000, 5000)


def test_a_run_that_is_started_twice_is_one(sender: Sender, spool: Spool, run_id: str) -> None:
    name = sender.client.get_run(run_id).data.tags["mien.local_id"]
    assert sender.send({**START, "run": name}, spool) == run_id


def test_a_child_lies_below_its_parent(sender: Sender, spool: Spool, run_id: str) -> None:
    child = sender.send({**START, "run": "child", "parent": "a"}, spool)
    assert child
    assert sender.client.get_run(child).data.tags["mlflow.parentRunId"] == run_id


def test_train_and_validation_are_two_inputs(sender: Sender, spool: Spool, run_id: str) -> None:
    for context, digest in (("train", "d1"), ("validation", "d2")):
        record = of_a("dataset", name="faces", digest=digest, context=context, source="")
        sender.send(record, spool)
    inputs = sender.client.get_run(run_id).inputs.dataset_inputs
    assert {given.tags[0].value for given in inputs} == {"train", "validation"}


@pytest.mark.usefixtures("run_id")
@pytest.mark.parametrize(
    "record",
    [
        of_a("params", rows=[["epochs", "4"]]),
        of_a("metrics", rows=[["no\nname", 1.0, 2000, 0]]),
        of_a("artifact", path="removed.png"),
        {**of_a("end", status="FINISHED"), "run": "never started"},
    ],
    ids=["another value", "no name", "no file", "no run"],
)
def test_what_mlflow_will_never_take_is_refused(
    sender: Sender, spool: Spool, record: Record
) -> None:
    sender.send(of_a("params", rows=[["epochs", "3"]]), spool)
    with pytest.raises(RefusedError):
        sender.send(record, spool)


def http_error(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(response=response)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MlflowException("500"), MlflowException),
        (MlflowException("locked", error_code=503), MlflowException),
        (MlflowException("connection already closed", error_code=BAD_REQUEST), MlflowException),
        (ConnectionError("refused"), ConnectionError),
        (http_error(503), requests.HTTPError),
        (http_error(401), requests.HTTPError),
        (http_error(413), RefusedError),
        (ModuleNotFoundError("No module named 'boto3'"), RefusedError),
    ],
)
@pytest.mark.usefixtures("run_id")
def test_what_a_server_may_take_later_is_not_refused(
    sender: Sender,
    spool: Spool,
    error: Exception,
    expected: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    once_more = Sender(sender.uri, "faces", None)
    monkeypatch.setattr(once_more.client, "set_terminated", failing(error))
    with pytest.raises(expected):
        once_more.send(of_a("end", status="FINISHED"), spool)


def failing(error: Exception) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


def send_until_refused(sender: Sender, record: Record, spool: Spool) -> int:
    """Sends a record up to fifty times; says how often it was to be tried again."""
    for tries in range(50):
        try:
            sender.send(record, spool)
        except RefusedError:
            return tries
        except Exception:
            continue
    return 50


@pytest.mark.usefixtures("run_id")
def test_an_artifact_store_that_stays_broken_is_given_up_while_the_server_takes_the_rest(
    sender: Sender, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (spool.folder / "plot.png").write_text("pixels")
    broken = Sender(sender.uri, "faces", None)
    monkeypatch.setattr(broken.client, "log_artifact", failing(PermissionError("read-only")))
    artifact = of_a("artifact", path="plot.png")
    assert send_until_refused(broken, artifact, spool) == 29
    assert send_until_refused(broken, artifact, spool) == 0  # The next one is not waited for.
    monkeypatch.setattr(broken.client, "log_artifact", lambda *_: None)
    broken.send(artifact, spool)
    monkeypatch.setattr(broken.client, "log_artifact", failing(PermissionError("read-only")))
    assert send_until_refused(broken, artifact, spool) == 29


@pytest.mark.usefixtures("run_id")
def test_what_fails_while_the_server_takes_nothing_is_never_given_up(
    sender: Sender, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = Sender(sender.uri, "faces", None)
    for writing in ("log_batch", "set_experiment_tag"):
        monkeypatch.setattr(locked.client, writing, failing(MlflowException("database is locked")))
    record = of_a("metrics", rows=[["loss", 0.5, 2000, 1]])
    assert send_until_refused(locked, record, spool) == 50


def test_without_the_client_of_an_artifact_store_metrics_and_the_end_are_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    sender: Sender,
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    spool = Spool(tmp_path / "s")
    (tmp_path / "plot.png").write_text("pixels")
    for record in (
        {**START, "run": "a"},
        of_a("artifact", path=spool.copy(tmp_path / "plot.png")),
        of_a("metrics", rows=[["loss", 0.5, 2000, 1]]),
        of_a("end", status="FINISHED"),
    ):
        spool.append(record)
    with caplog.at_level(logging.WARNING):
        assert replay(spool, Sender(sender.uri, "on s3", "s3://faces/mlflow"))
    run = sender.client.get_run(spool.ids["a"])
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"loss": 0.5})
    assert "boto3" in caplog.text
    (kept,) = tmp_path.glob("s.refused/files/*/plot.png")
    assert kept.read_text() == "pixels"


def test_an_experiment_that_was_deleted_is_restored(sender: Sender, spool: Spool) -> None:
    experiment = sender.experiment()
    sender.client.delete_experiment(experiment)
    again = Sender(sender.uri, "faces", None)
    assert again.send({**START, "run": "after"}, spool)
    assert mlflow.MlflowClient(sender.uri).get_experiment(experiment).lifecycle_stage == "active"
