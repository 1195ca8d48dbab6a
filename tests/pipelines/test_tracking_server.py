"""Tracking servers that are down, slow, or fail, and processes that are killed meanwhile."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from components.common import tracking
from components.common.tracking.tracking_queue import PATIENCE
from pipelines.mlflow_runs import CATCHING_UP, parent_run
from tests.pipelines.servers import Fault, Front, mlflow_server
from tests.pipelines.tracked import EPOCHS, KILLED_IN, told, track

pytestmark = pytest.mark.xdist_group("tracking_server")

SLACK = 4.0
"""Seconds that a run takes besides, on a machine that is busy."""


def nothing(epoch: int) -> None:
    pass


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    database = f"sqlite:///{folder / 'mlflow.db'}"
    with mlflow_server(database, folder / "artifacts", folder / "server.log") as uri:
        yield uri


@pytest.fixture(scope="module")
def client(backend: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(backend)


@pytest.fixture
def front(backend: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    front = Front(backend)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", front.uri)
    yield front
    front.stop()


@pytest.fixture(scope="module")
def undisturbed(
    backend: str, client: Any, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What MLflow knows of a run whose server always answered."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", backend)
        track(tmp_path_factory.mktemp("undisturbed"), "undisturbed", nothing)
    return told(client, "undisturbed")


def run_and_catch_up(root: Path, run_id: str) -> None:
    """A run, and what the runs before it left, however long the machine takes for that."""
    track(root, run_id, nothing)
    for thread in threading.enumerate():
        if thread.name == CATCHING_UP:
            thread.join(60)


def run_script(root: Path, run_id: str, *kill: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.pipelines.tracked", str(root), run_id, *kill]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=os.environ)


def seconds_of_run(root: Path, run_id: str) -> float:
    finished = run_script(root, run_id)
    assert finished.returncode == 0, finished.stderr
    return float(finished.stdout)


def test_an_undisturbed_run_is_told_whole(undisturbed: dict[str, Any]) -> None:
    assert set(undisturbed) == {"parent", "trainer", "trial 1"}
    assert {facts["status"] for facts in undisturbed.values()} == {"FINISHED"}
    losses = undisturbed["trainer"]["metrics"]["loss"]
    assert losses == [(epoch, 1 / epoch) for epoch in range(1, EPOCHS + 1)]
    assert undisturbed["trainer"]["artifacts"] == ["plot.png"]
    assert undisturbed["trainer"]["datasets"] == [("faces", "d1")]
    assert undisturbed["parent"]["params"] == {"trainer.epochs": str(EPOCHS)}
    assert undisturbed["trial 1"]["params"]["width"] == "8"


@pytest.mark.parametrize("fault", ["fails", "loses answers"])
def test_a_server_that_fails_for_a_while_has_all_of_it_once(
    front: Front, client: Any, undisturbed: dict[str, Any], tmp_path: Path, fault: Fault
) -> None:
    front.start()

    def on_epoch(epoch: int) -> None:
        if epoch == 10:
            front.fault = fault
        if epoch == 20:
            assert front.failed.wait(20)
            front.fault = ""

    track(tmp_path, fault, on_epoch)
    assert told(client, fault) == undisturbed


@pytest.mark.parametrize("fault", ["down", "hangs", "slow"])
def test_a_server_that_does_not_answer_costs_five_seconds_and_the_next_run_tells_it_all(
    front: Front,
    client: Any,
    undisturbed: dict[str, Any],
    tmp_path: Path,
    fault: Literal["down", "hangs", "slow"],
) -> None:
    if fault != "down":
        front.fault = fault
        front.start()
    assert seconds_of_run(tmp_path, fault) < PATIENCE + SLACK
    front.stop()
    (spool,) = (tmp_path / "tracking").glob("*/*")
    assert spool.name == fault
    front.fault = ""
    front.start()
    run_and_catch_up(tmp_path, f"after {fault}")
    assert told(client, fault) == undisturbed
    assert told(client, f"after {fault}") == undisturbed
    assert list((tmp_path / "tracking").glob("*/*")) == []
    before, after = (start_time(client, run_id) for run_id in (fault, f"after {fault}"))
    assert after - before > 1000 * PATIENCE


@pytest.mark.usefixtures("undisturbed")
def test_a_server_that_turns_slow_is_not_asked_request_by_request(
    front: Front, tmp_path: Path
) -> None:
    front.start()
    with parent_run(tmp_path, "tiny", "turns slow", {}) as run_id:
        started = time.monotonic()
        front.fault = "slow"
        tracking.log_metrics({"loss": 1.0})
        assert not tracking.tell(lambda mlflow: [mlflow.get_run(run_id) for _ in range(9)])
    assert time.monotonic() - started < PATIENCE + SLACK


def start_time(client: Any, run_id: str) -> int:
    experiment = client.get_experiment_by_name("mien").experiment_id
    (run,) = client.search_runs([experiment], f"tags.`mien.run_id` = '{run_id}'")
    return run.info.start_time


@pytest.mark.parametrize("fault", ["", "fails"])
def test_a_killed_run_is_told_as_far_as_it_came_and_closed_by_the_next(
    front: Front, client: Any, undisturbed: dict[str, Any], tmp_path: Path, fault: Fault
) -> None:
    front.fault = fault
    front.start()
    killed = f"killed {fault}"
    assert run_script(tmp_path, killed, "kill").returncode == -signal.SIGKILL
    front.fault = ""
    run_and_catch_up(tmp_path, f"after {killed}")
    facts = told(client, killed)
    assert {run["status"] for run in facts.values()} == {"KILLED"}
    assert facts["trainer"]["metrics"] == {
        name: history[:KILLED_IN] for name, history in undisturbed["trainer"]["metrics"].items()
    }
    assert told(client, f"after {killed}") == undisturbed


def test_a_locked_database_costs_five_seconds_and_loses_nothing(
    undisturbed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    track(tmp_path, "first", nothing)
    with sqlite3.connect(tmp_path / "mlflow.db") as other:
        other.execute("BEGIN EXCLUSIVE")
        assert seconds_of_run(tmp_path, "locked") < PATIENCE + SLACK
        other.rollback()
    run_and_catch_up(tmp_path, "after")
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    for run_id in ("first", "locked", "after"):
        assert told(client, run_id) == undisturbed
