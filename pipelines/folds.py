"""What the folds of a cross-validation say together."""

from collections.abc import Mapping, Sequence

import numpy as np

CONFIDENCE = 0.95


def mean_over_folds(of_folds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each metric, with the interval `<name>_low` .. `<name>_high` of the mean.

    Student's t over the folds, cut off at 1 for all but losses: no accuracy exceeds it. A metric
    that a fold could not compute, its test split being short of a class, is left out. Folds share
    most of their train examples, so the interval is an approximation: no unbiased estimate of that
    variance exists (Bengio and Grandvalet, "No Unbiased Estimator of the Variance of K-Fold
    Cross-Validation", JMLR 5, 2004).

    Args:
        of_folds: two or more folds' metrics, `<name>_low` and `<name>_high` among them.

    Raises:
        ValueError: the folds were not judged on the same split.
    """
    if len({_split(metrics) for metrics in of_folds}) > 1:
        raise ValueError("a fold has no test picture left: ask for fewer folds")
    from scipy.stats import t

    means: dict[str, float] = {}
    for name in of_folds[0]:
        if name.endswith(("_low", "_high")) or not all(name in metrics for metrics in of_folds):
            continue
        values = np.array([metrics[name] for metrics in of_folds])
        mean = float(values.mean())
        error = float(values.std(ddof=1)) / np.sqrt(len(values))
        half = float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * error
        high = mean + half if name.endswith("loss") else min(1.0, mean + half)
        means |= {name: mean, f"{name}_low": mean - half, f"{name}_high": high}
    return means


def _split(metrics: Mapping[str, float]) -> str:
    """The split that was judged, `test` of `test/accuracy`; "" where none was."""
    return next(iter(metrics), "").partition("/")[0]
