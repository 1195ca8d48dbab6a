"""What a component tells MLflow, read from the spool, with no server to send it to."""

import json
from pathlib import Path
from typing import Any

from components.common.tracking.mlflow_sender import Sender
from components.common.tracking.spool import Spool
from components.common.tracking.tracking_queue import TrackingQueue


class Told(TrackingQueue):
    """A queue that is never sent, and does not wait."""

    def __init__(self, folder: Path) -> None:
        sender = Sender("sqlite:////nowhere", "told", None)
        super().__init__(Spool(folder), sender, {"mien.host": "here"})
        self._patience = 0.0

    @property
    def records(self) -> list[dict[str, Any]]:
        lines = (self.spool.folder / "records.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]
