import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from pipelines.orphans import close_orphans, this_process


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}")


@pytest.fixture
def experiment(client: Any, request: pytest.FixtureRequest) -> str:
    return client.create_experiment(request.node.name)


@pytest.fixture
def start(client: Any, experiment: str) -> Callable[[dict[str, str]], str]:
    return lambda tags: client.create_run(experiment, tags=tags).info.run_id


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives until it is killed."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def tags_of(process: subprocess.Popen[bytes]) -> dict[str, str]:
    started = psutil.Process(process.pid).create_time()
    return this_process() | {"mien.pid": str(process.pid), "mien.process_started": f"{started}"}


def test_the_runs_of_a_killed_process_are_closed(
    client: Any,
    experiment: str,
    start: Callable[[dict[str, str]], str],
    other: subprocess.Popen[bytes],
) -> None:
    runs = [start(tags_of(other)) for _ in range(2)]
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # A zombie: it lives no more.
    close_orphans(client, experiment)
    for run_id in runs:
        run = client.get_run(run_id)
        assert run.info.status == "KILLED"
        assert run.data.tags["mien.error"] == "the process was killed"


def test_a_process_id_that_was_given_out_again_is_another_process(
    client: Any, experiment: str, start: Callable[[dict[str, str]], str]
) -> None:
    run_id = start(this_process() | {"mien.process_started": "1000.0"})
    close_orphans(client, experiment)
    assert client.get_run(run_id).info.status == "KILLED"


def test_the_runs_of_living_processes_and_of_other_hosts_stay(
    client: Any,
    experiment: str,
    start: Callable[[dict[str, str]], str],
    other: subprocess.Popen[bytes],
) -> None:
    gone = {"mien.pid": "4194303", "mien.process_started": "1000.0"}
    elsewhere = this_process() | gone | {"mien.host": "another"}
    runs = [start(tags) for tags in (this_process(), tags_of(other), elsewhere, {})]
    close_orphans(client, experiment)
    assert {client.get_run(run_id).info.status for run_id in runs} == {"RUNNING"}
