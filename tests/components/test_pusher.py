import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.common import tracking
from components.common.export import export_saved_model
from components.common.files import file_digests, read_json, write_json
from components.common.publishing import registry
from components.common.publishing.serving import BESIDE_THE_MODEL, HELD, roll_back
from components.common.recipe import Recipe, write_recipe
from components.pusher import Pushed, push

LABELS = ["sad", "neutral", "happy"]
EVALUATION = {
    "split": "test",
    "images": 20,
    "test/accuracy": {"value": 0.8, "low": 0.7, "high": 0.9},
}


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
    def call(
        model: Path, blessing: str = "BLESSED", infra: str = "BLESSED", **changed: Any
    ) -> Pushed:
        write_json(tmp_path / "b" / "blessing.json", {"blessing": blessing, "reasons": ["too low"]})
        write_json(tmp_path / "e" / "metrics.json", EVALUATION)
        (tmp_path / "e" / "predictions.csv").write_text("id,label,p0,p1,p2\na,0,1.0,0.0,0.0\n")
        verdict = {"infra_blessing": infra, "reasons": ["REST differs"]}
        write_json(tmp_path / "i" / "infra_blessing.json", verdict)
        return push(
            model,
            tmp_path / "e",
            tmp_path / "b",
            tmp_path / "i",
            tmp_path / "pushed",
            model_name="faces",
            serving_dir=tmp_path / "serving",
            split={"method": "auto", "train": 0.7, "validation": 0.1, "test": 0.2, "seed": 0},
            **changed,
        )

    return call


def versions(base: Path) -> set[str]:
    """What TF Serving would open."""
    return {path.name for path in base.glob("*") if path.name.isdecimal()}


def test_models_get_the_next_version_and_the_same_model_keeps_its_own(
    run: Callable[..., Pushed], models: list[Path], base: Path, tmp_path: Path
) -> None:
    assert run(models[0]) == Pushed(str(base / "1"), 1, "blessed", "champion")
    assert run(models[1]).version == 2
    assert run(models[1]).version == 2
    # Servers take the newest: an older model that is pushed again must become it.
    assert run(models[0]).version == 3
    assert versions(base) == {"1", "2", "3"}
    written = read_json(tmp_path / "pushed" / "pushed_model.json")
    assert written == {
        "path": str(base / "3"),
        "version": 3,
        "reason": "blessed",
        "alias": "champion",
        "warnings": [],
        "unregistered": False,
    }


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
    assert all(published.pop(name)["size"] for name in BESIDE_THE_MODEL)
    assert published == file_digests(models[0] / "saved_model")
    answer = tf.saved_model.load(str(base / "1")).signatures["predict_pixels"]
    assert answer(pixels=tf.zeros((2, 4, 4, 1)))["probabilities"].shape == (2, 3)


def test_the_manifest_says_what_it_is(
    run: Callable[..., Pushed], models: list[Path], base: Path
) -> None:
    run(models[0])
    manifest = read_json(base / "1" / "mien_manifest.json")
    files = file_digests(base / "1")
    assert files.keys() - manifest["files"] == {"mien_manifest.json", "model_card.md"}
    assert manifest["files"].items() <= files.items()
    assert manifest["evaluation"] == EVALUATION
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


def test_the_card_and_the_predictions_are_those_of_this_evaluation(
    run: Callable[..., Pushed], models: list[Path], base: Path, tmp_path: Path
) -> None:
    run(models[0], origin={"config": "mine", "run_id": "r1", "git_commit": "c1"})
    card = (base / "1" / "model_card.md").read_text()
    for said in ("names 80.0 % right", "- too low", "70 % train", "| Config | `mine` |"):
        assert said in card
    predictions = tmp_path / "e" / "predictions.csv"
    assert (base / "1" / "mien_predictions.csv").read_bytes() == predictions.read_bytes()
    manifest = read_json(base / "1" / "mien_manifest.json")
    assert manifest["origin"]["git_commit"] == "c1"


def test_a_card_that_a_person_wrote_in_makes_no_other_version(
    run: Callable[..., Pushed], models: list[Path], base: Path
) -> None:
    run(models[0])
    (base / "1" / "model_card.md").write_text("we looked at it")
    assert run(models[0]).version == 1
    assert (base / "1" / "model_card.md").read_text() == "we looked at it"


def test_a_version_without_predictions_is_followed_by_one_that_can_be_compared_with(
    run: Callable[..., Pushed], models: list[Path], base: Path
) -> None:
    run(models[0])
    (base / "1" / "mien_predictions.csv").unlink()
    assert run(models[0]).version == 2


def test_a_challenger_is_held_back_where_no_server_looks(
    run: Callable[..., Pushed], models: list[Path], base: Path
) -> None:
    run(models[0])
    pushed = run(models[1], alias="challenger")
    assert (pushed.path, pushed.version) == (str(base / HELD / "2"), 2)
    assert pushed.alias == "challenger"
    assert pushed.warnings == ("version 2 is held back: `mien models promote faces 2` serves it",)
    assert versions(base) == {"1"}
    assert run(models[1], alias="challenger").version == 2
    assert run(models[0], alias="challenger") == Pushed(str(base / "1"), 1, "blessed", "champion")


def test_what_a_person_took_out_of_service_stays_there_when_it_is_pushed_again(
    run: Callable[..., Pushed], models: list[Path], base: Path
) -> None:
    run(models[0])
    run(models[1])
    roll_back(base)
    pushed = run(models[1])
    assert (pushed.version, pushed.alias) == (2, None)
    assert pushed.warnings == ("version 2 is withdrawn: `mien models promote faces 2` serves it",)
    assert versions(base) == {"1"}


def test_a_number_is_never_given_twice(
    run: Callable[..., Pushed], models: list[Path], base: Path
) -> None:
    run(models[0])
    run(models[1])
    (base / HELD).mkdir()
    (base / "2").rename(base / HELD / "5")
    assert run(models[0]).version == 1
    (base / HELD / "5" / "mien_predictions.csv").unlink()
    assert run(models[1]).version == 6


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of the registry, where MLflow answers."""
    calls: list[str] = []
    monkeypatch.setattr(registry, "register_missing", lambda mlflow, base: calls.append("register"))
    monkeypatch.setattr(registry, "set_aliases", lambda mlflow, base: calls.append("alias"))
    monkeypatch.setattr(tracking, "active_run", lambda: object())
    monkeypatch.setattr(tracking, "run_id", lambda: "run7")
    monkeypatch.setattr(tracking, "tell", lambda call: call(None) is None)
    return calls


def test_the_registry_follows_the_folder(
    run: Callable[..., Pushed],
    models: list[Path],
    base: Path,
    told: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        registry, "register_missing", lambda mlflow, base: told.extend(versions(base))
    )
    pushed = run(models[0])
    assert (pushed.unregistered, pushed.warnings) == (False, ())
    assert told == ["1", "alias"]
    manifest = json.loads((base / "1" / "mien_manifest.json").read_text())
    assert manifest["mlflow_run_id"] == "run7"


def test_without_an_answer_of_mlflow_it_is_published_and_that_is_known(
    run: Callable[..., Pushed],
    models: list[Path],
    base: Path,
    told: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracking, "tell", lambda call: False)
    pushed = run(models[0])
    assert (pushed.unregistered, pushed.warnings) == (True, ())
    assert versions(base) == {"1"}
    assert told == []
