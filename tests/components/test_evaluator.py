import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest
from matplotlib.figure import Figure

from components.common import tracking
from components.common.evaluation import cached_predictions
from components.common.evaluation.predictions import (
    read_digests,
    read_predictions,
    write_predictions,
)
from components.common.files import file_digests, read_json, write_json
from components.common.measurements import Measurement, write_measurements
from components.evaluator import Evaluation, evaluate

LABELS = ["sad", "happy"]
FIGURES = ["confusion_matrix", "confusion_matrix_normalized", "mistakes", "reliability", "roc"]

Run = Callable[..., Evaluation]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a sigmoid that calls pictures with a bright left half class 1."""
    inputs = keras.Input((12, 12, 1))
    dense = keras.layers.Dense(1, activation="sigmoid")
    left = keras.layers.Cropping2D(((0, 0), (0, 6)))(inputs)
    classifier = keras.Model(inputs, dense(keras.layers.GlobalAveragePooling2D()(left)))
    dense.set_weights([np.array([[0.1]]), np.array([-12.0])])
    folder = tmp_path_factory.mktemp("model")
    classifier.save(folder / "model.keras")
    return folder


@pytest.fixture
def run(
    tmp_path: Path,
    model: Path,
    write_transformed: Callable[..., Path],
    bright_or_dark: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Evaluates the model where these splits are there, so many images of each labelled wrong.

    Figures take most of the time, and are drawn where they are asked for.
    """

    def call(
        splits: tuple[str, ...] = ("test",), wrong: int = 0, drawn: bool = False, **changed: Any
    ) -> Evaluation:
        if not drawn:
            monkeypatch.setattr(Figure, "savefig", lambda figure, path: None)
        pixels, labels = bright_or_dark(20)
        labels = np.where(np.arange(20) < wrong, 1 - labels, labels)
        examples = tmp_path / f"examples{wrong}"
        if not examples.exists():
            write_transformed(examples, dict.fromkeys(splits, (pixels, labels)), LABELS)
        statistics = tmp_path / "statistics"
        statistics.mkdir(exist_ok=True)
        faces = [
            Measurement(f"{split}{n}", 12, 12, 0.0, 0.0, f"digest{n}", "", int(n < 10), "")
            for split in splits
            for n in range(20)
        ]
        write_measurements(statistics / "measurements.csv", faces)
        arguments = {
            "champion": None,
            "thresholds": {},
            "not_worse_than_champion": {},
            "test_time_augmentation": False,
            "resamples": 20,
            "seed": 0,
            "predictions_dir": tmp_path / "predictions",
        }
        folders = (tmp_path / "evaluation", tmp_path / "blessing")
        return evaluate(examples, statistics, model, *folders, **(arguments | changed))

    return call


@pytest.fixture
def champion(tmp_path: Path) -> Callable[..., Path]:
    """Publishes a champion that was right with all of the test pictures but some."""

    def publish(
        wrong: int = 0, dataset: Mapping[str, Any] | None = None, digest: str = "digest"
    ) -> Path:
        version = tmp_path / "serving" / "3"
        version.mkdir(parents=True, exist_ok=True)
        said = np.arange(20) % 2 ^ (np.arange(20) < wrong)
        probabilities = (np.eye(2)[said] * 0.8 + 0.1).astype(np.float32)
        ids = [f"test{n}" for n in range(20)]
        path = version / "mien_predictions.csv"
        digests = [f"{digest}{n}" for n in range(20)]
        write_predictions(path, ids, np.arange(20) % 2, probabilities, digests)
        (version / "saved_model.pb").write_bytes(b"")
        manifest = {
            "dataset": {"name": "made", "labels": LABELS, "digest": "of long ago"}
            | (dataset or {}),
            "evaluation": {"split": "test"},
            "files": {path.name: file_digests(version)[path.name]},
        }
        write_json(version / "mien_manifest.json", manifest)
        return version

    return publish


