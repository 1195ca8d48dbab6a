"""What is wrong with measured examples: pure functions of the table and its measurements.

A finding is about the pictures `rows`; where it is dropped, it is the last of them that goes.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.common.examples import SPLITS, Example
from components.common.measurements import Measurement
from components.common.near_duplicates import NearPair

OUTLIER_Z = 3.5
"""Modified z-score above which a value counts as an outlier (Iglewicz and Hoaglin, "How to Detect
and Handle Outliers", 1993)."""
LEAST_SPREAD = 8.0
"""Where brightness hardly varies, as in FER2013 whose pictures were normalized, the median distance
from the median counts as this much: what differs by less than 41 of 255 is no outlier."""
SIZE_FACTOR = 2.0
"""A side this many times longer or shorter than the median is an outlier."""

KINDS = {
    "undecodable": "pictures cannot be decoded",
    "blank": "pictures are blank or nearly so",
    "no_face": "pictures show no face that a detector finds",
    "size_outlier": "pictures are of quite another size than the rest",
    "brightness_outlier": "pictures are far brighter or darker than the rest",
    "conflicting_labels": "pictures are there twice, with different labels",
    "duplicate_across_splits": "pictures are there twice, in two splits",
    "duplicate": "pictures are there twice, in one split",
    "near_duplicate_across_splits": "pictures look like one of another split",
    "near_duplicate": "pictures look like another of their split",
    "subject_across_splits": "subjects are in two splits",
    "missing_class": "classes have no image in train",
    "tiny_class": "classes have few images in train",
    "label_names": "labels are empty, or differ only in their case or spaces",
}
"""Every kind of finding, and how many of what show it."""
DROPPABLE = tuple(KINDS)[:10]
"""Kinds whose pictures can be left out."""


class Finding(NamedTuple):
    """One thing that is wrong.

    Attributes:
        kind: a key of KINDS.
        text: what exactly, in words.
        rows: indices into the table, of the pictures that show it.
        rank: among the findings of its kind, the worst first.
    """

    kind: str
    text: str
    rows: tuple[int, ...]
    rank: int = 0


def find_odd_pictures(
    table: Sequence[Example], measurements: Sequence[Measurement], blank_std: float
) -> list[Finding]:
    """What is odd about single pictures, the worst of each kind first.

    Args:
        table: the examples.
        measurements: of each example.
        blank_std: a picture whose pixels deviate less than this (0..255) is blank.
    """
    return [
        *(
            Finding("undecodable", f"{table[i].source}: {m.error}", (i,))
            for i, m in enumerate(measurements)
            if m.error
        ),
        *_whole_pictures(table, measurements, blank_std),
    ]


def _whole_pictures(
    table: Sequence[Example], measurements: Sequence[Measurement], blank_std: float
) -> Iterator[Finding]:
    whole = [i for i, m in enumerate(measurements) if not m.error]
    # The flattest first: a detector that misses a face of rich contrast is more often wrong.
    for i in sorted(whole, key=lambda i: measurements[i].std):
        if measurements[i].std < blank_std:
            text = f"{table[i].source}: standard deviation {measurements[i].std:.2f}"
            yield Finding("blank", text, (i,))
        elif not measurements[i].has_face:
            yield Finding("no_face", table[i].source, (i,))
    sizes = [(measurements[i].width, measurements[i].height) for i in whole]
    sides = np.array(sizes, dtype=np.float64).reshape(-1, 2)
    usual = np.median(sides, axis=0) if whole else sides
    factors = np.exp(np.abs(np.log(sides / usual))).max(axis=1, initial=1.0)
    for place in np.argsort(-factors, kind="stable"):
        if factors[place] >= SIZE_FACTOR:
            i, (width, height) = whole[place], sizes[place]
            text = f"{table[i].source}: {width}x{height}, usual is {usual[0]:.0f}x{usual[1]:.0f}"
            yield Finding("size_outlier", text, (i,))
    means = np.array([measurements[i].mean for i in whole])
    scores = modified_z_scores(means)
    for place in np.argsort(-np.abs(scores), kind="stable"):
        if abs(scores[place]) > OUTLIER_Z and measurements[whole[place]].std >= blank_std:
            text = f"{table[whole[place]].source}: mean brightness {means[place]:.0f}"
            yield Finding("brightness_outlier", text, (whole[place],))


def modified_z_scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances from the median, by the median of such distances or LEAST_SPREAD."""
    if not len(values):
        return values
    away = values - np.median(values)
    return 0.6745 * away / max(float(np.median(np.abs(away))), LEAST_SPREAD)


def find_duplicates(
    table: Sequence[Example],
    measurements: Sequence[Measurement],
    near_pairs: Iterable[NearPair],
    candidates: Iterable[int],
    dropped_kinds: AbstractSet[str],
    judged: str,
) -> Iterator[Finding]:
    """Each picture that an earlier one equals or resembles; test comes first, train last.

    So the later of two is the one that may go. A picture that goes is no reason for another to go.

    Args:
        table: the examples.
        measurements: of each example.
        near_pairs: hashes that count as alike.
        candidates: indices of the examples to look at.
        dropped_kinds: kinds of finding whose later picture goes.
        judged: the split that the model is judged on, of which none goes.
    """
    alike: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for pair in near_pairs:
        alike[pair.first].append((pair.second, pair.distance))
        alike[pair.second].append((pair.first, pair.distance))
    # For each look the first picture of every split that has it.
    same: dict[str, dict[str, int]] = defaultdict(dict)
    similar: dict[str, dict[str, int]] = defaultdict(dict)
    for i in sorted(candidates, key=lambda i: (-SPLITS.index(table[i].split), i)):
        pixels, phash, split = measurements[i].sha256, measurements[i].phash, table[i].split
        looks = [(similar[phash], 0)]
        looks += [(similar[other], apart) for other, apart in alike.get(phash, ())]
        found = [
            *_exact(table, i, same[pixels]),
            *_near(table, i, looks, leave_out=same[pixels].keys()),
        ]
        yield from found
        if split == judged or not dropped_kinds & {finding.kind for finding in found}:
            same[pixels].setdefault(split, i)
            similar[phash].setdefault(split, i)


def _exact(table: Sequence[Example], i: int, same: Mapping[str, int]) -> Iterator[Finding]:
    for split, earlier in same.items():
        kind = "duplicate" if split == table[i].split else "duplicate_across_splits"
        yield Finding(kind, f"{_place(table[earlier])} and {_place(table[i])}", (earlier, i))
    for earlier in same.values():
        if table[earlier].label != table[i].label:
            text = f"{_labelled(table[earlier])} and {_labelled(table[i])}"
            yield Finding("conflicting_labels", text, (earlier, i))
            return


def _near(
    table: Sequence[Example],
    i: int,
    looks: Sequence[tuple[Mapping[str, int], int]],
    leave_out: Collection[str],
) -> Iterator[Finding]:
    closest: dict[str, tuple[int, int]] = {}
    for of_look, apart in looks:
        for split, earlier in of_look.items():
            closest[split] = min(closest.get(split, (apart, earlier)), (apart, earlier))
    for split, (apart, earlier) in closest.items():
        if split not in leave_out:
            kind = "near_duplicate" if split == table[i].split else "near_duplicate_across_splits"
            text = f"{_place(table[earlier])} and {_place(table[i])}, {apart} bits apart"
            yield Finding(kind, text, (earlier, i), rank=apart)


def _place(row: Example) -> str:
    return f"{row.source} ({row.split})"


def _labelled(row: Example) -> str:
    return f"{row.source} ({row.label})"


def find_in_classes(
    table: Sequence[Example], labels: Sequence[str], min_class_size: int
) -> Iterator[Finding]:
    """Classes with no or few train images, and labels that are no names of their own."""
    counts = Counter(row.label for row in table if row.split == "train")
    for label in labels:
        if not counts[label]:
            text = f"class {label!r} has no image in train: add some, or change the split"
            yield Finding("missing_class", text, ())
        elif counts[label] < min_class_size:
            text = f"class {label!r} has only {counts[label]} images in train"
            yield Finding("tiny_class", text, ())
    spellings: dict[str, list[str]] = defaultdict(list)
    for label in labels:
        spellings["".join(label.split()).casefold()].append(label)
    for key, same in spellings.items():
        if len(same) > 1 or not key:
            yield Finding("label_names", ", ".join(map(repr, same)), ())


def find_subjects_across_splits(
    table: Sequence[Example], candidates: Iterable[int]
) -> Iterator[Finding]:
    """People with pictures in more than one split; shows one picture of each split."""
    places: dict[str, dict[str, int]] = defaultdict(dict)
    for i in candidates:
        if table[i].subject:
            places[table[i].subject].setdefault(table[i].split, i)
    for subject, of_subject in places.items():
        if len(of_subject) > 1:
            text = f"{subject} is in {' and '.join(of_subject)}: set split.method=subject"
            yield Finding("subject_across_splits", text, tuple(of_subject.values()))
