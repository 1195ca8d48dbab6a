import sys
from typing import Any

import pytest

from components.common.tracking import TrackedRun, entered
from components.common.tracking.trial_runs import trial_runs
from tests.components.common.tracking.told import Told
from tuning.sweep.trials import Trial

BEGUN = Trial("3", "RUNNING", None, {"width": 8, "tuner/epochs": 9}, [], attempts=[[50.0, 50.0]])


def rows(count: int) -> list[dict[str, float]]:
    return [{"epoch": n, "loss": 1 / n, "val_loss": 2 / n} for n in range(1, count + 1)]


def tell(told: Told, *trials: Trial) -> None:
    with entered(TrackedRun(told, "tuner", {})):
        log = trial_runs()
        for trial in trials:
            log(trial)


def trials_of(told: Told) -> list[list[dict[str, Any]]]:
    """The records of each trial's run."""
    parent = told.records[0]["run"]
    runs = [record["run"] for record in told.records if record.get("parent") == parent]
    return [[record for record in told.records if record["run"] == run] for run in runs]


def points(records: list[dict[str, Any]]) -> list[tuple[str, float, int]]:
    rows = [row for record in records if record["op"] == "metrics" for row in record["rows"]]
    return [(name, value, step) for name, value, _, step in rows]


def params(records: list[dict[str, Any]]) -> dict[str, str]:
    return dict(row for record in records if record["op"] == "params" for row in record["rows"])


def test_a_trial_is_a_child_run_from_its_start_to_its_end(told: Told) -> None:
    ended = BEGUN._replace(status="COMPLETED", score=1.0, epochs=rows(2), parameters=9)
    ended = ended._replace(batch_size=32, attempts=[[50.0, 60.5]])
    tell(told, BEGUN, BEGUN._replace(epochs=rows(1)), BEGUN._replace(epochs=rows(2)), ended)
    (trial,) = trials_of(told)
    start, end = trial[0], trial[-1]
    assert (start["op"], start["name"], start["at"]) == ("start", "trial 3", 50000)
    assert start["tags"]["mien.trial"] == "3"
    epochs = [("loss", 1.0, 1), ("val_loss", 2.0, 1), ("loss", 0.5, 2), ("val_loss", 1.0, 2)]
    assert points(trial) == [*epochs, ("score", 1.0, 0), ("parameters", 9.0, 0)]
    assert params(trial) == {"width": "8", "batch_size": "32"}
    assert (end["op"], end["status"], end["at"]) == ("end", "FINISHED", 60500)


def test_a_trial_that_ended_long_ago_is_logged_whole_and_once(told: Told) -> None:
    ended = BEGUN._replace(status="COMPLETED", score=1.0, epochs=rows(700))
    tell(told, ended, ended)
    (trial,) = trials_of(told)
    assert len(points(trial)) == 2 * 700 + 2
    assert [record["status"] for record in trial if record["op"] == "end"] == ["FINISHED"]


def test_a_failed_trial_says_why(told: Told) -> None:
    tell(told, BEGUN._replace(status="FAILED", reason="out of memory: 3 GiB"))
    (trial,) = trials_of(told)
    assert ["mien.error", "out of memory: 3 GiB"] in [
        row for record in trial if record["op"] == "tags" for row in record["rows"]
    ]
    assert trial[-1]["status"] == "FAILED"
    assert "score" not in {name for name, *_ in points(trial)}


def test_trials_may_run_at_once(told: Told) -> None:
    other = BEGUN._replace(id="4")
    tell(told, BEGUN, other, BEGUN._replace(epochs=rows(1)), other._replace(epochs=rows(2)))
    assert {trial[0]["name"]: len(points(trial)) for trial in trials_of(told)} == {
        "trial 3": 2,
        "trial 4": 4,
    }


def test_a_trial_that_is_run_again_is_another_run(told: Told) -> None:
    again = BEGUN._replace(attempts=[[50.0, 60.0], [70.0, 70.0]])
    tell(told, BEGUN._replace(epochs=rows(2)), again, again._replace(epochs=rows(1)))
    first, second = trials_of(told)
    assert first[-1]["status"] == "KILLED"
    assert second[-1]["op"] == "metrics"
    assert [len(points(trial)) for trial in (first, second)] == [4, 2]


def test_without_an_active_run_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mlflow", raising=False)
    trial_runs()(BEGUN)
    assert "mlflow" not in sys.modules
