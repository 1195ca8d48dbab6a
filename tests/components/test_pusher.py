import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import MagicMock

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.common.export import export_saved_model
from components.common.files import file_digests, read_json, write_json
from components.common.recipe import Recipe, write_recipe
from components.pusher import Pushed, push

LABELS = ["sad", "neutral", "happy"]


@pytest.fixture(scope="module")
def models(
    tiny_classifier: Callable[..., keras.Model], tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """Two models as Trainer writes them."""
    folders = []
    for _ in range(2):
        folder = tmp_path_factory.mktemp("model")
        model, recipe = tiny_classifier((4, 4, 1), 3), Recipe(4, 4, 1, None)
        model.save(folder / "model.keras")
        warm_up = np.zeros((1, 4, 4, 1), np.uint8)
        export_saved_model(model, recipe, LABELS, warm_up, folder / "saved_model")
        write_recipe(folder, recipe, LABELS)
        write_json(folder / "dataset.json", {"name": "made", "digest": "d1"})
        write_json(folder / "model.json", {"hypermodel": "tiny", "best_epoch": 2})
        folders.append(folder)
    return folders


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "serving" / "faces"


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Pushed]:
    def call(model: Path, blessing: str = "BLESSED", infra: str = "BLESSED") -> Pushed:
        write_json(tmp_path / "b" / "blessing.json", {"blessing": blessing, "reasons": ["too low"]})
        verdict = {"infra_blessing": infra, "reasons": ["REST differs"]}
        write_json(tmp_path / "i" / "infra_blessing.json", verdict)
        return push(
            model,
            tmp_path / "b",
            tmp_path / "i",
            tmp_path / "pushed",
            model_name="faces",
            serving_dir=tmp_path / "serving",
        )

    return call


def versions(base: Path) -> set[str]:
    """What TF Serving would open."""
    return {path.name for path in base.glob("*") if path.name.isdecimal()}


def test_models_get_the_next_version_and_the_same_model_keeps_its_own(
    run: Callable[..., Pushed], models: list[Path], base: Path, tmp_path: Path
) -> None:
    assert run(models[0]) == Pushed(str(base / "1"), 1, "blessed")
    assert run(models[1]).version == 2
    assert run(models[1]).version == 2
    # Servers take the newest: an older model that is pushed again must become it.
    assert run(models[0]).version == 3
    assert versions(base) == {"1", "2", "3"}
    written = read_json(tmp_path / "pushed" / "pushed_model.json")
    assert written == {"path": str(base / "3"), "version": 3, "reason": "blessed"}


def test_a_damaged_version_is_followed_by_a_whole_one(
    run: Callable[..., Pushed], models: list[Path], base: Path
) -> None:
    run(models[0])
    graph = base / "1" / "saved_model.pb"
    graph.write_bytes(graph.read_bytes() + b"x")
    assert run(models[0]).version == 2


def test_what_is_published_is_whole_and_answers(
    run: Callable[..., Pushed], models: list[Path], base: Path
) -> None:
    run(models[0])
    published = file_digests(base / "1")
    manifest = published.pop("mien_manifest.json")
    assert manifest["size"] > 0
    assert published == file_digests(models[0] / "saved_model")
    answer = tf.saved_model.load(str(base / "1")).signatures["predict_pixels"]
    assert answer(pixels=tf.zeros((2, 4, 4, 1)))["probabilities"].shape == (2, 3)


def test_the_manifest_says_what_it_is(
    run: Callable[..., Pushed], models: list[Path], base: Path
) -> None:
    run(models[0])
    manifest = read_json(base / "1" / "mien_manifest.json")
    files = file_digests(base / "1")
    files.pop("mien_manifest.json")
    assert manifest["files"] == files
    assert manifest["labels"] == LABELS
    assert manifest["recipe"] == {
        "height": 4,
        "width": 4,
        "channels": 1,
        "face_crop": None,
        "landmarks": "none",
    }
    assert manifest["dataset"] == {"name": "made", "digest": "d1"}
    assert manifest["trained"]["best_epoch"] == 2
    assert (manifest["model"], manifest["version"]) == ("faces", 1)


@pytest.mark.parametrize(
    ("blessing", "infra", "reason"),
    [
        ("NOT_BLESSED", "BLESSED", "not pushed: too low"),
        ("BLESSED", "NOT_BLESSED", "not pushed: REST differs"),
    ],
)
def test_what_is_not_blessed_is_not_pushed_and_it_says_why(
    run: Callable[..., Pushed],
    models: list[Path],
    base: Path,
    tmp_path: Path,
    blessing: str,
    infra: str,
    reason: str,
) -> None:
    pushed = run(models[0], blessing, infra)
    assert pushed == Pushed(None, None, reason)
    assert not base.exists()
    assert read_json(tmp_path / "pushed" / "pushed_model.json")["reason"] == reason


def test_what_a_killed_process_left_behind_is_harmless(
    run: Callable[..., Pushed], models: list[Path], base: Path
) -> None:
    shutil.copytree(models[1] / "saved_model", base / ".incoming")
    (base / ".incoming" / "junk").write_text("half written")
    assert run(models[0]).version == 1
    assert not (base / "1" / "junk").exists()
    assert not (base / ".incoming").exists()


def test_an_export_that_does_not_load_is_never_visible(
    run: Callable[..., Pushed], models: list[Path], base: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(models[0], broken)
    graph = broken / "saved_model" / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:1000])
    with pytest.raises(Exception, match=r"\w"):
        run(broken)
    assert versions(base) == set()
    assert run(models[0]).version == 1


def test_versions_of_another_origin_are_left_and_counted(
    run: Callable[..., Pushed], models: list[Path], base: Path
) -> None:
    shutil.copytree(models[0] / "saved_model", base / "7")
    (base / "latest").mkdir()
    assert run(models[0]).version == 8
    assert versions(base) == {"7", "8"}


class MlflowError(Exception):
    pass


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> MagicMock:
    """Stands for mlflow with an active run."""
    fake = MagicMock()
    fake.exceptions.MlflowException = MlflowError
    fake.active_run().info.run_id = "run7"
    fake.tensorflow.log_model.return_value.registered_model_version = "3"
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    return fake


def test_the_registrys_champion_is_the_pushed_version(
    run: Callable[..., Pushed], models: list[Path], base: Path, mlflow: MagicMock
) -> None:
    run(models[0])
    client = mlflow.MlflowClient()
    client.set_registered_model_alias.assert_called_once_with("faces", "champion", "3")
    client.set_model_version_tag.assert_called_once_with("faces", "3", "serving_version", "1")
    assert mlflow.tensorflow.log_model.call_args.kwargs["registered_model_name"] == "faces"
    manifest = json.loads((base / "1" / "mien_manifest.json").read_text())
    assert manifest["mlflow_run_id"] == "run7"


def test_a_registry_that_fails_does_not_unpublish(
    run: Callable[..., Pushed], models: list[Path], base: Path, mlflow: MagicMock
) -> None:
    mlflow.tensorflow.log_model.side_effect = MlflowError("no registry")
    assert run(models[0]).version == 1
    assert versions(base) == {"1"}
