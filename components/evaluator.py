"""Evaluator: scores a candidate on the test split and blesses it, or not.

Reads:   transformed_examples, statistics, model, champion (the version that is served, None when
         there is none yet: of it only files are read)
Writes:  evaluation (metrics.json, classes.json, slices.json, comparison.json, predictions.csv,
         mistakes.csv, figures), blessing (BLESSED or NOT_BLESSED, with the reasons)
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from components.common import progress, records, tracking
from components.common.evaluation import figures
from components.common.evaluation.bootstrap import Resampled, resample
from components.common.evaluation.cached_predictions import predict_mirrored_once, predict_once
from components.common.evaluation.champions import NotComparableError, read_champion
from components.common.evaluation.comparison import compare
from components.common.evaluation.figures import Mistake
from components.common.evaluation.intervals import Interval, interval
from components.common.evaluation.metrics import OfClass, measure, measure_classes
from components.common.evaluation.predictions import write_predictions
from components.common.evaluation.slices import as_rows, measure_slices
from components.common.evaluation.thresholds import Verdict, judge_changes, judge_values
from components.common.files import read_json, write_csv, write_json
from components.common.measurements import read_measurements
from components.common.recipe import read_recipe
from components.common.records import Split
from components.common.tracking.dataset_inputs import log_split

SHOWN_MISTAKES = 25


class Evaluation(NamedTuple):
    """The verdict and what it rests on.

    Attributes:
        split: the one that was judged.
        metrics: by name.
        blessed: whether every threshold holds.
        reasons: one line a threshold.
        warnings: what a reader of the metrics has to know.
    """

    split: str
    metrics: dict[str, Interval]
    blessed: bool
    reasons: list[str]
    warnings: list[str]


class Judged(NamedTuple):
    """What is judged: a split, and what the model says of it.

    Attributes:
        name: of the split.
        split: its pictures.
        alone: the probabilities of each picture, float32 [n, classes]: what is served.
        probabilities: what the metrics are of; with test-time augmentation the mean of `alone` and
            of the mirror images.
        labels: the classes in order.
    """

    name: str
    split: Split
    alone: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    labels: list[str]


def evaluate(
    transformed_examples: Path,
    statistics: Path,
    model: Path,
    evaluation: Path,
    blessing: Path,
    *,
    champion: Path | None,
    thresholds: Mapping[str, float],
    not_worse_than_champion: Mapping[str, float],
    test_time_augmentation: bool,
    resamples: int,
    seed: int,
    predictions_dir: Path,
) -> Evaluation:
    """Writes and returns metrics with intervals; blesses only where every threshold holds.

    The test split is judged; a dataset without one is judged on validation, or else on train, and
    the name of every number says so (`train/accuracy`). A model is asked for it once: another
    evaluation takes its answers from `predictions_dir`.

    Args:
        transformed_examples: what Transform wrote.
        statistics: what StatisticsGen wrote, for the slices and for the pictures' digests.
        model: what Trainer or the baseline wrote.
        evaluation: folder to fill.
        blessing: folder to fill.
        champion: the version folder that is served, or None; it is compared with only where
            `not_worse_than_champion` asks for it.
        thresholds: a bound for each metric named, from below, for losses from above.
        not_worse_than_champion: by how much each metric named may be worse than the champion's on
            the pictures that both were tested on.
        test_time_augmentation: judges the mean of each picture and its mirror image.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        predictions_dir: keeps the answers of models.
    """
    evaluation.mkdir(parents=True, exist_ok=True)
    judged, before = _judge(transformed_examples, model, predictions_dir, test_time_augmentation)
    rejected = read_json(transformed_examples / "counts.json")[judged.name]["rejected"]
    facts = _facts(judged, rejected, before, test_time_augmentation)
    draws = {"resamples": resamples, "seed": seed}
    split, probabilities = judged.split, judged.probabilities
    metrics, classes, class_rows = _measure(judged, draws)
    named = {f"{judged.name}/{name}": of._asdict() for name, of in metrics.items()}
    write_json(evaluation / "metrics.json", facts | named)
    write_json(evaluation / "classes.json", class_rows)
    measurements = {row.id: row for row in read_measurements(statistics / "measurements.csv")}
    right = probabilities.argmax(axis=1) == split.labels
    slices = measure_slices(split, right, measurements, **draws)
    write_json(evaluation / "slices.json", as_rows(slices))
    digests = [measurements[of].sha256 if of in measurements else "" for of in split.ids]
    write_predictions(
        evaluation / "predictions.csv", split.ids, split.labels, judged.alone, digests
    )
    _draw(judged, classes, evaluation)

    verdicts = judge_values(judged.name, metrics, thresholds)
    if not_worse_than_champion:
        dataset = read_json(transformed_examples / "dataset.json")
        verdicts += _compare(
            judged, digests, champion, dataset, not_worse_than_champion, evaluation, draws
        )
    _log(judged.name, metrics, classes, evaluation)
    return _bless(judged.name, metrics, verdicts, blessing, _warnings(facts))


def _judge(
    transformed_examples: Path, model: Path, predictions_dir: Path, test_time_augmentation: bool
) -> tuple[Judged, bool]:
    """Asks the model, or takes what it said before; the second value says which."""
    _, labels = read_recipe(transformed_examples)
    there = records.splits(transformed_examples)
    name = next(split for split in ("test", "validation", "train") if split in there)
    progress.say(f"{there[name]:,} images of {name}")
    split = records.load_split(transformed_examples, name)
    log_split(transformed_examples, name)
    asked = (model, transformed_examples, name, split, predictions_dir)
    alone, before = predict_once(*asked)
    probabilities = alone
    if test_time_augmentation:
        mirrored, mirrored_before = predict_mirrored_once(*asked)
        probabilities = np.mean([alone, mirrored], axis=0, dtype=np.float32)
        before &= mirrored_before
    return Judged(name, split, alone, probabilities, labels), before


def _facts(
    judged: Judged, rejected: Mapping[str, int], before: bool, test_time_augmentation: bool
) -> dict[str, Any]:
    """What `metrics.json` says beside the metrics; that test was read is a tag of the run too."""
    facts: dict[str, Any] = {
        "split": judged.name,
        "images": len(judged.split),
        "rejected": rejected,
    }
    if judged.name == "test":
        facts["test_read"] = "before" if before else "now"
        tracking.set_tags({"mien.test_read": facts["test_read"]})
    if test_time_augmentation:
        facts["test_time_augmentation"] = True
    return facts


def _measure(
    judged: Judged, draws: Mapping[str, int]
) -> tuple[dict[str, Interval], list[OfClass], list[dict[str, Any]]]:
    """The metrics with their intervals, the classes, and these as `classes.json` has them."""
    labels, probabilities = judged.split.labels, judged.probabilities
    resampled = resample(labels, probabilities, judged.split.subjects, **draws)
    metrics = {
        name: interval(name, value, resampled.metrics[name], len(labels))
        for name, value in measure(labels, probabilities).items()
    }
    classes = measure_classes(labels, probabilities, judged.labels)
    predicted = probabilities.argmax(axis=1)
    rows = []
    for number, of_class in enumerate(classes):
        said, shown = (int((of == number).sum()) for of in (predicted, labels))
        pictures_of = {"precision": said, "recall": shown, "f1": 0}  # F1 is no share.
        rows.append(_class_row(of_class, resampled, number, pictures_of))
    return metrics, classes, rows


def _class_row(
    of_class: OfClass, resampled: Resampled, number: int, pictures_of: Mapping[str, int]
) -> dict[str, Any]:
    rates = {
        rate: interval(rate, getattr(of_class, rate), resampled.classes[rate][:, number], pictures)
        for rate, pictures in pictures_of.items()
    }
    return of_class._asdict() | {rate: of_rate._asdict() for rate, of_rate in rates.items()}


def find_mistakes(judged: Judged) -> list[Mistake]:
    """The most confident mistakes, the worst first."""
    predicted = judged.probabilities.argmax(axis=1)
    confidence = judged.probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != judged.split.labels)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:SHOWN_MISTAKES]
    return [
        Mistake(
            judged.split.ids[row],
            judged.split.sources[row],
            judged.labels[judged.split.labels[row]],
            judged.labels[predicted[row]],
            round(float(confidence[row]), 4),
        )
        for row in worst
    ]


def _draw(judged: Judged, classes: Sequence[OfClass], evaluation: Path) -> None:
    """Draws the figures, and writes the mistakes that one of them shows."""
    labels, probabilities = judged.split.labels, judged.probabilities
    every = range(len(judged.labels))
    matrix = confusion_matrix(labels, probabilities.argmax(axis=1), labels=every)
    figures.confusion_counts(matrix, judged.labels, evaluation / "confusion_matrix.png")
    figures.confusion_shares(matrix, judged.labels, evaluation / "confusion_matrix_normalized.png")
    figures.reliability_diagram(labels, probabilities, evaluation / "reliability.png")
    figures.roc_curves(labels, probabilities, classes, evaluation / "roc.png")
    mistakes = find_mistakes(judged)
    write_csv(evaluation / "mistakes.csv", Mistake._fields, mistakes)
    shown = dict(zip(judged.split.ids, judged.split.images, strict=True))
    figures.mistakes_sheet(mistakes, shown, evaluation / "mistakes.png")


def _compare(
    judged: Judged,
    digests: Sequence[str],
    champion: Path | None,
    dataset: Mapping[str, Any],
    not_worse_by: Mapping[str, float],
    evaluation: Path,
    draws: Mapping[str, int],
) -> list[Verdict]:
    """Compares what is served with what would be served; writes it, and gives the verdicts."""
    if champion is None:
        names = ", ".join(f"{judged.name}/{name}" for name in not_worse_by)
        return [Verdict(True, f"{names}: there is no champion yet to compare with: holds")]
    try:
        served = read_champion(champion, dataset, judged.name)
        comparison = compare(judged.split, digests, judged.alone, served, **draws)
    except NotComparableError as error:
        return [Verdict(False, f"{error}: fails")]
    write_json(evaluation / "comparison.json", comparison.as_json())
    return judge_changes(judged.name, comparison, not_worse_by)


def _warnings(facts: Mapping[str, Any]) -> list[str]:
    warnings = []
    if facts["split"] != "test":
        warnings.append(f"there is no test split: judged on {facts['split']}")
    if "test_time_augmentation" in facts:
        warnings.append(
            "judged with test-time augmentation: the model that is served does not do it, and its "
            "own figures differ"
        )
    return warnings


def _log(
    split: str, metrics: Mapping[str, Interval], classes: Sequence[OfClass], evaluation: Path
) -> None:
    tracking.log_metrics({f"{split}/{name}": of.value for name, of in metrics.items()})
    # MLflow refuses other characters, and with one metric all of its batch.
    safe = [re.sub(r"[^\w.\- /:]", "_", of_class.label) for of_class in classes]
    tracking.log_metrics(
        {f"{split}/f1/{name}": of.f1 for name, of in zip(safe, classes, strict=True)}
    )
    for path in sorted([*evaluation.glob("*.json"), *evaluation.glob("*.png")]):
        tracking.log_artifact(path)


def _bless(
    split: str,
    metrics: dict[str, Interval],
    verdicts: Sequence[Verdict],
    blessing: Path,
    warnings: list[str],
) -> Evaluation:
    blessed = all(verdict.holds for verdict in verdicts)
    reasons = [verdict.reason for verdict in verdicts] or ["no threshold was set"]
    verdict = "BLESSED" if blessed else "NOT_BLESSED"
    write_json(blessing / "blessing.json", {"blessing": verdict, "reasons": reasons})
    return Evaluation(split, metrics, blessed, reasons, warnings)
