"""Against MLflow itself, on a sqlite file."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import mlflow as mlflow_module
import numpy as np
import pytest

from components.common.export import export_saved_model
from components.common.files import file_digests, write_json
from components.common.pictures.images import encode_png
from components.common.publishing import registry
from components.common.publishing.registry import (
    description,
    register_missing,
    registered_versions,
    set_aliases,
    set_own_aliases,
    tags,
)
from components.common.publishing.serving import HELD, KERAS_MODEL, MANIFEST, promote, roll_back
from components.common.recipe import Recipe

LABELS = ["sad", "happy"]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mlflow") / "mlflow.db"


@pytest.fixture
def mlflow(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module, on an experiment of the test's own."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # MLflow sets it, and whoever comes next has it.
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    before = mlflow_module.get_tracking_uri()
    mlflow_module.set_tracking_uri(f"sqlite:///{database}")
    experiment = mlflow_module.create_experiment(tmp_path.name, (tmp_path / "artifacts").as_uri())
    mlflow_module.set_experiment(experiment_id=experiment)
    yield mlflow_module
    mlflow_module.set_tracking_uri(before)


@pytest.fixture(scope="module")
def saved_model(
    tiny_classifier: Callable[..., keras.Model], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("export") / "model"
    model = tiny_classifier((4, 4, 1), 2)
    warm_up = np.zeros((1, 4, 4, 1), np.uint8)
    export_saved_model(model, Recipe(4, 4, 1, None), LABELS, warm_up, folder)
    model.save(folder / KERAS_MODEL)
    return folder


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Of a model whose name no other test has."""
    return tmp_path / "serving" / tmp_path.name


def write_version(base: Path, number: int, saved_model: Path, *, held: bool = False) -> None:
    folder = (base / HELD if held else base) / str(number)
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(saved_model, folder)
    # A number of its own makes the digests of two versions differ, as those of two models do.
    (folder / "assets" / "made").write_text(f"{number} of {base}")
    manifest = {
        "model": base.name,
        "version": number,
        "labels": LABELS,
        "recipe": {"height": 4, "width": 4, "channels": 1},
        "dataset": {"name": "made", "digest": "d1"},
        "origin": {"config": "mine", "run_id": "r1", "git_commit": "c1"},
        "trained": {"data": {"train": {"images": 1234}}},
        "evaluation": {
            "split": "test",
            "images": 20,
            "test/accuracy": {"value": 0.8, "low": 0.7, "high": 0.9},
        },
        "mlflow_run_id": "m1",
        "files": file_digests(folder),
    }
    write_json(folder / MANIFEST, manifest)


@pytest.fixture
def aliases(mlflow: Any, base: Path) -> Callable[[], dict[str, str]]:
    """The serving version that each alias of the registry leads to."""

    def read() -> dict[str, str]:
        client = mlflow.MlflowClient()
        found = client.get_registered_model(base.name).aliases
        return {
            alias: client.get_model_version(base.name, version).tags["serving_version"]
            for alias, version in found.items()
        }

    return read


def test_what_is_registered_answers_as_what_is_served_without_pickle(
    mlflow: Any, base: Path, saved_model: Path, tmp_path: Path
) -> None:
    write_version(base, 1, saved_model)
    assert register_missing(mlflow, base) == [1]
    set_aliases(mlflow, base)

    uri = f"models:/{base.name}@champion"
    model = mlflow.pyfunc.load_model(uri)
    picture = np.arange(16, dtype=np.uint8).reshape(4, 4, 1) * 15
    answers = model.predict([encode_png(picture), encode_png(picture // 2)])
    expected = keras.models.load_model(saved_model / KERAS_MODEL)(picture[np.newaxis])
    assert [list(answer) for answer in answers] == [LABELS, LABELS]
    happy = float(np.asarray(expected).ravel()[-1])
    assert answers[0]["happy"] == pytest.approx(happy, abs=1e-5)
    assert answers[0]["happy"] != answers[1]["happy"]
    assert [column.type.name for column in model.metadata.signature.inputs] == ["binary"]
    assert model.input_example is not None

    kept = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path / "kept")))
    names = {path.suffix for path in kept.rglob("*")}
    assert ".keras" in names  # which the transfer hypermodel takes for a backbone
    assert not names & {".pkl", ".pickle", ".cloudpickle"}
    requirements = (kept / "requirements.txt").read_text()
    assert f"keras=={keras.__version__}" in requirements


def test_a_registry_version_leads_to_run_data_config_and_commit(
    mlflow: Any, base: Path, saved_model: Path
) -> None:
    write_version(base, 1, saved_model)
    with mlflow.start_run() as run:
        register_missing(mlflow, base)
    version = registered_versions(mlflow, base)[1]
    assert version.run_id == run.info.run_id
    assert version.tags | {"mien.model_digest": "x"} == {
        "serving_version": "1",
        "mien.model_digest": "x",
        "mien.dataset": "made",
        "mien.dataset_digest": "d1",
        "mien.config": "mine",
        "mien.run_id": "r1",
        "mien.git_commit": "c1",
        "mien.mlflow_run_id": "m1",
    }
    for said in (
        "Facial expressions: sad, happy.",
        "Of 20 images of the test split it names 80.0 % right (95 % interval 70.0 % to 90.0 %).",
        "Trained on 1,234 images of `made` by config `mine`.",
        f"Served as version 1: `mien serve {base.name}`.",
    ):
        assert said in version.description


def test_what_is_registered_is_not_registered_again(
    mlflow: Any, base: Path, saved_model: Path
) -> None:
    write_version(base, 1, saved_model)
    write_version(base, 2, saved_model, held=True)
    assert register_missing(mlflow, base) == [1, 2]
    assert register_missing(mlflow, base) == []
    write_version(base, 3, saved_model)
    assert register_missing(mlflow, base) == [3]


