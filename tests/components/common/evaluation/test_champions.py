from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.common.evaluation.champions import (
    NotComparableError,
    champion_folder,
    champion_identity,
    read_champion,
)
from components.common.evaluation.predictions import write_predictions
from components.common.files import file_digests, write_json

DATASET = {"name": "drawn_faces", "options": {"size": 64}, "labels": ["sad", "happy"]}


def publish(
    base: Path, version: int, sure: float = 0.9, split: str = "test", **changed: Any
) -> Path:
    """A version folder, with predictions of two pictures."""
    folder = base / str(version)
    folder.mkdir(parents=True, exist_ok=True)
    probabilities = np.array([[sure, 1 - sure], [1 - sure, sure]], np.float32)
    path = folder / "mien_predictions.csv"
    write_predictions(path, "ab", np.array([0, 1]), probabilities, ["d1", "d2"])
    (folder / "saved_model.pb").write_bytes(b"")
    files = file_digests(folder)
    manifest = {"dataset": {**DATASET, **changed}, "evaluation": {"split": split}, "files": files}
    write_json(folder / "mien_manifest.json", manifest)
    return folder


def test_the_champion_is_the_newest_version_that_is_served(tmp_path: Path) -> None:
    assert champion_folder(tmp_path / "nowhere") is None
    for version in (2, 10, 9):
        publish(tmp_path, version)
    publish(tmp_path / ".held", 11)
    assert champion_folder(tmp_path) == tmp_path / "10"


def test_the_champion_of_the_plan_is_found_though_it_was_held_back_since(tmp_path: Path) -> None:
    for folder in ("1", ".held/2"):
        (tmp_path / folder).mkdir(parents=True)
    assert champion_folder(tmp_path, 2) == tmp_path / ".held" / "2"
    assert champion_folder(tmp_path) == tmp_path / "1"


def test_a_champion_is_told_from_another_by_version_and_predictions(tmp_path: Path) -> None:
    assert champion_identity(tmp_path) == {}
    publish(tmp_path, 1)
    first = champion_identity(tmp_path)
    publish(tmp_path, 1, sure=0.8)
    second = champion_identity(tmp_path)
    publish(tmp_path, 2, sure=0.8)
    third = champion_identity(tmp_path)
    assert (first["version"], second["version"], third["version"]) == (1, 1, 2)
    assert first["predictions"] != second["predictions"] == third["predictions"]


def test_its_predictions_are_those_beside_it(tmp_path: Path) -> None:
    champion = read_champion(publish(tmp_path, 4), DATASET, "test")
    assert champion.version == 4
    assert champion.predictions["b"] == pytest.approx([0.1, 0.9])
    assert champion.digests == {"a": "d1", "b": "d2"}


def test_predictions_that_lost_a_row_are_not_comparable(tmp_path: Path) -> None:
    folder = publish(tmp_path, 4)
    path = folder / "mien_predictions.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(NotComparableError, match=r"is damaged: mien_predictions\.csv is not the"):
        read_champion(folder, DATASET, "test")


def test_one_without_predictions_is_not_comparable_and_the_cure_is_told(tmp_path: Path) -> None:
    folder = publish(tmp_path, 4)
    (folder / "mien_predictions.csv").unlink()
    assert champion_identity(tmp_path) == {"version": 4, "predictions": ""}
    with pytest.raises(NotComparableError, match=r"version 4.* has no mien_predictions\.csv: push"):
        read_champion(folder, DATASET, "test")


@pytest.mark.parametrize(
    "changed", [{"name": "fer2013"}, {"options": {"size": 96}}, {"labels": ["happy", "sad"]}]
)
def test_one_of_another_dataset_is_not_comparable(tmp_path: Path, changed: dict[str, Any]) -> None:
    folder = publish(tmp_path, 1, **changed)
    with pytest.raises(NotComparableError, match=f"other data: its {next(iter(changed))} was"):
        read_champion(folder, DATASET, "test")


def test_one_that_knew_the_answers_is_not_comparable(tmp_path: Path) -> None:
    folder = publish(tmp_path, 1, split="train")
    with pytest.raises(NotComparableError, match="its judged split was train, is test: push once"):
        read_champion(folder, DATASET, "test")
