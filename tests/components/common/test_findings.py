import random
from collections.abc import Sequence

import numpy as np
import pytest

from components.common.examples import SPLITS, Example
from components.common.findings import (
    Finding,
    find_duplicates,
    find_in_classes,
    find_odd_pictures,
    find_subjects_across_splits,
    modified_z_scores,
)
from components.common.measurements import Measurement
from components.common.near_duplicates import NearPair

DUPLICATES = (
    "conflicting_labels",
    "duplicate_across_splits",
    "duplicate",
    "near_duplicate_across_splits",
    "near_duplicate",
)
# 0 and 1 are near to one another, 2 and 3 too, 4 is like none.
NEAR = [NearPair("0" * 16, "0" * 15 + "1", 1), NearPair("0" * 15 + "2", "0" * 15 + "3", 1)]


def crowd(count: int, seed: int) -> tuple[list[Example], list[Measurement]]:
    """Pictures of which many are the same or alike."""
    rng = random.Random(seed)
    rows, measurements = [], []
    for number in range(count):
        look, detail = rng.randrange(5), rng.randrange(3)
        split, label = rng.choice(SPLITS), rng.choice(["happy", "sad"])
        rows.append(Example(str(number), split, label, "", f"{number}.png"))
        shown = Measurement(str(number), 48, 48, 100, 50, f"{look}-{detail}", f"{look:016x}", 1, "")
        measurements.append(shown)
    return rows, measurements


def duplicates(
    rows: Sequence[Example],
    measurements: Sequence[Measurement],
    candidates: Sequence[int],
    dropped_kinds: set[str],
) -> list[Finding]:
    return list(find_duplicates(rows, measurements, NEAR, candidates, dropped_kinds, "test"))


@pytest.mark.parametrize("seed", range(40))
def test_what_is_left_needs_no_second_round(seed: int) -> None:
    rng = random.Random(seed)
    rows, measurements = crowd(rng.randrange(2, 40), seed)
    kinds = {kind for kind in DUPLICATES if rng.random() < 0.6}
    everything = range(len(rows))
    gone = {
        finding.rows[-1]
        for finding in duplicates(rows, measurements, everything, kinds)
        if finding.kind in kinds and rows[finding.rows[-1]].split != "test"
    }
    left = [i for i in everything if i not in gone]
    for finding in duplicates(rows, measurements, left, kinds):
        assert finding.kind not in kinds or rows[finding.rows[-1]].split == "test"


@pytest.mark.parametrize("seed", range(10))
def test_every_picture_with_a_twin_in_a_split_that_counts_for_more_is_found(seed: int) -> None:
    rows, measurements = crowd(30, seed)
    found = duplicates(rows, measurements, range(30), set())
    named = {f.rows[-1] for f in found if f.kind == "duplicate_across_splits"}
    rank = [SPLITS.index(row.split) for row in rows]
    assert named == {
        i
        for i in range(30)
        if any(
            rank[other] > rank[i] and measurements[other].sha256 == measurements[i].sha256
            for other in range(30)
        )
    }
    for finding in found:
        earlier, later = finding.rows
        assert (-rank[earlier], earlier) < (-rank[later], later)
        assert (rank[earlier] != rank[later]) == ("across" in finding.kind) or (
            finding.kind == "conflicting_labels"
        )


def test_only_candidates_are_looked_at() -> None:
    rows, measurements = crowd(30, seed=0)
    few = [3, 7, 8, 12, 20, 29]
    found = duplicates(rows, measurements, few, set())
    assert found
    assert {i for finding in found for i in finding.rows} <= set(few)


def test_where_brightness_hardly_varies_small_differences_are_no_outliers() -> None:
    flat = np.array([128.0] * 50 + [128 + 41, 128 + 42])
    scores = modified_z_scores(flat)
    assert scores[:50].tolist() == [0] * 50
    assert scores[50] < 3.5 < scores[51]
    assert modified_z_scores(np.array([])).tolist() == []


@pytest.mark.parametrize("count", [0, 1])
def test_a_single_picture_is_no_outlier(count: int) -> None:
    rows, measurements = crowd(count, seed=0)
    assert list(find_odd_pictures(rows, measurements, 1.0)) == []


def test_a_picture_twice_as_long_or_half_as_high_is_an_outlier_and_a_little_less_is_not() -> None:
    rows, measurements = crowd(9, seed=0)
    for place, (width, height) in enumerate([(96, 48), (95, 48), (48, 24), (48, 25)]):
        measurements[place] = measurements[place]._replace(width=width, height=height)
    found = find_odd_pictures(rows, measurements, 1.0)
    assert {finding.rows for finding in found} == {(0,), (2,)}
    assert {finding.kind for finding in found} == {"size_outlier"}


def test_classes_count_their_train_images_and_no_others() -> None:
    rows = [Example(str(n), SPLITS[n % 2], "happy", "", f"{n}.png") for n in range(6)]
    kinds = [f.kind for f in find_in_classes(rows, ["happy", "sad"], 4)]
    assert kinds == ["tiny_class", "missing_class"]
    assert list(find_in_classes(rows, ["happy"], 3)) == []


def test_nobody_has_no_subject() -> None:
    rows = [Example(str(n), split, "happy", "", f"{n}.png") for n, split in enumerate(SPLITS)]
    assert list(find_subjects_across_splits(rows, range(3))) == []
