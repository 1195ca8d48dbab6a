from typing import Any

import pytest

from components.common.publishing.card_words import (
    headline,
    how_split,
    interval,
    limits,
    summary,
)

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
            {"method": "official", **SHARES},
            None,
            "as the dataset's authors did; where they made no validation split, it is 20 % of "
            "their train split; seed 5",
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


def test_what_was_rejected_before_is_said() -> None:
    rejected = {"no face found": 1200, "damaged": 1}
    evaluation = {"split": "test", "images": 5, "rejected": rejected}
    manifest = {"labels": ["a", "b"], "dataset": {"name": "made"}, "evaluation": evaluation}
    said = list(limits(manifest, []))
    assert said[0] == (
        "1,201 more images of test were rejected before and are in none of the numbers: "
        "no face found (1,200), damaged (1)."
    )
    evaluation["rejected"] = {}
    assert "rejected" not in " ".join(limits(manifest, []))


def test_an_interval_without_width_is_not_said() -> None:
    certain = {"value": 1.0, "low": 1.0, "high": 1.0}
    evaluation = {"split": "test", "images": 5, "test/accuracy": certain, "test/macro_f1": certain}
    manifest = {"labels": ["a", "b"], "dataset": {"name": "made"}, "evaluation": evaluation}
    assert interval(certain) == "1.000"
    said = " ".join([*summary(manifest), *limits(manifest, [])])
    assert "it names 100.0 % right. Macro F1 is 1.000. " in said
    assert "moves the accuracy by 20 points. " in said
    assert "interval" not in said


def test_an_interval_that_has_width_is_said() -> None:
    within = {"value": 1.0, "low": 0.48, "high": 1.0}
    evaluation = {"split": "test", "images": 5, "test/accuracy": within}
    manifest = {"labels": ["a", "b"], "dataset": {"name": "made"}, "evaluation": evaluation}
    assert interval(within) == "1.000 (0.480 to 1.000)"
    said = " ".join([*summary(manifest), *limits(manifest, [])])
    assert "it names 100.0 % right (95 % interval 48.0 % to 100.0 %). " in said
    assert "moves the accuracy by 20 points, and its 95 % interval is 52 points wide. " in said
