"""The trials of a search: a JSON file each, which appears whole.

KerasTuner's own files say less (no epochs, no reason) and are written in place. These are read by
whoever follows a search from another process or another machine.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

Status = Literal["RUNNING", "COMPLETED", "FAILED"]


class Trial(NamedTuple):
    """A trial.

    Attributes:
        id: its number, from 1.
        status: as it stands.
        score: the objective's value; None where it failed, or still runs.
        values: its hyperparameters, KerasTuner's own (`tuner/...`) among them.
        epochs: a row each: `epoch` (from 1), the metrics, `learning_rate`, `seconds`,
            `images_per_second`.
        parameters: of its model, 0 where none could be built.
        reason: why it failed.
    """

    id: str
    status: Status
    score: float | None
    values: dict[str, Any]
    epochs: list[dict[str, float]]
    parameters: int = 0
    reason: str = ""


def write_trial(folder: Path, trial: Trial) -> None:
    """Writes `<folder>/<id>.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{trial.id}.part"
    part.write_text(json.dumps(trial._asdict(), indent=1))
    os.replace(part, folder / f"{trial.id}.json")


def read_trials(folder: Path) -> list[Trial]:
    """The trials in a folder, by number."""
    read = (json.loads(path.read_text()) for path in folder.glob("*.json"))
    return sorted((Trial(**content) for content in read), key=lambda trial: int(trial.id))


def leaderboard(trials: Iterable[Trial], objective: str) -> list[Trial]:
    """The trials, the best first; those without a score last."""
    sign = 1 if objective.endswith("loss") else -1
    return sorted(trials, key=lambda t: float("inf") if t.score is None else sign * t.score)
