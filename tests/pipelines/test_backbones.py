from pathlib import Path

import keras
import mlflow
import pytest

from components.common.files import sha256_file
from pipelines.backbones import fetch_backbone
from pipelines.errors import UsageError
from pipelines.mlflow_runs import tracking_uri


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline root with an empty registry."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # MLflow sets it, and whoever comes next has it.
    mlflow.set_tracking_uri(tracking_uri(tmp_path))
    mlflow.create_experiment("mien", artifact_location=(tmp_path / "mlartifacts").as_uri())
    return tmp_path


def test_the_champion_of_another_run_becomes_a_file_named_by_its_digest(root: Path) -> None:
    inputs = keras.Input((4, 4, 1))
    model = keras.Model(inputs, keras.layers.Flatten()(inputs))
    mlflow.set_experiment("mien")
    logged = mlflow.tensorflow.log_model(
        model, name="model", pip_requirements=[], registered_model_name="fer2013"
    )
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("fer2013", "champion", logged.registered_model_version)
    path = fetch_backbone("models:/fer2013@champion", root)
    assert path == root / "backbones" / f"{sha256_file(path)}.keras"
    assert keras.models.load_model(path).input_shape == (None, 4, 4, 1)
    assert fetch_backbone("models:/fer2013/1", root) == path
    assert [other.name for other in path.parent.iterdir()] == [path.name]


def test_a_model_that_is_not_there_is_told_with_the_cure(root: Path) -> None:
    with pytest.raises(UsageError, match=r"models:/nothing@champion: .* run and push that model"):
        fetch_backbone("models:/nothing@champion", root)
