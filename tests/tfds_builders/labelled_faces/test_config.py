from typing import Any

import pytest

from tfds_builders.labelled_faces.config import LabelledFacesConfig


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": 5}, "source: is 5; give a text"),
        ({"source": "../data"}, "source: ../data leads outside; name a zip or folder in the raw "),
        ({"source": "a/../../b"}, "source: a/../../b leads outside"),
        ({"source": "/etc"}, "source: /etc leads outside"),
        ({"source": "C:\\faces"}, "source: C:\\faces leads outside"),
        ({"table": None}, "table: is None; give a text"),
        ({"subject_pattern": 3}, "subject_pattern: is 3; give a text"),
        ({"subject_pattern": "(_"}, "subject_pattern: '(_' is no regular expression (missing ), "),
        ({"subject_pattern": "_"}, "subject_pattern: '_' has 0 groups; give it one around the"),
        ({"subject_pattern": "(a)(b)"}, "subject_pattern: '(a)(b)' has 2 groups; give it one"),
        (
            {"subject_pattern": "(a)", "subject_column": "person"},
            "subject_pattern: is given beside subject_column; give one of them",
        ),
        ({"min_count": 0}, "min_count: is 0; give a whole number from 1"),
        ({"min_count": True}, "min_count: is True; give a whole number from 1"),
        ({"labels": "happy"}, "labels: is 'happy'; give a list of different names"),
        ({"labels": ["happy", "Happy "]}, "labels: is ['happy', 'Happy ']; give a list of"),
        ({"labels": ["happy", " "]}, "labels: is ['happy', ' ']; give a list of"),
        ({"labels": [0, 1]}, "labels: is [0, 1]; give a list of"),
    ],
)
def test_an_impossible_option_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 as the message is compared
        LabelledFacesConfig(**options)

    assert str(error.value).startswith(message)


def test_other_options_have_another_name() -> None:
    options: list[dict[str, Any]] = [
        {},
        {"source": "my faces.zip"},
        {"table": "a"},
        {"image_column": "a"},
        {"label_column": "a"},
        {"subject_column": "a"},
        {"subject_pattern": "(a)"},
        {"min_count": 2},
        {"labels": ["a"]},
    ]
    names = {LabelledFacesConfig(**each).name for each in options}

    assert len(names) == len(options)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-") for name in names)
    assert LabelledFacesConfig(labels=["a"]).name == LabelledFacesConfig(labels=("a",)).name
