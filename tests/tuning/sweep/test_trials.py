import json
import os
from pathlib import Path

import pytest

from tuning.sweep.trials import (
    Trial,
    excuse_running,
    leaderboard,
    read_trial,
    read_trials,
    running_seconds,
    write_trial,
)


def trial(number: int, score: float | None = 0.5, **facts: object) -> Trial:
    return Trial(str(number), "COMPLETED", score, {"width": 8}, [])._replace(**facts)


def test_trials_are_read_as_they_were_written_by_number(tmp_path: Path) -> None:
    row = {"epoch": 1, "val_loss": 0.25}
    trials = [trial(n, epochs=[row], attempts=[[1.0, 2.5]]) for n in (2, 10, 1)]
    for one in trials:
        write_trial(tmp_path, one)
    assert read_trials(tmp_path) == [trials[2], trials[0], trials[1]]
    assert read_trial(tmp_path / "10.json") == trials[1]


def test_a_trial_is_written_over_whole(tmp_path: Path) -> None:
    write_trial(tmp_path, trial(1, status="RUNNING"))
    write_trial(tmp_path, trial(1))
    assert [path.name for path in tmp_path.iterdir()] == ["1.json"]
    assert read_trials(tmp_path)[0].status == "COMPLETED"


def test_two_processes_may_write_the_same_trial_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the worker of a dead chief and one of the new chief do, on two machines with one disk."""
    sync = os.fsync

    def written_meanwhile(handle: int) -> None:
        sync(handle)
        monkeypatch.setattr("tuning.sweep.trials.os.fsync", sync)
        monkeypatch.setattr("tuning.sweep.trials.socket.gethostname", lambda: "other")
        write_trial(tmp_path, trial(1, 0.25))

    monkeypatch.setattr("tuning.sweep.trials.os.fsync", written_meanwhile)
    write_trial(tmp_path, trial(1, 0.75))
    assert read_trials(tmp_path) == [trial(1, 0.75, attempts=[])]


def test_of_processes_that_were_killed_together_the_trials_that_ran_are_excused(
    tmp_path: Path,
) -> None:
    ran = trial(1, None, status="RUNNING", attempts=[[1.0, 2.0], [3.0, 4.0]], excused=1)
    waited = trial(2, None, status="RUNNING", attempts=[[1.0, 2.0]], excused=1)
    ended = trial(3, attempts=[[1.0, 2.0]])
    for one in (ran, waited, ended):
        write_trial(tmp_path, one)
    excuse_running(tmp_path)
    assert read_trials(tmp_path) == [ran._replace(excused=2), waited, ended]


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"id": "1"}', '"1"'])
def test_a_damaged_trial_is_left_out(tmp_path: Path, content: str) -> None:
    write_trial(tmp_path, trial(2))
    (tmp_path / "1.json").write_text(content)
    assert read_trials(tmp_path) == [trial(2, attempts=[])]


def test_a_trial_under_another_ones_name_is_left_out(tmp_path: Path) -> None:
    write_trial(tmp_path, trial(1))
    (tmp_path / "2.json").write_text(json.dumps(trial(1)._asdict()))
    assert [one.id for one in read_trials(tmp_path)] == ["1"]


def test_without_a_folder_there_are_no_trials(tmp_path: Path) -> None:
    assert read_trials(tmp_path / "none") == []
    assert read_trial(tmp_path / "1.json") is None


@pytest.mark.parametrize(
    ("objective", "order"), [("val_loss", ["2", "1", "3"]), ("val_accuracy", ["1", "2", "3"])]
)
def test_the_best_comes_first_and_what_has_no_score_last(objective: str, order: list[str]) -> None:
    trials = [trial(3, None, status="FAILED"), trial(1, 0.9), trial(2, 0.1)]
    assert [one.id for one in leaderboard(trials, objective)] == order


@pytest.mark.parametrize(
    ("attempts", "seconds"),
    [
        ([], 0),
        ([[[0, 10]], [[20, 25]]], 15),
        ([[[0, 10]], [[5, 12]]], 12),
        ([[[0, 10]], [[2, 3]], [[4, 11]]], 11),
        ([[[0, 10], [50, 60]], [[10, 20]]], 30),
    ],
    ids=["none", "one after the other", "at once", "one inside another", "interrupted"],
)
def test_running_time_counts_each_second_once(
    attempts: list[list[list[float]]], seconds: float
) -> None:
    trials = [trial(n, attempts=of_trial) for n, of_trial in enumerate(attempts, start=1)]
    assert running_seconds(trials) == seconds
