import numpy as np

from components.common.class_counts import count_classes
from components.common.records import Split


def split(ids: list[str], subjects: list[str]) -> Split:
    labels = np.arange(len(ids)) % 2
    return Split(np.zeros((len(ids), 1, 1, 1), np.uint8), labels, ids, subjects, ids)


def test_copies_are_images_and_no_pictures() -> None:
    counted = count_classes(split(["a", "a+1", "b", "c"], ["x", "x", "y", "y"]), ["sad", "happy"])
    assert counted == {
        "images": 4,
        "pictures": 3,
        "subjects": 2,
        "classes": {"sad": 2, "happy": 2},
    }


def test_people_are_not_counted_where_some_are_not_known() -> None:
    assert count_classes(split(["a", "b"], ["x", ""]), ["sad", "happy"])["subjects"] is None


def test_a_class_without_images_is_there_with_none() -> None:
    assert count_classes(split(["a"], ["x"]), ["sad", "happy"])["classes"]["happy"] == 0
