from datetime import UTC, datetime

import pytest

from pipelines.local_runner import Run, Step
from pipelines.report.words import duration, verdict, when


@pytest.mark.parametrize(
    ("told", "word", "kind"),
    [
        ({"blessing": "BLESSED"}, "BLESSED", "good"),
        ({"blessing": "NOT_BLESSED"}, "NOT BLESSED", "bad"),
        ({"blessing": "BLESSED", "steps": [Step("pusher", "failed")]}, "FAILED", "bad"),
        ({"folds": ["a", "b", "c"]}, "CROSS-VALIDATED", "none"),
        ({}, "NOT JUDGED", "none"),
    ],
)
def test_a_run_has_one_verdict_and_a_failure_comes_first(
    told: dict[str, object], word: str, kind: str
) -> None:
    run = Run("c", "r", "m", [])
    for name, value in told.items():
        setattr(run, name, value)
    assert verdict(run) == (word, kind)


def test_the_id_of_a_run_tells_when_it_began() -> None:
    assert when("20261122-011332-ed64") == datetime(2026, 11, 22, 1, 13, 32, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0, "0 s"), (0.84, "0.8 s"), (47.3, "47 s"), (398, "6 min 38 s"), (7500, "2 h 5 min")],
)
def test_times_are_said_as_a_person_does(seconds: float, said: str) -> None:
    assert duration(seconds) == said
