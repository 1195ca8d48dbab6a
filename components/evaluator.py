"""Evaluator: scores a candidate on the test split and blesses it, or not.

Reads:   transformed_examples, model
Writes:  evaluation (metrics.json, predictions, figures), blessing (BLESSED or NOT_BLESSED, with the
         reasons)
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

from components.common import figures, progress, records, tracking
from components.common.classifiers import load_classifier
from components.common.files import write_json
from components.common.predictions import write_predictions
from components.common.recipe import read_recipe
from components.common.records import Split

Metric = Callable[[NDArray[np.int64], NDArray[np.float32]], float]

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A metric with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


class Evaluation(NamedTuple):
    """The verdict and what it rests on.

    Attributes:
        split: the one that was judged.
        metrics: by name.
        blessed: whether every threshold holds.
        reasons: one line a threshold.
    """

    split: str
    metrics: dict[str, Interval]
    blessed: bool
    reasons: list[str]


def _accuracy(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    return float(sk.accuracy_score(labels, probabilities.argmax(axis=1)))


def _balanced_accuracy(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    # Mean recall over the classes that are there; sklearn's own warns where a resample lacks one.
    predicted = probabilities.argmax(axis=1)
    present = np.unique(labels)
    return float(
        sk.recall_score(labels, predicted, labels=present, average="macro", zero_division=0)
    )


def _macro_f1(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    predicted = probabilities.argmax(axis=1)
    return float(sk.f1_score(labels, predicted, average="macro", zero_division=0))


def _log_loss(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    return float(sk.log_loss(labels, probabilities, labels=range(probabilities.shape[1])))


METRICS: dict[str, Metric] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "macro_f1": _macro_f1,
    "log_loss": _log_loss,
}
LOWER_IS_BETTER = {"log_loss"}


def evaluate(
    transformed_examples: Path,
    model: Path,
    evaluation: Path,
    blessing: Path,
    *,
    thresholds: Mapping[str, float],
    resamples: int,
    seed: int,
) -> Evaluation:
    """Writes and returns metrics with intervals; blesses only where every threshold holds.

    The test split is judged; a dataset without one is judged on validation, or else on train, and
    the name of every number says so (`train/accuracy`).

    Args:
        transformed_examples: what Transform wrote.
        model: what Trainer or the baseline wrote.
        evaluation: folder to fill.
        blessing: folder to fill.
        thresholds: a bound for each metric named, from below, for `log_loss` from above.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    evaluation.mkdir(parents=True, exist_ok=True)
    _, labels = read_recipe(transformed_examples)
    there = records.splits(transformed_examples)
    judged = next(split for split in ("test", "validation", "train") if split in there)
    classify = load_classifier(model)

    progress.say(f"{there[judged]:,} images of {judged}")
    split = records.load_split(transformed_examples, judged)
    probabilities = classify(split)
    write_predictions(evaluation / "predictions.csv", split.ids, split.labels, probabilities)
    values = bootstrap(split, probabilities, resamples=resamples, seed=seed)
    matrix = sk.confusion_matrix(
        split.labels, probabilities.argmax(axis=1), labels=range(len(labels))
    )
    figures.confusion_matrix(matrix, labels, evaluation / "confusion_matrix.png")

    named = {f"{judged}/{name}": interval for name, interval in values.items()}
    content = {name: interval._asdict() for name, interval in named.items()}
    write_json(evaluation / "metrics.json", {"split": judged, "images": len(split), **content})
    tracking.log_metrics({name: interval.value for name, interval in named.items()})
    tracking.log_artifact(evaluation / "confusion_matrix.png")
    return _bless(judged, values, thresholds, blessing)


def bootstrap(
    split: Split, probabilities: NDArray[np.float32], *, resamples: int, seed: int
) -> dict[str, Interval]:
    """Every metric with its percentile bootstrap interval (Efron & Tibshirani 1993, chapter 13).

    Pictures of one person are not independent: where subjects are known, they are resampled with
    all their pictures, which gives the wider, honest interval.
    """
    groups = _groups(split.subjects)
    rng = np.random.default_rng(seed)
    draws = [
        np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))])
        for _ in range(resamples)
    ]
    tail = (1 - CONFIDENCE) / 2
    intervals = {}
    for name, metric in METRICS.items():
        value = metric(split.labels, probabilities)
        resampled = [metric(split.labels[draw], probabilities[draw]) for draw in draws]
        low, high = np.quantile(resampled, [tail, 1 - tail]) if draws else (value, value)
        intervals[name] = Interval(value, float(low), float(high))
    return intervals


def _groups(subjects: Sequence[str]) -> list[NDArray[np.int64]]:
    """The indices of each subject's images; each image alone where a subject is not known."""
    if not all(subjects):
        return [np.array([index]) for index in range(len(subjects))]
    _, inverse = np.unique(np.array(subjects), return_inverse=True)
    return [np.flatnonzero(inverse == group) for group in range(inverse.max() + 1)]


def judge(
    split: str, metrics: Mapping[str, Interval], thresholds: Mapping[str, float]
) -> tuple[bool, list[str]]:
    """Whether every threshold holds, and a line for each in words."""
    reasons, blessed = [], True
    for name, bound in thresholds.items():
        value = metrics[name].value
        holds = value <= bound if name in LOWER_IS_BETTER else value >= bound
        wanted = "at most" if name in LOWER_IS_BETTER else "at least"
        verdict = "holds" if holds else "fails"
        reasons.append(f"{split}/{name} is {value:.4f}, wanted {wanted} {bound:g}: {verdict}")
        blessed &= holds
    return blessed, reasons or ["no threshold was set"]


def _bless(
    split: str, metrics: dict[str, Interval], thresholds: Mapping[str, float], blessing: Path
) -> Evaluation:
    blessed, reasons = judge(split, metrics, thresholds)
    verdict = "BLESSED" if blessed else "NOT_BLESSED"
    write_json(blessing / "blessing.json", {"blessing": verdict, "reasons": reasons})
    return Evaluation(split, metrics, blessed, reasons)
