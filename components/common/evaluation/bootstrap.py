"""Bootstrap resamples (Efron & Tibshirani 1993, chapter 13) of all metrics at once.

A resample is a weight for each picture: how often it was drawn. Every metric is a function of
weighted sums, so that many resamples are one product of matrices; the numbers are those that
`components.common.evaluation.metrics` gives for the drawn pictures.

Pictures of one person are not independent: where subjects are known, they are drawn with all their
pictures, which gives the wider, honest interval.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.common.evaluation.calibration import BINS, bins_of
from components.common.evaluation.intervals import Values

_WEIGHTS_AT_A_TIME = 2_000_000


class Resampled(NamedTuple):
    """What resamples gave, NaN where a metric could not be computed.

    Attributes:
        metrics: by name, float64 [resamples].
        classes: `precision`, `recall` and `f1`, float64 [resamples, classes]; NaN where a resample
            does not show the class.
    """

    metrics: dict[str, Values]
    classes: dict[str, Values]


def _drawn_together(subjects: Sequence[str]) -> NDArray[np.int64]:
    """Numbers what is drawn, [n]: pictures with the same number are drawn together.

    Those of a subject; where one is not known, or all pictures are of one, each picture by itself.
    """
    by_subject = all(subjects) and len(set(subjects)) > 1
    return np.unique(subjects, return_inverse=True)[1] if by_subject else np.arange(len(subjects))


def draw_weights(subjects: Sequence[str], *, resamples: int, seed: int) -> Iterator[Values]:
    """Yields how often each picture is in each resample, float64 [some resamples, n].

    Args:
        subjects: [n]; see `_drawn_together`.
        resamples: how many in all.
        seed: the same gives the same draws.
    """
    rng = np.random.default_rng(seed)
    groups = _drawn_together(subjects)
    number = int(groups.max(initial=-1)) + 1
    at_a_time = max(1, _WEIGHTS_AT_A_TIME // max(len(subjects), 1))
    for start in range(0, resamples, at_a_time):
        rows = min(at_a_time, resamples - start)
        drawn = rng.integers(number, size=(rows, number)) + number * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * number).reshape(rows, number)
        yield counts[:, groups].astype(np.float64)


def resample_mean(
    values: NDArray[np.bool_], subjects: Sequence[str], *, resamples: int, seed: int
) -> Values:
    """The mean of the values [n] in each resample, [resamples]."""
    weights = draw_weights(subjects, resamples=resamples, seed=seed)
    return np.concatenate([np.empty(0), *(w @ values / w.sum(axis=1) for w in weights)])


def resample(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    subjects: Sequence[str],
    *,
    resamples: int,
    seed: int,
) -> Resampled:
    """All metrics of all resamples; with the same subjects and seed, of the same resamples."""
    parts = [
        _measure(labels, probabilities, weights)
        for weights in draw_weights(subjects, resamples=resamples, seed=seed)
    ]
    nothing = _measure(labels, probabilities, np.empty((0, len(labels))))
    return Resampled(
        *(
            {name: np.concatenate([part[kind][name] for part in (nothing, *parts)]) for name in of}
            for kind, of in enumerate(nothing)
        )
    )


def _measure(
    labels: NDArray[np.int64], probabilities: NDArray[np.float32], weights: Values
) -> Resampled:
    classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    matrices = _sums(labels * classes + predicted, classes**2, weights)
    total = weights.sum(axis=1)
    of_label = np.take_along_axis(probabilities, labels[:, None], axis=1)
    areas = np.stack(
        [_roc_areas(labels == i, probabilities[:, i], weights) for i in range(classes)], axis=1
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        by_matrix, of_classes = _by_matrix(
            matrices.reshape(-1, classes, classes), np.bincount(labels).argmax()
        )
        metrics = {
            "log_loss": weights @ _log_losses(of_label) / total,
            "roc_auc": _mean_of_there(areas),
            "top_2": weights @ _in_top_2(labels, probabilities) / total,
            "ece": _calibration_errors(predicted == labels, probabilities, weights) / total,
        }
    return Resampled(by_matrix | metrics, of_classes)


def _sums(kinds: NDArray[np.int64], number: int, weights: Values) -> Values:
    """The weights of the pictures of each kind 0..number-1, [resamples, number]."""
    return weights @ np.eye(number)[kinds]


def _by_matrix(matrices: Values, majority: np.int64) -> tuple[dict[str, Values], dict[str, Values]]:
    """What confusion matrices tell, [resamples, classes, classes]: metrics, and those of classes.

    As scikit-learn has it, a class counts in the mean recall where it is shown, and in the mean F1
    where it is shown or predicted; a ratio without anything below the line is 0.
    """
    shown, said = matrices.sum(axis=2), matrices.sum(axis=1)
    right = np.diagonal(matrices, axis1=1, axis2=2)
    total = shown.sum(axis=1)
    precision, recall = right / said, right / shown
    f1 = 2 * right / (shown + said)
    accuracy = right.sum(axis=1) / total
    by_chance = (shown * said).sum(axis=1) / total**2
    metrics = {
        "accuracy": accuracy,
        "majority_accuracy": shown[:, majority] / total,
        "balanced_accuracy": _mean_of_there(recall),
        "macro_f1": _mean_of_there(f1),
        "cohen_kappa": (accuracy - by_chance) / (1 - by_chance),
    }
    classes = {"precision": precision, "recall": recall, "f1": f1}
    # Of a class that a resample does not show there is nothing to say, and no 0 to count.
    return metrics, {
        name: np.where(shown > 0, np.nan_to_num(rates), np.nan) for name, rates in classes.items()
    }


def _mean_of_there(of_classes: Values) -> Values:
    """The mean over the classes that are no NaN; [resamples, classes] to [resamples]."""
    there = np.isfinite(of_classes)
    return np.where(there, of_classes, 0).sum(axis=1) / there.sum(axis=1)


def _in_top_2(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether each label is one of the two likeliest; of equals scikit-learn takes the last."""
    likeliest = np.argsort(probabilities, axis=1, kind="stable")[:, -2:]
    return (likeliest == labels[:, None]).any(axis=1)


def _log_losses(of_label: NDArray[np.float32]) -> Values:
    """Of each picture, clipped as scikit-learn does."""
    epsilon = np.finfo(of_label.dtype).eps
    return -np.log(np.clip(of_label[:, 0], epsilon, 1 - epsilon).astype(np.float64))


def _calibration_errors(
    right: NDArray[np.bool_], probabilities: NDArray[np.float32], weights: Values
) -> Values:
    surplus = right - probabilities.max(axis=1).astype(np.float64)
    return np.abs(weights @ (np.eye(BINS)[bins_of(probabilities)] * surplus[:, None])).sum(axis=1)


def _roc_areas(positive: NDArray[np.bool_], scores: NDArray[np.float32], weights: Values) -> Values:
    """The area under the ROC curve in each resample, as Mann and Whitney's U: ties count half."""
    order = np.argsort(scores, kind="stable")
    in_order = scores[order]
    starts = np.flatnonzero(np.r_[True, in_order[1:] != in_order[:-1]])
    weights = weights[:, order]
    positives = np.add.reduceat(weights * positive[order], starts, axis=1)
    negatives = np.add.reduceat(weights * ~positive[order], starts, axis=1)
    below = np.cumsum(negatives, axis=1) - negatives / 2
    with np.errstate(invalid="ignore"):
        wins = (positives * below).sum(axis=1)
        return wins / (positives.sum(axis=1) * negatives.sum(axis=1))
