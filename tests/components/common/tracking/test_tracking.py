import sys
from pathlib import Path
from typing import Any

import pytest

from components.common import tracking
from components.common.tracking import TrackedRun, entered, tracking_queue
from tests.components.common.tracking.told import Told


def log_everything(folder: Path) -> None:
    tracking.log_metrics({"loss": 0.5}, step=3)
    tracking.log_params({"seed": 1})
    tracking.set_tags({"mien.test_read": "now"})
    tracking.log_dataset("faces", "d1", "train")
    (folder / "plot.png").touch()
    tracking.log_artifact(folder / "plot.png")


def test_without_a_run_nothing_happens_and_nobody_imports_mlflow(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delitem(sys.modules, "mlflow", raising=False)
    log_everything(tmp_path)
    with tracking.child_run("trial", {}):
        pass
    assert tracking.run_id() == ""
    assert not tracking.tell(lambda mlflow: mlflow.set_tag("a", "b"))
    assert "mlflow" not in sys.modules


def test_what_is_told_of_the_active_run(told: Told, tmp_path: Path) -> None:
    with entered(TrackedRun(told, "parent", {"mien.config": "tiny"})):
        log_everything(tmp_path)
    start, *logged, end = told.records
    assert (start["op"], start["name"], start["tags"]) == (
        "start",
        "parent",
        {"mien.config": "tiny", "mien.host": "here"},
    )
    metrics, params, tags, dataset, artifact = logged
    assert [(name, value, step) for name, value, _, step in metrics["rows"]] == [("loss", 0.5, 3)]
    assert params["rows"] == [["seed", "1"]]
    assert tags["rows"] == [["mien.test_read", "now"]]
    assert (dataset["name"], dataset["digest"], dataset["context"]) == ("faces", "d1", "train")
    assert Path(artifact["path"]).name == "plot.png"
    assert (end["op"], end["status"]) == ("end", "FINISHED")
    assert len({record["run"] for record in told.records}) == 1


def test_an_artifact_may_be_moved_before_it_is_sent(told: Told, tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "roc.png").write_text("curve")
    run = TrackedRun(told, "parent", {})
    run.log_artifact(tmp_path / "figures")
    (tmp_path / "figures").rename(tmp_path / "published")
    kept = told.spool.folder / told.records[-1]["path"]
    assert kept.name == "figures"
    assert (kept / "roc.png").read_text() == "curve"


def test_an_artifact_that_is_not_there_costs_a_warning(
    told: Told, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    TrackedRun(told, "parent", {}).log_artifact(tmp_path / "plot.png")
    assert "plot.png is not logged to MLflow" in caplog.text


@pytest.mark.parametrize(
    ("kind", "count", "batches"), [("metrics", 2500, [1000, 1000, 500]), ("params", 150, [100, 50])]
)
def test_what_mlflow_does_not_take_at_once_is_cut(
    told: Told, kind: str, count: int, batches: list[int]
) -> None:
    run = TrackedRun(told, "parent", {})
    getattr(run, f"log_{kind}")({f"name{number}": number for number in range(count)})
    assert [len(record["rows"]) for record in told.records if record["op"] == kind] == batches


def test_a_child_run_lies_below_the_active_one_and_is_finished(told: Told) -> None:
    with entered(TrackedRun(told, "parent", {})):
        with tracking.child_run("trainer", {"epochs": 8}):
            tracking.log_metrics({"loss": 1.0})
        tracking.log_metrics({"accuracy": 1.0})
    parent, child = (record for record in told.records if record["op"] == "start")
    assert (child["parent"], child["name"]) == (parent["run"], "trainer")
    assert [(record["op"], record["run"] == child["run"]) for record in told.records] == [
        ("start", False),
        ("start", True),
        ("params", True),
        ("metrics", True),
        ("end", True),
        ("metrics", False),
        ("end", False),
    ]


def test_a_child_run_that_raises_is_failed_and_says_why(told: Told) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        entered(TrackedRun(told, "parent", {})),
        tracking.child_run("trainer", {}),
    ):
        raise ZeroDivisionError("nothing to divide by")
    of_child = [record for record in told.records if record["run"] == told.records[1]["run"]]
    error, end = of_child[-2:]
    assert error["rows"] == [["mien.error", "ZeroDivisionError: nothing to divide by"]]
    assert end["status"] == "FAILED"
    assert tracking.active_run() is None


def test_a_server_whose_answers_are_slow_is_asked_nothing_that_is_waited_for(
    told: Told, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tracking_queue, "PROMPT", 0.0)
    done: list[Any] = []
    with entered(TrackedRun(told, "parent", {})):
        told._patience = 20.0
        monkeypatch.setattr(told.sender, "send", lambda *_: "theirs")
        told.start()
        assert not tracking.tell(done.append)
        assert told.drain()
    assert done == []
    assert "MLflow does not answer in time" in caplog.text


def test_what_needs_an_answer_is_left_out_where_there_is_none(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[Any] = []
    with entered(TrackedRun(told, "parent", {})):
        assert not tracking.tell(done.append)
    assert done == []
    assert "MLflow does not answer" in caplog.text