def enter(mlflow: Any, base: Path, *numbers: int) -> None:
    """Has the registry know versions, without their files."""
    mlflow.MlflowClient().create_registered_model(base.name)
    enter_versions(mlflow, base, *numbers)


def enter_versions(mlflow: Any, base: Path, *numbers: int) -> None:
    client = mlflow.MlflowClient()
    for number in numbers:
        folder = base / str(number)
        manifest = json.loads((folder / MANIFEST).read_text())
        client.create_model_version(base.name, folder.as_uri(), tags=dict(tags(manifest)))


def test_the_aliases_follow_the_folder(
    mlflow: Any, base: Path, saved_model: Path, aliases: Callable[[], dict[str, str]]
) -> None:
    for number in (1, 2):
        write_version(base, number, saved_model)
    enter(mlflow, base, 1, 2)
    assert set_aliases(mlflow, base) == ["the registry's champion is now version 2"]
    assert aliases() == {"champion": "2"}
    assert set_aliases(mlflow, base) == []

    (base / HELD).mkdir()
    (base / "2").rename(base / HELD / "2")
    assert len(set_aliases(mlflow, base)) == 2
    assert aliases() == {"champion": "1", "challenger": "2"}

    promote(base, 2)
    assert "the registry's challenger is removed" in set_aliases(mlflow, base)
    assert aliases() == {"champion": "2"}


def test_an_alias_never_leads_to_what_is_not_served(
    mlflow: Any, base: Path, saved_model: Path, aliases: Callable[[], dict[str, str]]
) -> None:
    write_version(base, 1, saved_model)
    enter(mlflow, base, 1)
    set_aliases(mlflow, base)
    write_version(base, 2, saved_model)  # It is served now, and the registry does not know it.
    assert set_aliases(mlflow, base) == ["the registry's champion is removed"]
    assert aliases() == {}


def test_a_version_of_another_root_is_not_taken_for_ours(
    mlflow: Any, base: Path, saved_model: Path, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs" / base.name
    write_version(theirs, 1, saved_model)
    enter(mlflow, theirs, 1)
    write_version(base, 1, saved_model)
    assert registered_versions(mlflow, base) == {}
    assert list(registered_versions(mlflow, theirs)) == [1]


def test_an_alias_that_another_root_has_is_taken_by_a_push_and_not_by_a_look(
    mlflow: Any, base: Path, saved_model: Path, tmp_path: Path
) -> None:
    write_version(base, 1, saved_model)
    write_version(base, 2, saved_model, held=True)
    theirs = tmp_path / "theirs" / base.name
    write_version(theirs, 1, saved_model)
    enter(mlflow, base, 1)
    assert set_own_aliases(mlflow, base) == ["the registry's champion is now version 1"]
    enter_versions(mlflow, theirs, 1)
    assert set_own_aliases(mlflow, theirs) == []
    assert set_aliases(mlflow, theirs) == ["the registry's champion is now version 1"]
    assert set_own_aliases(mlflow, base) == []
    promote(base, 2)
    enter_versions(mlflow, base, 2)
    assert set_own_aliases(mlflow, base) == []
    assert set_aliases(mlflow, base) == ["the registry's champion is now version 2"]


def test_a_version_whose_manifest_is_torn_keeps_no_alias(
    mlflow: Any, base: Path, saved_model: Path, aliases: Callable[[], dict[str, str]]
) -> None:
    for number in (1, 2):
        write_version(base, number, saved_model)
    enter(mlflow, base, 1, 2)
    set_aliases(mlflow, base)
    (base / "2" / MANIFEST).write_text('{"model": ')
    roll_back(base)
    assert set_aliases(mlflow, base) == ["the registry's champion is now version 1"]
    assert aliases() == {"champion": "1"}
    assert register_missing(mlflow, base) == []


def test_a_version_of_another_maker_is_left_alone(
    mlflow: Any, base: Path, saved_model: Path
) -> None:
    shutil.copytree(saved_model, base / "1")
    assert register_missing(mlflow, base) == []
    assert set_aliases(mlflow, base) == []


def test_a_label_is_text_and_no_markdown() -> None:
    manifest = {
        "model": "faces",
        "version": 1,
        "labels": ["*sad*", "<b>happy</b>"],
        "dataset": {"name": "made", "digest": "d1"},
    }
    assert r"Facial expressions: \*sad\*, \<b\>happy\</b\>." in description(manifest)


def test_what_an_earlier_mien_pushed_is_described_without_numbers() -> None:
    manifest = {
        "model": "faces",
        "version": 1,
        "labels": LABELS,
        "dataset": {"name": "made", "digest": "d1"},
        "files": {},
    }
    assert "It was pushed without an evaluation." in description(manifest)
    assert "Trained on `made`." in description(manifest)
    assert set(dict(tags(manifest))) == {
        "serving_version",
        "mien.model_digest",
        "mien.dataset",
        "mien.dataset_digest",
    }


def test_what_is_registered_late_takes_no_alias_that_another_root_moved_since(
    mlflow: Any,
    base: Path,
    saved_model: Path,
    tmp_path: Path,
    aliases: Callable[[], dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def tell(call: Callable[[Any], object]) -> bool:
        call(mlflow)
        return True

    monkeypatch.setattr(registry.tracking, "active_run", lambda: "a run")
    monkeypatch.setattr(registry.tracking, "tell", tell)
    write_version(base, 1, saved_model)
    assert registry.register_late(base)
    assert aliases() == {"champion": "1"}
    theirs = tmp_path / "theirs" / base.name
    write_version(theirs, 7, saved_model)
    assert registry.register(theirs)
    assert registry.register_late(base)
    assert aliases() == {"champion": "7"}
