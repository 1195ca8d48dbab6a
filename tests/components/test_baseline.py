from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.baseline import train_baseline
from components.common import progress, records, tracking
from components.common.evaluation.classifiers import load_classifier
from components.common.files import read_json, write_json
from components.common.measurements import write_measurements
from components.common.pictures.images import encode_png
from components.common.recipe import Recipe, write_recipe
from components.common.records import Record, load_split
from components.evaluator import evaluate
from tfds_builders.catalog import OptionError

LABELS = ["sad", "neutral", "happy"]
BLACK = encode_png(np.zeros((4, 4, 1), np.uint8))

Run = Callable[..., list[str]]


def write_examples(folder: Path, splits: tuple[str, ...], landmarks: int = 6) -> Path:
    """24 examples a split; each class has its place among the landmarks."""
    folder.mkdir()
    shards: dict[str, Any] = {"train": [], "validation": [], "test": []}
    for seed, split in enumerate(splits):
        rng = np.random.default_rng(seed)
        rows = [
            Record(
                BLACK,
                n % 3,
                f"{split}{n}",
                "",
                f"{n}.png",
                tuple(rng.normal(n % 3, 0.3, landmarks).tolist()),
            )
            for n in range(24)
        ]
        shards[split].append(records.write_shard(folder / f"{split}.tfrecord", rows))
    write_json(folder / "shards.json", shards)
    write_json(folder / "counts.json", {split: {"rejected": {}} for split in splits})
    write_json(folder / "dataset.json", {"name": "made", "labels": LABELS, "digest": "d1"})
    write_recipe(folder, Recipe(4, 4, 1, None), LABELS)
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Trains on the examples in `examples`."""

    def call(**changed: Any) -> list[str]:
        arguments = {
            "kernels": ["linear", "poly"],
            "oracle": "random",
            "objective": "val_accuracy",
            "max_trials": 0,
            "seed": 0,
        }
        outputs = (tmp_path / name for name in ("model", "best", "results"))
        return train_baseline(tmp_path / "examples", *outputs, **(arguments | changed))

    return call


def test_without_trials_it_is_the_experiments_own_svm(run: Run, tmp_path: Path) -> None:
    # The shard of the test split is not there at all.
    examples = write_examples(tmp_path / "examples", ("train", "validation", "test"))
    (examples / "test.tfrecord").unlink()
    assert run() == []
    best = read_json(tmp_path / "best" / "best_hyperparameters.json")
    assert best["values"] == {"kernel": "linear", "scale": False, "C": 1.0, "class_weight": "none"}
    assert best["chosen_by"] == "defaults: no search was asked for"
    assert read_json(tmp_path / "results" / "trials.json") == []
    facts = read_json(tmp_path / "model" / "model.json")
    assert facts["hyperparameters"] == best["values"]
    assert facts["features"] == 6
    assert facts["train"]["accuracy"] == 1
    for name in ("recipe.json", "dataset.json"):
        assert (tmp_path / "model" / name).read_bytes() == (examples / name).read_bytes()


def test_mlflow_is_told_what_it_learned_from(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_examples(tmp_path / "examples", ("train", "validation", "test"))
    told: list[str] = []
    monkeypatch.setattr(tracking, "log_dataset", lambda *_, context, **__: told.append(context))
    run(max_trials=1)
    assert told == ["train", "validation"]


def test_the_best_trial_is_fitted_to_train_again(run: Run, tmp_path: Path) -> None:
    examples = write_examples(tmp_path / "examples", ("train", "validation"))
    told: list[str] = []
    with progress.listening(told.append):
        run(max_trials=3, objective="val_loss")
    assert [text.split(",")[0] for text in told] == ["trial 1/3", "trial 2/3", "trial 3/3"]
    trials = read_json(tmp_path / "results" / "trials.json")
    assert [trial["score"] for trial in trials] == sorted(trial["score"] for trial in trials)
    pictures = {path.name for path in (tmp_path / "results").glob("*.png")}
    assert pictures == {"objective.png", "parallel_coordinates.png"}
    best = read_json(tmp_path / "best" / "best_hyperparameters.json")
    assert (best["trial"], best["values"]) == (trials[0]["id"], trials[0]["values"])
    assert best["chosen_by"].startswith("best val_loss of 3 trials, ")
    facts = read_json(tmp_path / "model" / "model.json")
    row = trials[0]["epochs"][0]
    assert facts["train"] == {name: row[name] for name in ("accuracy", "macro_f1", "loss")}
    assert facts["parameters"] == trials[0]["parameters"]
    validation = load_split(examples, "validation")
    predicted = load_classifier(tmp_path / "model")(validation).argmax(axis=1)
    assert (predicted == validation.labels).mean() == row["val_accuracy"]


def test_without_a_validation_split_nothing_is_searched(run: Run, tmp_path: Path) -> None:
    write_examples(tmp_path / "examples", ("train",))
    run(max_trials=3)
    best = read_json(tmp_path / "best" / "best_hyperparameters.json")
    assert best["chosen_by"] == "defaults: there is no validation split to select on"


def test_the_same_evaluator_judges_it(run: Run, tmp_path: Path) -> None:
    examples = write_examples(tmp_path / "examples", ("train", "test"))
    run(kernels=["poly"])
    (tmp_path / "statistics").mkdir()
    write_measurements(tmp_path / "statistics" / "measurements.csv", [])
    verdict = evaluate(
        examples,
        *(tmp_path / name for name in ("statistics", "model", "evaluation", "blessing")),
        champion=None,
        thresholds={"accuracy": 0.9},
        not_worse_than_champion={},
        test_time_augmentation=False,
        resamples=10,
        seed=0,
        predictions_dir=tmp_path / "predictions",
    )
    assert verdict.split == "test"
    assert verdict.blessed, verdict.reasons


def test_pictures_without_landmarks_are_refused_with_the_cure(run: Run, tmp_path: Path) -> None:
    write_examples(tmp_path / "examples", ("train",), landmarks=0)
    with pytest.raises(OptionError, match=r"say transform\.landmarks=scale_free"):
        run()
    assert not (tmp_path / "model").exists()


def test_a_training_that_does_not_end_is_warned_of(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_examples(tmp_path / "examples", ("train",))
    monkeypatch.setattr("tuning.landmark_svm.MAX_ITER", 1)
    (warning,) = run()
    assert "was stopped after" in warning
    assert read_json(tmp_path / "model" / "model.json")["converged"] is False
