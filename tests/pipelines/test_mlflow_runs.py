from pathlib import Path

import pytest

from components.common.tracking import TrackedRun
from components.common.tracking.mlflow_sender import Sender
from components.common.tracking.spool import Spool
from components.common.tracking.tracking_queue import TrackingQueue
from pipelines.mlflow_runs import catch_up
from pipelines.orphans import this_process


def leave(spool: Path, sender: Sender) -> None:
    """Leaves a run as a process does that was killed before anything was sent."""
    killed = this_process() | {"mien.process_started": "1000.0"}
    TrackedRun(TrackingQueue(Spool(spool), sender, killed), spool.name, {})


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
