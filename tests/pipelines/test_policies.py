"""What a policy of ExampleValidator does to a run, from the command line to Transform's counts."""

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from components.common.files import read_json
from tests.pipelines.runs import execution, read_run, states
from tfds_builders.drawn_faces.pictures import Picture, draw_png

pytestmark = pytest.mark.xdist_group("policies")

Mien = Callable[..., subprocess.CompletedProcess[str]]

MINE = """\
extends: labelled_faces
dataset: {options: {source: "", subject_pattern: "", min_count: 1}}
split: {train: 1}
example_validator: {min_class_size: 1, near_duplicate_bits: 0}
transform: {height: 16, width: 16, face_crop: null}
"""


def draw(label: str, number: int, size: int = 40) -> bytes:
    return draw_png(Picture(number, label, 0, 0, 1.0), size, (0.9, 1.0), seed=2)


def test_a_dropped_duplicate_is_rejected_counted_and_named(
    mien: Mien, tmp_path: Path, environment: dict[str, str]
) -> None:
    pictures = {f"{label}/{n}.png": draw(label, n) for label in ("happy", "sad") for n in range(6)}
    pictures["happy/8-again.png"] = pictures["happy/3.png"]
    pictures["sad/9-happy-too.png"] = pictures["happy/0.png"]
    # The same pixels in another file: it is the picture that counts.
    gray = cv2.imdecode(np.frombuffer(pictures["sad/4.png"], np.uint8), cv2.IMREAD_COLOR)
    pictures["sad/7-as-bitmap.bmp"] = cv2.imencode(".bmp", gray)[1].tobytes()
    for name, content in pictures.items():
        path = tmp_path / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    config, root = tmp_path / "mine.yaml", tmp_path / "root"
    config.write_text(MINE)
    finished = mien(
        *("run", config, "--raw-dir", tmp_path / "raw", "--root", root, "--until", "transform"),
        *("--set", "example_validator.policies.duplicate=drop"),
        env=environment,
    )
    assert finished.returncode == 0, finished.stderr

    transformed = execution(root, "transform") / "transformed_examples"
    counts = read_json(transformed / "counts.json")
    assert counts["train"]["rejected"] == {"duplicate": 3}
    assert counts["train"]["in"] == len(pictures) == 15
    assert counts["train"]["kept"] == 12
    with (transformed / "rejected.csv").open() as file:
        rejected = {row["source"]: row["reason"] for row in csv.DictReader(file)}
    planted = ["happy/8-again.png", "sad/7-as-bitmap.bmp", "sad/9-happy-too.png"]
    assert rejected == dict.fromkeys(planted, "duplicate")
    run = read_run(root)
    for warning in (
        "duplicate: happy/3.png (train) and happy/8-again.png (train) (and 2 more); 3 left out",
        "conflicting labels: happy/0.png (happy) and sad/9-happy-too.png (sad)",
    ):
        assert warning in run["warnings"]
        assert f"warning: {warning}\n" in finished.stdout
    page = Path(run["pages"]["anomalies"])
    assert f"anomalies: {page}\n" in finished.stdout
    assert all(name in page.read_text() for name in ("happy/3.png", *planted))


def write_h5(folder: Path) -> None:
    """Twelve train and six test pictures; `train_happy.h5:5` is `test_happy.h5:2` once more."""
    folder.mkdir()
    labels = {"train": [0, 1] * 6, "test": [1, 0] * 3}
    faces = {
        "train": [_rgb("happy" if y else "sad", n) for n, y in enumerate(labels["train"])],
        "test": [_rgb("happy" if y else "sad", 20 + n) for n, y in enumerate(labels["test"])],
    }
    faces["train"][5] = faces["test"][2]
    for split in labels:
        with h5py.File(folder / f"{split}_happy.h5", "w") as file:
            file[f"{split}_set_x"] = np.stack(faces[split])
            file[f"{split}_set_y"] = labels[split]


def _rgb(label: str, number: int) -> np.ndarray:
    picture = cv2.imdecode(np.frombuffer(draw(label, number, 64), np.uint8), cv2.IMREAD_COLOR)
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def test_a_test_picture_in_train_stops_the_run_or_leaves_train(
    mien: Mien, tmp_path: Path, environment: dict[str, str]
) -> None:
    raw_dir, root = tmp_path / "raw", tmp_path / "root"
    write_h5(raw_dir)
    run = ("run", "happy_house", "--raw-dir", raw_dir, "--root", root)
    run += ("--until", "example_validator", "--set", "example_validator.near_duplicate_bits=0")
    policy = "example_validator.policies.duplicate_across_splits"

    stopped = mien(*run, "--set", f"{policy}=error", env=environment)
    assert stopped.returncode == 1
    (line,) = stopped.stderr.strip().splitlines()
    assert line.startswith(
        "mien: example_validator failed: duplicate across splits: test_happy.h5:2 (test) and "
        "train_happy.h5:5 ("
    )
    assert f"go on without them by --set {policy}=drop; look at " in line
    page = Path(line.partition("; look at ")[2])
    assert "train_happy.h5:5" in page.read_text()
    assert list(states(root).values()) == ["executed"] * 2 + ["failed"] + ["skipped"] * 6

    went_on = mien(*run, "--set", f"{policy}=drop", env=environment)
    assert went_on.returncode == 0, went_on.stderr
    assert list(states(root).values())[:3] == ["reused", "reused", "executed"]
    anomalies = execution(root, "example_validator") / "anomalies"
    found = json.loads((anomalies / "anomalies.json").read_text())
    assert found["errors"] == []
    (dropped,) = found["quarantined"]
    assert dropped["source"] == "train_happy.h5:5"
    assert dropped["split"] in ("train", "validation")
    assert dropped["reason"].startswith("duplicate_across_splits: test_happy.h5:2 (test) and ")