def test_a_good_model_is_blessed(run: Run, tmp_path: Path) -> None:
    evaluation = run(("train", "validation", "test"), thresholds={"accuracy": 0.9})
    assert evaluation.blessed
    # 20 of 20 are right, and the 20th root of 0.025 is as far down as that is likely.
    assert evaluation.metrics["accuracy"] == (1, pytest.approx(0.025 ** (1 / 20)), 1)
    assert evaluation.warnings == []
    blessing = read_json(tmp_path / "blessing" / "blessing.json")
    assert blessing == {"blessing": "BLESSED", "reasons": evaluation.reasons}


def test_a_bad_model_is_not_blessed_and_the_reasons_are_written(run: Run, tmp_path: Path) -> None:
    evaluation = run(wrong=20, thresholds={"accuracy": 0.9, "ece": 0.5})
    assert not evaluation.blessed
    assert evaluation.metrics["accuracy"].value == 0
    blessing = read_json(tmp_path / "blessing" / "blessing.json")
    assert blessing["blessing"] == "NOT_BLESSED"
    assert [reason.endswith("fails") for reason in blessing["reasons"]] == [True, True]


def test_one_threshold_that_fails_is_enough(run: Run) -> None:
    evaluation = run(wrong=5, thresholds={"accuracy": 0.7, "macro_f1": 0.8})
    assert [reason.split(": ")[-1] for reason in evaluation.reasons] == ["holds", "fails"]
    assert not evaluation.blessed


def test_without_a_threshold_a_model_is_blessed_and_the_reason_says_so(run: Run) -> None:
    evaluation = run(wrong=20)
    assert (evaluation.blessed, evaluation.reasons) == (True, ["no threshold was set"])


@pytest.mark.parametrize(
    ("splits", "judged"),
    [
        (("train", "validation", "test"), "test"),
        (("train", "validation"), "validation"),
        (("train",), "train"),
    ],
)
def test_every_number_names_the_split_that_was_judged(
    run: Run, tmp_path: Path, splits: tuple[str, ...], judged: str
) -> None:
    evaluation = run(splits, thresholds={"accuracy": 0.5})
    assert evaluation.split == judged
    assert evaluation.reasons[0].startswith(f"{judged}/accuracy")
    without = f"there is no test split: judged on {judged}"
    assert evaluation.warnings == ([] if judged == "test" else [without])
    written = read_json(tmp_path / "evaluation" / "metrics.json")
    assert (written.pop("split"), written.pop("images")) == (judged, 20)
    assert written.pop("rejected") == {}
    assert written.pop("test_read", None) == ("now" if judged == "test" else None)
    assert set(written) == {f"{judged}/{name}" for name in evaluation.metrics}
    assert written[f"{judged}/accuracy"] == evaluation.metrics["accuracy"]._asdict()


def test_what_was_rejected_before_stands_beside_the_numbers(run: Run, tmp_path: Path) -> None:
    run()
    counts = {"test": {"rejected": {"no face found": 7}}}
    write_json(tmp_path / "examples0" / "counts.json", counts)
    run()
    written = read_json(tmp_path / "evaluation" / "metrics.json")
    assert (written["images"], written["rejected"]) == (20, {"no face found": 7})


