"""95 % intervals of metrics, from what bootstrap resamples gave.

Where a share is 0 or 1, so is that of every resample, and their percentiles have no width: there
the interval is Clopper and Pearson's ("The use of confidence or fiducial limits illustrated in the
case of the binomial", Biometrika 26, 1934), a little wider than the "rule of three". It is of as
many pictures, also where people are resampled: without a mistake nothing tells how alike a person's
pictures are.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

Values = NDArray[np.float64]

CONFIDENCE = 0.95
_SHARES = frozenset({"accuracy", "majority_accuracy", "top_2", "precision", "recall"})
"""Metrics that are so many pictures of so many."""

_BIASED = frozenset({"ece"})
"""Distances from 0 grow with every noise: a resample's lie above the value, by the noise it adds.

Their mean excess is subtracted (Efron & Tibshirani 1993, chapter 10).
"""


class Interval(NamedTuple):
    """A metric with its 95 % interval."""

    value: float
    low: float
    high: float


def interval(name: str, value: float, resampled: Values, pictures: int) -> Interval:
    """The interval of a metric; without resamples it is the value alone.

    Args:
        name: of the metric, or of a class's rate.
        value: the metric's.
        resampled: the metric of each resample, NaN where it could not be computed.
        pictures: how many a share is of. Of none nothing is known: 0 to 1.
    """
    if name not in _SHARES or value not in (0, 1) or not len(resampled):
        return percentile_interval(name, value, resampled)
    if not pictures:
        return Interval(value, 0.0, 1.0)
    exact = binomtest(round(value) * pictures, pictures).proportion_ci(CONFIDENCE, method="exact")
    return Interval(value, float(exact.low), float(exact.high))


def percentile_interval(name: str, value: float, resampled: Values) -> Interval:
    """The percentiles of the resamples; without one it is the value alone."""
    found = resampled[np.isfinite(resampled)]
    if not len(found):
        return Interval(value, value, value)
    if name in _BIASED:
        found = np.maximum(found - (found.mean() - value), 0)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return Interval(value, float(low), float(high))
