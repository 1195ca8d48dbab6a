import json
from collections.abc import Collection

import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.evaluation.champions import Champion, NotComparableError
from components.common.evaluation.comparison import Comparison, compare
from components.common.records import Split


def split_of(labels: list[int], subjects: list[str] | None = None) -> Split:
    ids = [f"id{n}" for n in range(len(labels))]
    pixels = np.zeros((len(labels), 1, 1, 1), np.uint8)
    return Split(pixels, np.array(labels), ids, subjects or [""] * len(labels), ids)


def saying(classes: list[int]) -> NDArray[np.float32]:
    return (np.eye(2)[classes] * 0.8 + 0.1).astype(np.float32)


def against(
    split: Split,
    ours: list[int],
    theirs: list[int],
    ids: list[str] | None = None,
    changed: Collection[str] = (),
) -> Comparison:
    """Compares; the champion's test split had these ids, some of them for other pictures."""
    names = ids or split.ids
    predictions = dict(zip(names, saying(theirs).tolist(), strict=True))
    digests = {name: f"{name} then" if name in changed else f"{name} now" for name in names}
    now = [f"{name} now" for name in split.ids]
    champion = Champion(3, predictions, digests)
    return compare(split, now, saying(ours), champion, resamples=400, seed=0)


def test_a_model_does_not_differ_from_itself() -> None:
    comparison = against(split_of([0, 1] * 10), [0, 0] * 10, [0, 0] * 10)
    assert comparison.images == 20
    assert {of.difference for of in comparison.metrics.values()} == {(0, 0, 0)}
    assert comparison.mcnemar == (0, 0, 1.0)


def test_the_difference_is_the_candidates_minus_the_champions() -> None:
    labels = [0, 1] * 20
    theirs = [1, 1, 1, *labels[3:]]  # Two of 40 wrong, of which the candidate has one right.
    comparison = against(split_of(labels), [0, 1, 1, *labels[3:]], theirs)
    accuracy = comparison.metrics["accuracy"]
    assert (accuracy.candidate, accuracy.champion) == (0.975, 0.95)
    assert accuracy.difference.value == pytest.approx(0.025)
    assert accuracy.difference.low <= 0.025 <= accuracy.difference.high
    assert comparison.metrics["log_loss"].difference.value < 0
    assert comparison.mcnemar[:2] == (1, 0)


def test_mcnemars_test_is_exact() -> None:
    # One alone right 8 times, the other 1 time: 2 * (1 + 9) / 2^9.
    ours, theirs = [0] * 8 + [1] + [0] * 11, [1] * 8 + [0] + [0] * 11
    mcnemar = against(split_of([0] * 20), ours, theirs).mcnemar
    assert mcnemar == (8, 1, pytest.approx(20 / 512))


def test_it_is_of_the_pictures_that_both_were_tested_on() -> None:
    split = split_of([0, 0, 1, 1])
    comparison = against(split, [0, 0, 1, 0], [1, 0, 0], ids=["id1", "gone", "id3"])
    assert comparison.images == 2
    assert comparison.metrics["accuracy"].candidate == 0.5
    assert comparison.metrics["accuracy"].champion == 0.0
    assert "majority_accuracy" not in comparison.metrics  # Which no model can change.


def test_another_picture_by_the_same_name_is_another_picture() -> None:
    comparison = against(split_of([0, 0, 0]), [0, 0, 1], [0, 1, 0], changed=["id0", "id2"])
    assert comparison.images == 1
    assert comparison.mcnemar[:2] == (1, 0)


@pytest.mark.parametrize(
    ("ids", "changed"), [(["other", "another"], []), (["id0", "id1"], ["id0", "id1"])]
)
def test_without_a_common_picture_there_is_no_comparison(
    ids: list[str], changed: list[str]
) -> None:
    with pytest.raises(NotComparableError, match=r"version 3\) is known to be tested on none of"):
        against(split_of([0, 1]), [0, 1], [0, 1], ids=ids, changed=changed)


def test_what_both_find_hard_widens_no_interval() -> None:
    rng = np.random.default_rng(0)
    labels = [0, 1] * 100
    hard = [label ^ int(wrong) for label, wrong in zip(labels, rng.random(200) < 0.4, strict=True)]
    difference = against(split_of(labels), hard, hard).metrics["accuracy"].difference
    assert (difference.low, difference.high) == (0, 0)


def test_people_are_drawn_whole() -> None:
    subjects = [f"person{n // 20}" for n in range(200)]
    labels = [0, 1] * 100
    ours = [1 - label if n < 40 else label for n, label in enumerate(labels)]
    widths = []
    for of_images in (None, subjects):
        difference = against(split_of(labels, of_images), ours, labels).metrics["accuracy"]
        widths.append(difference.difference.high - difference.difference.low)
    assert widths[1] > 2 * widths[0]


def test_the_file_has_plain_names() -> None:
    written = json.loads(json.dumps(against(split_of([0, 1]), [0, 1], [0, 0]).as_json()))
    assert written["champion_version"] == 3
    assert written["metrics"]["accuracy"] == {
        "candidate": 1.0,
        "champion": 0.5,
        "difference": {"value": 0.5, "low": 0.0, "high": 1.0},
    }
    assert written["mcnemar"] == {
        "only_candidate_right": 1,
        "only_champion_right": 0,
        "p_value": 1.0,
    }
