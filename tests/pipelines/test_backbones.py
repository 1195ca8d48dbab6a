from pathlib import Path
from typing import Any

import keras
import mlflow
import numpy as np
import pytest

from components.common.export import export_saved_model
from components.common.files import file_digests, sha256_file, write_json
from components.common.publishing.registry import register_missing, set_aliases
from components.common.publishing.serving import KERAS_MODEL, MANIFEST
from components.common.recipe import Recipe
from pipelines.backbones import fetch_backbone, with_files
from pipelines.errors import UsageError
from pipelines.mlflow_runs import tracking_uri
from tuning.backbones import load_backbone, on_top
from tuning.heads import classify


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline root with an empty registry."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # MLflow sets it, and whoever comes next has it.
    mlflow.set_tracking_uri(tracking_uri(tmp_path))
    mlflow.create_experiment("mien", artifact_location=(tmp_path / "mlartifacts").as_uri())
    return tmp_path


def classifier(shape: tuple[int, ...]) -> keras.Model:
    inputs = keras.Input(shape)
    return keras.Model(inputs, classify(keras.layers.Flatten()(inputs), 2))


def push(base: Path, model: keras.Model) -> Path:
    """Registers a model as Pusher does; returns its version folder."""
    version, labels = base / "1", ["sad", "happy"]
    warm_up = np.zeros((1, 4, 4, 1), np.uint8)
    export_saved_model(model, Recipe(4, 4, 1, None), labels, warm_up, version)
    model.save(version / KERAS_MODEL)
    manifest = {
        "model": base.name,
        "version": 1,
        "labels": labels,
        "recipe": {"height": 4, "width": 4, "channels": 1},
        "dataset": {"name": "made", "digest": "d1"},
        "evaluation": {
            "split": "test",
            "images": 20,
            "test/accuracy": {"value": 0.8, "low": 0.7, "high": 0.9},
        },
        "files": file_digests(version),
    }
    write_json(version / MANIFEST, manifest)
    mlflow.set_experiment("mien")
    register_missing(mlflow, base)
    set_aliases(mlflow, base)
    return version


def test_the_champion_of_another_run_becomes_a_file_named_by_its_digest(
    root: Path,
) -> None:
    version = push(root / "serving" / "fer2013", classifier((4, 4, 1)))
    path = fetch_backbone("models:/fer2013@champion", root)
    assert path == root / "backbones" / f"{sha256_file(version / KERAS_MODEL)}.keras"
    assert path.read_bytes() == (version / KERAS_MODEL).read_bytes()
    assert fetch_backbone("models:/fer2013/1", root) == path
    assert [other.name for other in path.parent.iterdir()] == [path.name]


def test_a_champion_that_is_a_transfer_model_is_a_backbone_too(root: Path, tmp_path: Path) -> None:
    classifier((4, 4, 1)).save(tmp_path / "first.keras")
    backbone = load_backbone(str(tmp_path / "first.keras"), "", (4, 4, 1))
    head = classifier(backbone.output_shape[1:])
    push(root / "serving" / "transferred", on_top(backbone, head))
    section = with_files({"fixed": {"backbone": "models:/transferred@champion"}}, root)
    again = load_backbone(section["fixed"]["backbone"], "", (4, 4, 1))
    pixels = np.arange(32, dtype=np.float32).reshape(2, 4, 4, 1)
    # Nothing but the output layer lies above the backbone's features.
    np.testing.assert_array_equal(again(pixels), backbone(pixels))


def test_a_model_that_is_not_there_is_told_with_the_cure(root: Path) -> None:
    with pytest.raises(UsageError, match=r"models:/nothing@champion: .* run and push that model"):
        fetch_backbone("models:/nothing@champion", root)


def fixed_files(root: Path, **fixed: Any) -> dict[str, Any]:
    section = with_files({"hypermodel": "transfer", "fixed": fixed}, root)
    assert section["hypermodel"] == "transfer"
    return section["fixed"]


def test_a_file_that_is_trained_again_in_its_place_is_another_backbone(tmp_path: Path) -> None:
    """Else the Trainer, who knows no more than the path, would be reused with the old one."""
    path = tmp_path / "x.keras"
    path.write_bytes(b"first")
    before = fixed_files(tmp_path / "root", backbone=str(path))
    path.write_bytes(b"second")
    after = fixed_files(tmp_path / "root", backbone=str(path))
    assert Path(before["backbone"]).read_bytes() == b"first"
    assert Path(after["backbone"]).read_bytes() == b"second"


def test_a_file_that_was_moved_is_the_same_backbone(tmp_path: Path) -> None:
    path = tmp_path / "x.keras"
    path.write_bytes(b"it")
    before = fixed_files(tmp_path / "root", backbone=str(path))
    moved = path.rename(tmp_path / "moved.keras")
    assert fixed_files(tmp_path / "root", backbone=str(moved)) == before
    assert Path(before["backbone"]).read_bytes() == b"it"


def test_a_relative_root_gives_a_path_that_holds_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.keras").write_bytes(b"it")
    monkeypatch.chdir(tmp_path)
    (path,) = fixed_files(Path("root"), backbone="x.keras").values()
    assert Path(path) == tmp_path / "root" / "backbones" / f"{sha256_file(Path('x.keras'))}.keras"


def test_weights_keep_the_name_that_keras_knows_them_by(tmp_path: Path) -> None:
    (tmp_path / "v1.weights.h5").write_bytes(b"weights")
    fixed = fixed_files(
        tmp_path / "root", backbone="vgg16", weights=str(tmp_path / "v1.weights.h5"), units=128
    )
    assert Path(fixed["weights"]).name.removesuffix(".weights.h5").isalnum()
    assert (fixed["backbone"], fixed["units"]) == ("vgg16", 128)


def test_the_results_of_a_search_are_kept_too(tmp_path: Path) -> None:
    path = tmp_path / "results.zip"
    path.write_bytes(b"it")
    kept = with_files({"results": str(path)}, tmp_path / "root")["results"]
    assert Path(kept).parent == tmp_path / "root" / "sweeps"
    assert Path(kept).read_bytes() == b"it"
    with pytest.raises(UsageError, match=r"tuner\.results: .*nowhere\.zip is no file"):
        with_files({"results": str(tmp_path / "nowhere.zip")}, tmp_path / "root")