def test_the_test_split_is_read_once_a_model(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags: dict[str, str] = {}
    monkeypatch.setattr(tracking, "set_tags", tags.update)
    first = run(wrong=3, thresholds={"accuracy": 0.9})
    assert tags == {"mien.test_read": "now"}
    monkeypatch.setattr(cached_predictions, "load_classifier", None)
    second = run(wrong=3, thresholds={"accuracy": 0.8})
    assert (first.blessed, second.blessed) == (False, True)
    assert second.metrics == first.metrics
    assert read_json(tmp_path / "evaluation" / "metrics.json")["test_read"] == "before"
    assert tags == {"mien.test_read": "before"}


def test_each_class_has_its_rates_with_intervals(run: Run, tmp_path: Path) -> None:
    run(wrong=5)
    sad, happy = read_json(tmp_path / "evaluation" / "classes.json")
    assert (sad["label"], sad["images"], happy["label"], happy["images"]) == ("sad", 9, "happy", 11)
    assert sad["recall"]["value"] == pytest.approx(7 / 9)
    assert sad["recall"]["low"] < sad["recall"]["value"] < sad["recall"]["high"]
    assert sad["precision"]["value"] == pytest.approx(0.7)
    assert 0.5 < happy["roc_auc"] < 1


def test_the_rates_of_a_class_without_a_mistake_are_as_sure_as_its_pictures_are_many(
    run: Run, tmp_path: Path
) -> None:
    run()
    sad = read_json(tmp_path / "evaluation" / "classes.json")[0]
    for rate in ("precision", "recall"):
        assert sad[rate] == {"value": 1, "low": pytest.approx(0.025 ** (1 / 10)), "high": 1}


def test_a_class_that_is_never_right_has_rates_that_may_be_more_than_0(
    run: Run, tmp_path: Path
) -> None:
    run(wrong=20)
    sad = read_json(tmp_path / "evaluation" / "classes.json")[0]
    for rate in ("precision", "recall"):
        assert sad[rate] == {"value": 0, "low": 0, "high": pytest.approx(1 - 0.025 ** (1 / 10))}


def test_slices_tell_where_the_mistakes_are(run: Run, tmp_path: Path) -> None:
    run(wrong=5)
    slices = read_json(tmp_path / "evaluation" / "slices.json")
    of_faces = {of["value"]: of["accuracy"]["value"] for of in slices if of["slice"] == "face"}
    assert of_faces == {"found": 0.5, "not found": 1.0}
    assert {of["slice"] for of in slices} == {"brightness", "face"}


def test_the_most_confident_mistakes_come_first_with_their_files(run: Run, tmp_path: Path) -> None:
    run(wrong=5)
    with (tmp_path / "evaluation" / "mistakes.csv").open(newline="") as file:
        mistakes = list(csv.DictReader(file))
    assert {row["id"] for row in mistakes} == {f"test{n}" for n in range(5)}
    probabilities = [float(row["probability"]) for row in mistakes]
    assert probabilities == sorted(probabilities, reverse=True)
    for row in mistakes:
        assert row["source"] == row["id"].replace("test", "") + ".png"
        assert {row["label"], row["predicted"]} == set(LABELS)


def test_predictions_and_the_figures_are_written(run: Run, tmp_path: Path) -> None:
    run(wrong=2, drawn=True)
    predictions = read_predictions(tmp_path / "evaluation" / "predictions.csv")
    assert list(predictions) == [f"test{n}" for n in range(20)]
    assert [np.argmax(row) for row in predictions.values()] == [0, 1] * 10
    digests = read_digests(tmp_path / "evaluation" / "predictions.csv")
    assert digests == {f"test{n}": f"digest{n}" for n in range(20)}
    np.testing.assert_allclose([sum(row) for row in predictions.values()], 1, atol=1e-6)
    for name in FIGURES:
        assert cv2.imread(str(tmp_path / "evaluation" / f"{name}.png")).std() > 0


def test_mlflow_is_told_the_metrics_and_given_the_files(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics: dict[str, float] = {}
    files: list[str] = []
    monkeypatch.setattr(tracking, "log_metrics", metrics.update)
    monkeypatch.setattr(tracking, "log_artifact", lambda path: files.append(path.name))
    run(wrong=5, drawn=True)
    assert metrics["test/accuracy"] == 0.75
    assert {"test/ece", "test/f1/sad", "test/f1/happy"} <= metrics.keys()
    wanted = {"metrics.json", "classes.json", "slices.json", *(f"{name}.png" for name in FIGURES)}
    assert set(files) == wanted


def test_with_mirror_images_the_mean_is_judged_and_it_is_said(run: Run, tmp_path: Path) -> None:
    alone = run(wrong=5)
    served = (tmp_path / "evaluation" / "predictions.csv").read_text()
    both = run(wrong=5, test_time_augmentation=True)
    kept = [np.load(path) for path in (tmp_path / "predictions").rglob("*.npy")]
    assert len(kept) == 2
    labels = np.arange(20) % 2 ^ (np.arange(20) < 5)
    of_both = np.mean([said[np.arange(20), labels] for said in kept], axis=0)
    assert both.metrics["log_loss"].value == pytest.approx(-np.log(of_both).mean(), rel=1e-4)
    assert both.metrics["log_loss"] != alone.metrics["log_loss"]
    assert read_json(tmp_path / "evaluation" / "metrics.json")["test_time_augmentation"] is True
    assert "the model that is served does not do it" in both.warnings[0]
    # What is served is asked for one picture alone, and InfraValidator compares that.
    assert (tmp_path / "evaluation" / "predictions.csv").read_text() == served


def test_without_a_champion_a_change_threshold_holds_and_says_why(run: Run) -> None:
    evaluation = run(wrong=9, not_worse_than_champion={"macro_f1": 0.01})
    assert evaluation.blessed
    assert evaluation.reasons == [
        "test/macro_f1: there is no champion yet to compare with: holds",
    ]


def test_a_model_that_is_worse_than_the_champion_is_not_blessed(
    run: Run, champion: Callable[..., Path], tmp_path: Path
) -> None:
    evaluation = run(
        wrong=4, champion=champion(), not_worse_than_champion={"accuracy": 0.3, "macro_f1": 0.05}
    )
    # The champion said what the pictures show, so it is wrong where their labels are.
    assert evaluation.blessed
    better = run(wrong=4, champion=champion(wrong=4), not_worse_than_champion={"accuracy": 0.1})
    assert not better.blessed
    assert "is 0.8000, the champion's (version 3) 1.0000 on the same 20" in better.reasons[0]
    comparison = read_json(tmp_path / "evaluation" / "comparison.json")
    assert (comparison["champion_version"], comparison["images"]) == (3, 20)
    assert comparison["metrics"]["accuracy"]["difference"]["value"] == pytest.approx(-0.2)
    assert comparison["mcnemar"] == {
        "only_candidate_right": 0,
        "only_champion_right": 4,
        "p_value": 0.125,
    }


def test_a_champion_that_says_nothing_of_these_pictures_is_no_reason_to_bless(
    run: Run, champion: Callable[..., Path], tmp_path: Path
) -> None:
    other = champion(dataset={"name": "fer2013"})
    evaluation = run(champion=other, not_worse_than_champion={"accuracy": 1.0})
    assert not evaluation.blessed
    assert "was judged on other data: its name was fer2013" in evaluation.reasons[0]
    assert "push once without evaluator.not_worse_than_champion" in evaluation.reasons[0]
    assert not (tmp_path / "evaluation" / "comparison.json").exists()


def test_a_champion_of_other_pictures_by_the_same_names_is_no_reason_to_bless(
    run: Run, champion: Callable[..., Path], tmp_path: Path
) -> None:
    other = champion(digest="of another folder")
    evaluation = run(champion=other, not_worse_than_champion={"accuracy": 1.0})
    assert not evaluation.blessed
    assert "is known to be tested on none of these pictures: push once" in evaluation.reasons[0]
    assert not (tmp_path / "evaluation" / "comparison.json").exists()


def test_nobody_is_compared_with_where_no_threshold_asks_for_it(
    run: Run, champion: Callable[..., Path], tmp_path: Path
) -> None:
    assert run(champion=champion()).blessed
    assert not (tmp_path / "evaluation" / "comparison.json").exists()
