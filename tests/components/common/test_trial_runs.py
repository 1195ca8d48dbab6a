import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.common.trial_runs import trial_runs
from tuning.sweep.trials import Trial

BEGUN = Trial("3", "RUNNING", None, {"width": 8, "tuner/epochs": 9}, [], attempts=[[50.0, 50.0]])


def rows(count: int) -> list[dict[str, float]]:
    return [{"epoch": n, "loss": 1 / n, "val_loss": 2 / n} for n in range(1, count + 1)]


class FakeClient:
    """MLflow's client over a dict of runs; it takes no metrics while the server is down."""

    def __init__(self) -> None:
        self.runs: dict[str, SimpleNamespace] = {}
        self.down = False

    def create_run(
        self, experiment_id: str, start_time: int, run_name: str, tags: dict[str, str]
    ) -> Any:
        self._answer()
        run_id = f"run{len(self.runs)}"
        self.runs[run_id] = SimpleNamespace(
            name=run_name, tags=dict(tags), params={}, metrics=[], status="RUNNING", end=None
        )
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id))

    def log_batch(self, run_id: str, metrics: Any = (), params: Any = (), tags: Any = ()) -> None:
        self._answer()
        assert len(metrics) <= 1000
        run = self.runs[run_id]
        run.metrics += [(m.key, m.value, m.step) for m in metrics]
        run.params |= {param.key: param.value for param in params}
        run.tags |= {tag.key: tag.value for tag in tags}

    def set_terminated(self, run_id: str, status: str, end_time: int | None = None) -> None:
        self._answer()
        self.runs[run_id].status, self.runs[run_id].end = status, end_time

    def _answer(self) -> None:
        if self.down:
            raise ConnectionError("server is down")


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    from mlflow import entities

    client = FakeClient()
    parent = SimpleNamespace(info=SimpleNamespace(run_id="tuner7", experiment_id="1"))
    mlflow = SimpleNamespace(
        active_run=lambda: parent, MlflowClient=lambda: client, entities=entities
    )
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    return client


def test_a_trial_is_a_child_run_from_its_start_to_its_end(client: FakeClient) -> None:
    log = trial_runs()
    log(BEGUN)
    run = client.runs["run0"]
    assert (run.name, run.params, run.status) == ("trial 3", {"width": "8"}, "RUNNING")
    assert run.tags == {"mlflow.parentRunId": "tuner7", "mien.trial": "3"}
    log(BEGUN._replace(epochs=rows(1)))
    log(BEGUN._replace(epochs=rows(2)))
    epochs = [("loss", 1.0, 1), ("val_loss", 2.0, 1), ("loss", 0.5, 2), ("val_loss", 1.0, 2)]
    assert run.metrics == epochs
    ended = BEGUN._replace(status="COMPLETED", score=1.0, epochs=rows(2), parameters=9)
    log(ended._replace(batch_size=32, attempts=[[50.0, 60.5]]))
    assert run.metrics == [*epochs, ("score", 1.0, 0), ("parameters", 9.0, 0)]
    assert run.params["batch_size"] == "32"
    assert (run.status, run.end) == ("FINISHED", 60500)
    assert len(client.runs) == 1


def test_a_trial_that_ended_long_ago_is_logged_whole_and_once(client: FakeClient) -> None:
    log = trial_runs()
    ended = BEGUN._replace(status="COMPLETED", score=1.0, epochs=rows(700))
    for _ in range(2):
        log(ended)
    assert len(client.runs) == 1
    assert len(client.runs["run0"].metrics) == 2 * 700 + 2
    assert client.runs["run0"].status == "FINISHED"


def test_a_failed_trial_says_why(client: FakeClient) -> None:
    trial_runs()(BEGUN._replace(status="FAILED", reason="out of memory: 3 GiB"))
    assert client.runs["run0"].status == "FAILED"
    assert client.runs["run0"].tags["mien.error"] == "out of memory: 3 GiB"
    assert "score" not in {name for name, *_ in client.runs["run0"].metrics}


def test_trials_may_run_at_once(client: FakeClient) -> None:
    log = trial_runs()
    other = BEGUN._replace(id="4")
    for trial in (BEGUN, other, BEGUN._replace(epochs=rows(1)), other._replace(epochs=rows(2))):
        log(trial)
    assert {run.name: len(run.metrics) for run in client.runs.values()} == {
        "trial 3": 2,
        "trial 4": 4,
    }


def test_a_trial_that_is_run_again_is_another_run(client: FakeClient) -> None:
    log = trial_runs()
    log(BEGUN._replace(epochs=rows(2)))
    again = BEGUN._replace(attempts=[[50.0, 60.0], [70.0, 70.0]])
    log(again)
    log(again._replace(epochs=rows(1)))
    assert [run.status for run in client.runs.values()] == ["KILLED", "RUNNING"]
    assert [len(run.metrics) for run in client.runs.values()] == [4, 2]


def test_what_a_server_did_not_take_is_told_again(
    client: FakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    log = trial_runs()
    client.down = True
    with caplog.at_level(logging.WARNING):
        log(BEGUN)
        client.down = False
        log(BEGUN._replace(epochs=rows(1)))
        client.down = True
        log(BEGUN._replace(epochs=rows(2)))
    assert caplog.text.count("server is down") == 2
    client.down = False
    log(BEGUN._replace(epochs=rows(3)))
    (run,) = client.runs.values()
    assert [step for name, _, step in run.metrics if name == "loss"] == [1, 2, 3]
    assert run.params == {"width": "8"}


def test_without_an_active_run_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mlflow", raising=False)
    trial_runs()(BEGUN)
    assert "mlflow" not in sys.modules


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Any]:
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    mlflow.set_experiment("trials")
    yield mlflow.MlflowClient()
    mlflow.set_tracking_uri(None)


def test_mlflow_shows_it_below_the_active_run(database: Any) -> None:
    import mlflow

    log = trial_runs()
    with mlflow.start_run() as parent:
        log(BEGUN._replace(epochs=rows(2)))
        log(BEGUN._replace(status="FAILED", epochs=rows(3), reason="loss became nan in epoch 4"))
    runs = database.search_runs([parent.info.experiment_id], "attributes.run_name = 'trial 3'")
    (run,) = runs
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert run.info.status == "FAILED"
    history = database.get_metric_history(run.info.run_id, "val_loss")
    assert [(point.step, point.value) for point in history] == [(1, 2.0), (2, 1.0), (3, 2 / 3)]
