from pathlib import Path

import pytest

from components.common.tracking import TrackedRun
from components.common.tracking.mlflow_sender import Sender
from components.common.tracking.spool import Spool
from components.common.tracking.tracking_queue import TrackingQueue
from pipelines import mlflow_runs
from pipelines.mlflow_runs import catch_up
from pipelines.orphans import this_process


def leave(folder: Path, sender: Sender) -> TrackedRun:
    """Leaves a run as a process does that was killed before anything was sent."""
    killed = this_process() | {"mien.process_started": "1000.0"}
    spool = Spool(folder)
    run = TrackedRun(TrackingQueue(spool, sender, killed), folder.name, {})
    spool._lock.release()
    return run


def test_a_damaged_spool_stops_neither_the_others_nor_the_closing_of_orphans(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sender = Sender(f"sqlite:///{tmp_path / 'mlflow.db'}", "faces", None)
    folder = tmp_path / "tracking"
    for name in ("1", "2"):
        leave(folder / name, sender)
    with (folder / "1" / "records.jsonl").open("ab") as file:
        file.write(bytes(512) + b"\n")
    catch_up(folder, sender)
    runs = sender.client.search_runs([sender.experiment()])
    assert {run.info.run_name: run.info.status for run in runs} == {"1": "KILLED", "2": "KILLED"}
    assert [path.name for path in folder.iterdir()] == ["1.damaged"]
    assert str(folder / "1.damaged") in caplog.text


def test_what_fails_stops_neither_the_others_nor_the_closing_of_orphans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sender = Sender(f"sqlite:///{tmp_path / 'mlflow.db'}", "faces", None)
    folder = tmp_path / "tracking"
    plot = tmp_path / "plot.png"
    plot.write_text("pixels")
    leave(folder / "1", sender).log_artifact(plot)
    leave(folder / "2", sender)
    log_artifact = sender.client.log_artifact

    def status() -> dict[str, str]:
        runs = sender.client.search_runs([sender.experiment()])
        return {run.info.run_name: run.info.status for run in runs}

    def mend(seconds: float) -> None:
        assert status() == {"1": "RUNNING", "2": "KILLED"}
        assert [path.name for path in folder.iterdir()] == ["1"]
        monkeypatch.setattr(sender.client, "log_artifact", log_artifact)

    def fail(*arguments: object) -> None:
        raise PermissionError("the store is read-only")

    monkeypatch.setattr(sender.client, "log_artifact", fail)
    monkeypatch.setattr(mlflow_runs.time, "sleep", mend)
    catch_up(folder, sender)
    assert status() == {"1": "KILLED", "2": "KILLED"}
    assert list(folder.iterdir()) == []
    assert f"not told yet what is in {folder / '1'}" in caplog.text
