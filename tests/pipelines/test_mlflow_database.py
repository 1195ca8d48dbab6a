import shutil
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest

from pipelines.mlflow_database import prepare_database
from pipelines.mlflow_runs import open_sender
from tests.pipelines.tracked import told, track

pytestmark = pytest.mark.xdist_group("registry")


def nothing(epoch: int) -> None:
    pass


@pytest.mark.parametrize("move", [shutil.move, shutil.copytree])
def test_a_root_that_was_moved_takes_its_artifacts_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, move: Callable[[Path, Path], object]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # MLflow sets it.
    before, after = tmp_path / "a", tmp_path / "a_b"
    before.mkdir()
    track(before, "before", nothing)
    move(before, after)
    shutil.rmtree(before, ignore_errors=True)
    track(after, "after", nothing)
    assert not before.exists()
    client = mlflow.MlflowClient(f"sqlite:///{after / 'mlflow.db'}")
    for run_id in ("before", "after"):
        assert told(client, run_id)["trainer"]["artifacts"] == ["plot.png"]
    assert len(list((after / "mlartifacts").rglob("plot.png"))) == 2


def test_every_place_is_followed_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # MLflow sets it.
    client, experiment = open_sender(tmp_path).client, open_sender(tmp_path).experiment()
    old = (tmp_path / "mlartifacts").as_uri()
    model = client.create_logged_model(experiment)
    other = client.create_experiment("other", f"{old}_too")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    client.create_registered_model("faces")
    client.create_model_version("faces", f"models:/{model.model_id}")
    prepare_database(tmp_path, "mien", "file:///new")
    assert client.get_experiment(experiment).artifact_location == "file:///new"
    assert client.get_experiment(other).artifact_location == f"{old}_too"
    moved = client.get_logged_model(model.model_id).artifact_location
    assert moved == model.artifact_location.replace(old, "file:///new")
    assert client.get_model_version_download_uri("faces", "1") == moved


def test_a_database_that_is_damaged_is_left_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "mlflow.db").write_text("no database")
    prepare_database(tmp_path, "mien", "file:///new")
    assert "mlflow.db: file is not a database" in caplog.text
