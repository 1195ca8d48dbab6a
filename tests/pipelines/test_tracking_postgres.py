"""`mlflow server` on PostgreSQL with an artifact folder, as teams run it."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.postgres import postgres
from tests.pipelines.runs import read_run
from tests.pipelines.servers import mlflow_server

pytest.importorskip("psycopg2")

pytestmark = pytest.mark.xdist_group("tiny_run")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with (
        postgres() as database,
        mlflow_server(database, tmp_path / "artifacts", tmp_path / "server.log") as uri,
    ):
        yield uri


def test_a_run_has_its_parent_steps_trials_curves_figures_and_model_there(
    mien: Callable[..., subprocess.CompletedProcess[str]],
    tiny_config: Path,
    tiny_root: Path,
    environment: dict[str, str],
    server: str,
    tmp_path: Path,
) -> None:
    from mlflow import MlflowClient

    root = shutil.copytree(tiny_root, tmp_path / "root", symlinks=True)
    there = environment | {"MLFLOW_TRACKING_URI": server}
    finished = mien(
        *("run", tiny_config, "--root", root, "--force", "tuner", "--force", "trainer"), env=there
    )
    assert finished.returncode == 0, finished.stderr
    client = MlflowClient(server)
    parent = client.get_run(read_run(root)["mlflow_run_id"])
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["test/accuracy"] == read_run(root)["metrics"]["test/accuracy"]
    steps = children(client, parent)
    assert {"tuner", "trainer", "evaluator", "pusher"} <= set(steps)
    assert len(children(client, steps["tuner"])) == 3
    trainer = steps["trainer"].info.run_id
    assert [p.step for p in client.get_metric_history(trainer, "val_accuracy")] == [1, 2, 3]
    assert "learning_curves.png" in {file.path for file in client.list_artifacts(trainer)}
    assert list((tmp_path / "artifacts").rglob("learning_curves.png"))
    champion = client.get_model_version_by_alias("tiny", "champion")
    assert champion.run_id == steps["pusher"].info.run_id
    assert not list((root / "tracking").glob("*/*"))


def children(client: Any, run: Any) -> dict[str, Any]:
    below = f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"
    return {
        child.info.run_name: child for child in client.search_runs([run.info.experiment_id], below)
    }
