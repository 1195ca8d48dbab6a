"""The trials of a search: a JSON file each, which appears whole.

They are the only state of a search: a stopped one is rebuilt from them, and they are read by
whoever follows it from another process or another machine.
"""

import contextlib
import json
import math
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tuning.training.rules import direction

Status = Literal["RUNNING", "COMPLETED", "FAILED"]


class Trial(NamedTuple):
    """A trial.

    Attributes:
        id: its number, from 1.
        status: as it stands.
        score: the objective's best value; None where it failed, or still runs.
        values: its hyperparameters, KerasTuner's own (`tuner/...`) among them.
        epochs: a row each: `epoch` (from 1), the metrics that are finite, `learning_rate`,
            `seconds`, `images_per_second` (of the training, without the validation).
        parameters: of its model, 0 where none could be built.
        reason: why it failed.
        batch_size: images a step.
        precision: Keras's dtype policy on the machine that ran it.
        attempts: when each began and when it was last heard of, in Unix seconds; more than one
            where a trial was interrupted and run again.
        excused: so many of the attempts ended by no fault of the trial: a person stopped the
            search, the disk was full, or the process was killed with the others.
    """

    id: str
    status: Status
    score: float | None
    values: dict[str, Any]
    epochs: list[dict[str, float]]
    parameters: int = 0
    reason: str = ""
    batch_size: int = 0
    precision: str = "float32"
    attempts: Sequence[Sequence[float]] = ()
    excused: int = 0


def write_trial(folder: Path, trial: Trial) -> None:
    """Writes `<folder>/<id>.json`, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{trial.id}.{process_name()}.part"
    with part.open("w") as file:
        json.dump(trial._asdict(), file, indent=1)
        file.flush()
        os.fsync(file.fileno())  # Else a power failure may leave the new name and no content.
    os.replace(part, folder / f"{trial.id}.json")


def process_name() -> str:
    """A name that no other process has that writes to the same folder."""
    return f"{socket.gethostname()}-{os.getpid()}"


def read_trials(folder: Path) -> list[Trial]:
    """The trials in a folder, by number; a file that is damaged is left out."""
    read = (read_trial(path) for path in folder.glob("*.json"))
    return sorted((trial for trial in read if trial), key=lambda trial: int(trial.id))


def read_trial(path: Path) -> Trial | None:
    """The trial in a file; None where there is none, or it is damaged."""
    try:
        trial = Trial(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return trial if trial.id == path.stem else None


def excuse_running(folder: Path) -> None:
    """Says of the trials that still ran that their processes were killed by no fault of theirs."""
    with contextlib.suppress(OSError):  # The next start finds them, with one attempt less.
        for trial in read_trials(folder):
            if trial.status == "RUNNING" and trial.excused < len(trial.attempts):
                write_trial(folder, trial._replace(excused=trial.excused + 1))


def leaderboard(trials: Iterable[Trial], objective: str) -> list[Trial]:
    """The trials, the best first; those without a score last."""
    sign = 1 if direction(objective) == "min" else -1
    return sorted(trials, key=lambda t: math.inf if t.score is None else sign * t.score)


def models_own(values: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameters without those that Hyperband adds for its own schedule."""
    return {name: value for name, value in values.items() if not name.startswith("tuner/")}


def describe_best(trials: Sequence[Trial], objective: str) -> dict[str, Any]:
    """The hyperparameters of the first of the trials, and why it was chosen."""
    best = trials[0]
    return {
        "values": models_own(best.values),
        "chosen_by": f"best {objective} of {len(trials)} trials, {best.score:.4f}",
        "trial": best.id,
        "score": best.score,
    }


def running_seconds(trials: Iterable[Trial]) -> float:
    """For how long at least one trial ran, all starts of the search together."""
    total, until = 0.0, 0.0
    for began, heard in sorted(tuple(attempt) for trial in trials for attempt in trial.attempts):
        total += max(0.0, heard - max(began, until))
        until = max(until, heard)
    return total
