"""The happy-or-sad experiment, end to end: on drawn pictures and on the real ones."""

import csv
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from components.common.files import read_json
from tests.pipelines.runs import execution, read_run, states
from tfds_builders.drawn_faces.pictures import Picture, draw_png

Mien = Callable[..., subprocess.CompletedProcess[str]]

SMALL = {
    "transform.height": 48,
    "transform.width": 48,
    "trainer.epochs": 1,
    "evaluator.thresholds.accuracy": 0,
    "evaluator.resamples": 10,
}
OPTIONS = [option for key, value in SMALL.items() for option in ("--set", f"{key}={value}")]
REAL = Path(__file__).parents[3] / "shared" / "data"


def _draw(label: str, number: int) -> bytes:
    return draw_png(Picture(number, label, 0, 0, 1.0), 48, (0.9, 1.0), seed=number)


def _write_archive(folder: Path, pictures: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(folder / "happy-or-sad.zip", "w") as archive:
        for name, content in pictures.items():
            archive.writestr(name, content)
    return folder


def test_a_truncated_picture_is_quarantined_counted_and_named(
    mien: Mien, tmp_path: Path, environment: dict[str, str]
) -> None:
    pictures = {
        f"{label}/{label}-{n:02}.png": _draw(label, n)
        for label in ("happy", "sad")
        for n in range(10)
    }
    pictures["sad/sad-03.png"] = pictures["sad/sad-03.png"][:700]
    raw_dir, root = _write_archive(tmp_path, pictures), tmp_path / "root"
    finished = mien(
        *("run", "happy_or_sad", "--raw-dir", raw_dir, "--root", root, *OPTIONS), env=environment
    )
    assert finished.returncode == 0, finished.stderr

    found = read_json(execution(root, "example_validator") / "anomalies" / "anomalies.json")
    assert [entry["source"] for entry in found["quarantined"]] == ["sad/sad-03.png"]
    assert "warning: undecodable: sad/sad-03.png: " in finished.stdout
    transformed = execution(root, "transform") / "transformed_examples"
    counts = read_json(transformed / "counts.json").values()
    assert sum(of_split["in"] for of_split in counts) == 20
    assert sum(of_split["kept"] for of_split in counts) == 19
    with (transformed / "rejected.csv").open() as file:
        (rejected,) = csv.DictReader(file)
    assert (rejected["source"], rejected["reason"]) == ("sad/sad-03.png", "undecodable")
    assert read_run(root)["pushed_model"]


def test_an_empty_class_stops_the_run(
    mien: Mien, tmp_path: Path, environment: dict[str, str]
) -> None:
    pictures = {f"happy/{n}.png": _draw("happy", n) for n in range(8)}
    raw_dir, root = _write_archive(tmp_path, pictures), tmp_path / "root"
    finished = mien(
        *("run", "happy_or_sad", "--raw-dir", raw_dir, "--root", root, *OPTIONS), env=environment
    )
    assert finished.returncode == 1
    (line,) = finished.stderr.strip().splitlines()
    message = "mien: example_validator failed: missing class: class 'sad' has no image in train"
    assert line.startswith(message)
    assert Path(line.partition("; look at ")[2]).is_file()
    assert states(root)["example_validator"] == "failed"
    assert states(root)["transform"] == "skipped"


def test_the_real_pictures_all_in_train_stop_before_epoch_15(
    mien: Mien, tmp_path: Path, environment: dict[str, str]
) -> None:
    if not (REAL / "happy-or-sad.zip").exists():
        pytest.skip("needs ../shared/data/happy-or-sad.zip")
    options = ("--raw-dir", REAL, "--root", tmp_path, "--set", "split.train=1")
    finished = mien("run", "happy_or_sad", *options, env=environment)
    assert finished.returncode == 0, finished.stderr
    model = execution(tmp_path, "trainer") / "model"
    history = read_json(model / "history.json")
    assert history[-1]["accuracy"] > 0.999
    assert all(row["accuracy"] <= 0.999 for row in history[:-1])
    assert len(history) < 15
    assert read_json(model / "model.json")["parameters"] == 2_373_601
    assert {name.split("/")[0] for name in read_run(tmp_path)["metrics"]} == {"train"}
    infra = read_json(execution(tmp_path, "infra_validator") / "infra_blessing/infra_blessing.json")
    assert max(infra["largest_difference"].values()) <= 1e-5
