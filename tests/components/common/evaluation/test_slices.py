import numpy as np
import pytest

from components.common.evaluation.slices import Slice, as_rows, measure_slices
from components.common.measurements import Measurement
from components.common.records import Split


def split_of(brightness: list[int], subjects: list[str] | None = None) -> Split:
    ids = [f"id{n}" for n in range(len(brightness))]
    images = np.repeat(np.array(brightness, np.uint8), 4).reshape(-1, 2, 2, 1)
    labels = np.zeros(len(brightness), np.int64)
    return Split(images, labels, ids, subjects or [""] * len(brightness), ids)


def measured(name: str, side: int, has_face: bool) -> Measurement:
    return Measurement(name, side, side, 0.0, 0.0, "", "", int(has_face), "")


def by_value(slices: list[Slice], name: str) -> dict[str, tuple[int, float]]:
    return {of.value: (of.images, of.accuracy.value) for of in slices if of.slice == name}


def test_pictures_are_cut_into_thirds_by_brightness() -> None:
    right = np.array([True] * 8 + [False] * 4 + [True] * 6)
    split = split_of(list(range(10, 190, 10)))
    slices = measure_slices(split, right, {}, resamples=50, seed=0)
    assert by_value(slices, "brightness") == pytest.approx(
        {"dark": (6, 1.0), "medium": (6, 2 / 6), "bright": (6, 1.0)}
    )
    medium = slices[1].accuracy
    assert medium.low < medium.value < medium.high


def test_size_and_face_are_of_the_original_pictures() -> None:
    split, right = split_of([7] * 18), np.arange(18) % 2 == 0
    originals = {name: measured(name, n + 1, n < 6) for n, name in enumerate(split.ids)}
    slices = measure_slices(split, right, originals, resamples=0, seed=0)
    assert by_value(slices, "size") == {"small": (6, 0.5), "medium": (6, 0.5), "large": (6, 0.5)}
    assert by_value(slices, "face") == {"found": (6, 0.5), "not found": (12, 0.5)}
    assert by_value(slices, "brightness") == {}  # All are as bright.


def test_what_is_not_known_of_every_picture_is_left_out() -> None:
    split = split_of(list(range(18)), ["anna"] * 9 + [""] * 9)
    originals = {name: measured(name, n + 1, n < 6) for n, name in enumerate(split.ids[1:])}
    slices = measure_slices(split, np.ones(18, bool), originals, resamples=0, seed=0)
    assert {of.slice for of in slices} == {"brightness"}


def test_of_subjects_the_ten_worst_with_enough_pictures_are_told() -> None:
    subjects = [f"person{n % 12:02}" for n in range(72)] + ["rare"] * 4
    right = np.array([n // 12 < n % 12 for n in range(72)] + [False] * 4)
    slices = measure_slices(split_of([7] * 76, subjects), right, {}, resamples=20, seed=0)
    told = [of for of in slices if of.slice == "subject"]
    assert [of.value for of in told] == [f"person{n:02}" for n in range(10)]
    assert (told[0].images, told[0].accuracy.value) == (6, 0.0)
    # The interval of one person's accuracy is over the pictures.
    assert told[3].accuracy.low < told[3].accuracy.value < told[3].accuracy.high


def test_a_row_of_the_file() -> None:
    slices = measure_slices(split_of(list(range(18))), np.ones(18, bool), {}, resamples=9, seed=0)
    assert as_rows(slices)[0] == {
        "slice": "brightness",
        "value": "dark",
        "images": 6,
        # Of six pictures without a mistake: the sixth root of 0.025.
        "accuracy": {"value": 1.0, "low": pytest.approx(0.025 ** (1 / 6)), "high": 1.0},
    }


def test_a_slice_without_a_mistake_has_the_bound_of_as_many_pictures() -> None:
    people = [f"person{n % 2}" for n in range(18)]
    split = split_of(list(range(18)), people)
    slices = measure_slices(split, np.ones(18, bool), {}, resamples=9, seed=0)
    lows = {of.slice: of.accuracy.low for of in slices}
    assert lows["brightness"] == pytest.approx(0.025 ** (1 / 6))  # Three slices.
    assert lows["subject"] == pytest.approx(0.025 ** (1 / 9))  # Two.
