from typing import Any

import pytest

from components.common.publishing.card_words import headline, how_split, summary

SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2, "seed": 5}


@pytest.mark.parametrize(
    ("split", "subjects", "said"),
    [
        (
            {"method": "", **SHARES},
            None,
            "by person where all are known, else each class alike: 60 % train, 20 % validation, "
            "20 % test; seed 5",
        ),
        (
            {"method": "subject", **SHARES},
            12,
            "by person, nobody being in two splits: 60 % train, 20 % validation, 20 % test; seed 5",
        ),
        (
            {"method": "", "kfold": 10, "fold": 2, **SHARES},
            12,
            "into 10 folds by person, nobody being in two splits: tested on fold 2, validated on "
            "the next one; seed 5",
        ),
        (
            {"method": "", "kfold": 4, **SHARES},
            None,
            "into 4 folds each class alike: tested on fold 0, validated on the next one; seed 5",
        ),
    ],
)
def test_how_the_examples_were_split(
    split: dict[str, Any], subjects: int | None, said: str
) -> None:
    assert how_split(split, subjects) == said


def test_a_model_without_an_evaluation_has_no_numbers() -> None:
    manifest = {"labels": ["sad", "happy"]}
    assert headline(manifest, "accuracy") is None
    assert list(summary(manifest)) == ["It was pushed without an evaluation."]
