from collections.abc import Sequence

import pytest

from tfds_builders.labelled_faces.classes import sort_into_classes, tidy
from tfds_builders.labelled_faces.layouts import Row


def rows(*labels: str) -> list[Row]:
    return [Row(f"{number}.png", label) for number, label in enumerate(labels)]


def test_spellings_are_merged_and_the_most_frequent_one_is_used() -> None:
    classes = sort_into_classes(
        rows("HAPPY", "happy", " happy ", "sad", "Very  Sad", "very\tsad", "Happy"), (), 1
    )

    assert classes.labels == ("happy", "sad", "Very Sad")
    assert [row.label for row in classes.rows] == ["happy"] * 4 + ["sad"] + ["Very Sad"] * 2
    assert classes.notes == (
        "label happy: also written HAPPY (1 time), Happy (1 time)",
        "label Very Sad: also written very sad (1 time)",
    )
    assert classes.left_out == {}


def test_one_text_may_be_written_in_two_ways() -> None:
    classes = sort_into_classes(rows("de\u0301gou\u0302t", "d\u00e9go\u00fbt"), (), 1)

    assert classes.labels == ("d\u00e9go\u00fbt",)
    assert classes.notes == ()
    assert tidy(" a\u2028 e\u0301\n") == "a \u00e9"


def test_the_labels_asked_for_give_the_order_and_the_spelling() -> None:
    classes = sort_into_classes(rows("sad", "HAPPY", "fear", "fear"), ("Sad", "Happy"), 1)

    assert classes.labels == ("Sad", "Happy")
    assert [row.label for row in classes.rows] == ["Sad", "Happy"]
    assert classes.left_out == {"label fear is not among the labels asked for": 2}
    assert classes.notes == (
        "label Happy: also written HAPPY (1 time)",
        "label Sad: also written sad (1 time)",
    )


def test_small_classes_and_empty_labels_are_left_out_and_counted() -> None:
    classes = sort_into_classes(rows("a", "a", "A", "b", "c", "c", "", " "), (), 3)

    assert classes.labels == ("a",)
    assert classes.left_out == {
        "no label": 2,
        "class b has 1 picture, fewer than min_count 3": 1,
        "class c has 2 pictures, fewer than min_count 3": 2,
    }
    assert len(classes.rows) + sum(classes.left_out.values()) == 8


@pytest.mark.parametrize(
    ("labels", "wanted", "min_count", "message"),
    [
        (["", " "], (), 1, "no class has 1 picture; lower min_count, or label more"),
        (["a", "b"], (), 2, "no class has 2 pictures; lower min_count, or label more"),
        (["b", "A"], ("a", "c"), 1, "labels: c has no picture; those that have: a, b"),
        ([""], ("a",), 1, "labels: a has no picture; those that have: none"),
        (
            ["a", "a", "b"],
            ("a", "b"),
            2,
            "labels: b has 1 picture, fewer than min_count 2; take it out of labels, or lower "
            "min_count",
        ),
    ],
)
def test_classes_that_cannot_be_made_are_named(
    labels: Sequence[str], wanted: Sequence[str], min_count: int, message: str
) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 as the whole message is compared
        sort_into_classes(rows(*labels), wanted, min_count)

    assert str(error.value) == message
