from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.examples import Example, write_examples
from components.common.files import read_json
from components.common.images import encode_png
from components.common.measurements import Measurement, write_measurements
from components.example_validator import (
    Anomalies,
    InvalidExamplesError,
    find_anomalies,
    validate_examples,
)
from components.statistics_gen import generate_statistics

LABELS = ["happy", "sad"]


def example(number: int, split: str = "train", label: str = "happy", subject: str = "") -> Example:
    return Example(f"id{number}", split, label, subject, f"{label}/{number}.png")


def measured(number: int, *, sha256: str = "", std: float = 50.0, error: str = "") -> Measurement:
    return Measurement(f"id{number}", 8, 8, 100.0, std, sha256 or str(number), error)


# What is sound: three happy and three sad images in train.
ROWS = [example(n, label=LABELS[n % 2]) for n in range(6)]
MEASURED = [measured(n) for n in range(6)]


def anomalies_of(
    rows: Sequence[Example], measurements: Sequence[Measurement], least: int = 1
) -> Anomalies:
    return find_anomalies(
        [*ROWS, *rows], [*MEASURED, *measurements], LABELS, min_class_size=least, blank_std=1.0
    )


def test_sound_examples_have_no_anomaly() -> None:
    assert anomalies_of([], []) == Anomalies([], [], [])


def test_an_undecodable_image_is_quarantined_and_named() -> None:
    found = anomalies_of([example(6)], [measured(6, error="truncated PNG")])
    assert found.errors == []
    assert found.warnings == ["happy/6.png: undecodable: truncated PNG"]
    assert found.quarantined == [
        {
            "id": "id6",
            "split": "train",
            "source": "happy/6.png",
            "reason": "undecodable: truncated PNG",
        }
    ]


def test_undecodable_images_are_not_duplicates_of_one_another() -> None:
    broken = [Measurement(f"id{n}", 0, 0, 0.0, 0.0, "", "broken") for n in (6, 7)]
    found = anomalies_of([example(6), example(7, split="test")], broken)
    assert found.errors == []
    assert len(found.warnings) == len(found.quarantined) == 2


@pytest.mark.parametrize(("split", "is_error"), [("train", False), ("test", True)])
def test_a_picture_twice_is_an_error_only_across_splits(split: str, is_error: bool) -> None:
    found = anomalies_of([example(6, split)], [measured(6, sha256="0")])
    text = f"the same picture: happy/0.png (train), happy/6.png ({split})"
    assert (found.errors, found.warnings) == (([text], []) if is_error else ([], [text]))


def test_a_class_without_train_images_is_an_error() -> None:
    found = find_anomalies(
        [example(0), example(1, "test", "sad")], MEASURED[:2], LABELS, min_class_size=1, blank_std=1
    )
    assert len(found.errors) == 1
    assert "'sad' has no image in train" in found.errors[0]


def test_a_class_whose_only_train_image_is_undecodable_is_an_error() -> None:
    found = find_anomalies(
        [example(0), example(1, label="sad")],
        [measured(0), measured(1, error="broken")],
        LABELS,
        min_class_size=1,
        blank_std=1.0,
    )
    assert "'sad' has no image in train" in found.errors[0]


def test_a_tiny_class_is_a_warning() -> None:
    found = anomalies_of([example(6)], [measured(6)], least=4)
    assert found.errors == []
    assert found.warnings == ["class 'sad' has only 3 images in train"]


def test_a_blank_image_is_a_warning() -> None:
    found = anomalies_of([example(6)], [measured(6, std=0.25)])
    assert found.errors == []
    assert found.warnings == ["happy/6.png: blank, standard deviation 0.25"]


def test_a_subject_on_two_sides_is_an_error() -> None:
    rows = [example(6, subject="ann"), example(7, "test", subject="ann"), example(8, subject="bob")]
    found = anomalies_of(rows, [measured(n) for n in (6, 7, 8)])
    assert found.errors == ["1 subjects are in two splits, first ann: set split.method=subject"]


def test_an_error_stops_the_run_and_everything_is_written(tmp_path: Path) -> None:
    rows = [example(0), example(1)]
    write_examples(tmp_path, rows, {"labels": LABELS})
    write_measurements(tmp_path / "measurements.csv", MEASURED[:2])
    with pytest.raises(InvalidExamplesError, match="'sad' has no image in train"):
        validate_examples(tmp_path, tmp_path, tmp_path / "out", min_class_size=3, blank_std=1.0)
    written = read_json(tmp_path / "out" / "anomalies.json")
    assert len(written["errors"]) == 1
    assert written["warnings"] == ["class 'happy' has only 2 images in train"]
    assert written["quarantined"] == []


def test_real_pictures(
    tmp_path: Path,
    make_examples: Callable[..., Path],
    noise: Callable[..., NDArray[np.uint8]],
    face_png: Callable[..., bytes],
    beam: dict[str, str],
) -> None:
    members = {
        "happy/face.png": face_png("happy", 0, 32),
        "happy/again.png": face_png("happy", 0, 32),
        "happy/cut.png": face_png("happy", 1, 32)[:80],
        "sad/blank.png": encode_png(np.full((9, 9, 3), 7, np.uint8)),
        "sad/noise.png": encode_png(noise(0)),
    }
    examples = make_examples(tmp_path, members)
    generate_statistics(examples, tmp_path / "s", beam=beam)
    found = validate_examples(
        examples, tmp_path / "s", tmp_path / "a", min_class_size=2, blank_std=1.0
    )
    assert [entry["source"] for entry in found.quarantined] == ["happy/cut.png"]
    cut, blank, same = found.warnings
    assert cut.startswith("happy/cut.png: undecodable")
    assert blank == "sad/blank.png: blank, standard deviation 0.00"
    assert same.startswith("the same picture")
    assert read_json(tmp_path / "a" / "anomalies.json")["warnings"] == found.warnings
