import pytest

from components.common.evaluation.comparison import Comparison, Difference, McNemar
from components.common.evaluation.intervals import Interval
from components.common.evaluation.thresholds import judge_changes, judge_values

METRICS = {"accuracy": Interval(0.9, 0.8, 1.0), "log_loss": Interval(0.4, 0.3, 0.5)}

COMPARISON = Comparison(
    champion_version=3,
    images=1158,
    metrics={
        "macro_f1": Difference(0.9, 0.91, Interval(-0.01, -0.025, 0.005)),
        "log_loss": Difference(0.3, 0.25, Interval(0.05, 0.01, 0.09)),
    },
    mcnemar=McNemar(7, 12, 0.3593),
)


@pytest.mark.parametrize(
    ("thresholds", "holds", "reasons"),
    [
        ({"accuracy": 0.9}, [True], ["test/accuracy is 0.9000, wanted at least 0.9: holds"]),
        ({"accuracy": 0.95}, [False], ["test/accuracy is 0.9000, wanted at least 0.95: fails"]),
        ({"log_loss": 0.4}, [True], ["test/log_loss is 0.4000, wanted at most 0.4: holds"]),
        ({"log_loss": 0.39}, [False], ["test/log_loss is 0.4000, wanted at most 0.39: fails"]),
        (
            {"roc_auc": 0.5},
            [False],
            ["test/roc_auc cannot be computed, wanted at least 0.5: fails"],
        ),
        ({}, [], []),
    ],
)
def test_a_value_is_judged_in_words(
    thresholds: dict[str, float], holds: list[bool], reasons: list[str]
) -> None:
    verdicts = judge_values("test", METRICS, thresholds)
    assert [verdict.holds for verdict in verdicts] == holds
    assert [verdict.reason for verdict in verdicts] == reasons


def test_a_change_is_judged_in_words_with_its_interval_and_mcnemars_test() -> None:
    (verdict,) = judge_changes("test", COMPARISON, {"macro_f1": 0.005})
    assert verdict == (
        False,
        "test/macro_f1 is 0.9000, the champion's (version 3) 0.9100 on the same 1,158 images: a "
        "difference of -0.0100 (95 % -0.0250 to +0.0050, McNemar's p 0.36), wanted at most 0.005 "
        "worse: fails",
    )


@pytest.mark.parametrize(
    ("name", "most", "holds"),
    [
        ("macro_f1", 0.01, True),  # 0.9 - 0.91 is a little more than 0.01 to a computer.
        ("macro_f1", 0.009, False),
        ("log_loss", 0.05, True),  # Less is better: this one is worse, too.
        ("log_loss", 0.04, False),
        ("roc_auc", 1.0, False),  # Which neither of the two could compute.
    ],
)
def test_worse_by_so_much_is_allowed(name: str, most: float, holds: bool) -> None:
    (verdict,) = judge_changes("test", COMPARISON, {name: most})
    assert verdict.holds == holds
    assert verdict.reason.endswith(": holds" if holds else ": fails")
