"""Slices: the accuracy on the pictures that have something in common.

A slice of few pictures says nothing and is left out; so is what all pictures have in common.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.common.evaluation.bootstrap import resample_mean
from components.common.evaluation.intervals import Interval, interval
from components.common.measurements import Measurement
from components.common.records import Split

FEWEST_IMAGES = 5
SHOWN_SUBJECTS = 10

Rows = NDArray[np.bool_]


class Slice(NamedTuple):
    """The pictures of one value of one property, such as the dark ones by brightness."""

    slice: str
    value: str
    images: int
    accuracy: Interval


def measure_slices(
    split: Split,
    right: NDArray[np.bool_],
    measurements: Mapping[str, Measurement],
    *,
    resamples: int,
    seed: int,
) -> list[Slice]:
    """The accuracy on slices by brightness, size, face and subject; of subjects the ten worst.

    Brightness is of the pixels that the model sees, in thirds of the split. Size is of the original
    picture, in thirds too, and `face` says whether StatisticsGen found anything like one in it.

    Args:
        split: what was judged.
        right: whether each picture's prediction is, bool [n].
        measurements: of the original pictures, by id; where one is missing, size and face are
            unknown, and left out.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    found = []
    for name, values in _properties(split, measurements).items():
        of_property = [
            Slice(name, value, int(rows.sum()), _accuracy(rows, right, split, resamples, seed))
            for value, rows in values.items()
            if FEWEST_IMAGES <= rows.sum() < len(split)
        ]
        if name == "subject":
            of_property = sorted(of_property, key=lambda of: of.accuracy.value)[:SHOWN_SUBJECTS]
        found += of_property
    return found


def as_rows(slices: Sequence[Slice]) -> list[dict[str, Any]]:
    """As `slices.json` lists them."""
    return [{**of._asdict(), "accuracy": of.accuracy._asdict()} for of in slices]


def _properties(
    split: Split, measurements: Mapping[str, Measurement]
) -> dict[str, dict[str, Rows]]:
    """By each property that is known, which pictures have each of its values, bool [n]."""
    brightness = split.images.reshape(len(split), -1).mean(axis=1)
    properties = {"brightness": _thirds(brightness, ("dark", "medium", "bright"))}
    of_originals = [measurements[name] for name in split.ids if name in measurements]
    if len(of_originals) == len(split):
        sides = np.sqrt([float(original.width * original.height) for original in of_originals])
        properties["size"] = _thirds(sides, ("small", "medium", "large"))
        found = np.array([original.has_face for original in of_originals], bool)
        properties["face"] = {"found": found, "not found": ~found}
    if all(split.subjects):
        subjects = np.array(split.subjects)
        properties["subject"] = {name: subjects == name for name in sorted(set(split.subjects))}
    return properties


def _thirds(numbers: NDArray[np.float64], names: Sequence[str]) -> dict[str, Rows]:
    """Which numbers are in each third: as many in each, but equal numbers stay together."""
    third = np.searchsorted(np.quantile(numbers, [1 / 3, 2 / 3]), numbers, side="left")
    return {name: third == number for number, name in enumerate(names)}


def _accuracy(
    rows: Rows, right: NDArray[np.bool_], split: Split, resamples: int, seed: int
) -> Interval:
    subjects = [split.subjects[row] for row in np.flatnonzero(rows)]
    resampled = resample_mean(right[rows], subjects, resamples=resamples, seed=seed)
    return interval("accuracy", float(right[rows].mean()), resampled, len(subjects))
