"""The search: KerasTuner's oracles over a hypermodel, resumed where it was stopped."""

import fcntl
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from keras_tuner.engine.base_tuner import BaseTuner

from tuning.accelerator import BATCH_SIZE, dtype_policy, largest_batch_size, resolve_precision
from tuning.hypermodels import get_hypermodel
from tuning.space import build_with, default_values, with_fixed
from tuning.sweep.chief import become_chief
from tuning.sweep.job import Job
from tuning.sweep.oracles import make_oracle
from tuning.sweep.resume import restore
from tuning.sweep.running import Setting, run_trial
from tuning.sweep.trials import (
    Trial,
    describe_best,
    excuse_running,
    leaderboard,
    read_trials,
    running_seconds,
)
from tuning.task import Task
from tuning.training.batches import Arrays

log = logging.getLogger(__name__)

# Of a batch size that is searched: beyond, a network learns less from the same epochs.
_LARGEST_BATCH = 1024
_STEPS = 8


def search(
    job: Job,
    train: Arrays,
    validation: Arrays,
    folder: Path,
    on_change: Callable[[Trial], None],
) -> list[Trial]:
    """Runs a search, or the rest of one, and returns its trials, the best first.

    With KerasTuner's variables of a distributed search in the environment, the process is its
    chief, which hands out trials until there are none left, or a worker, which runs some.

    Args:
        job: what is searched.
        train: what the trials are fitted to.
        validation: what they are judged on.
        folder: `trials/<id>.json` of each trial, which the search goes on from, and with Hyperband
            `checkpoints/`; of all processes of a distributed search the same.
        on_change: is told a trial, of this process, each time that it changes.

    Raises:
        kt.errors.FatalError: the disk is full, a file of the hypermodel is missing, or another
            process hands out the trials now; the trial is run again by the next start.
    """
    records = folder / "trials"
    oracle = make_oracle(job, lambda: running_seconds(read_trials(records)))
    batch_size = _batch_size(job, len(train.labels), folder)
    build = _builder(job, len(train.labels), batch_size)
    setting = Setting(job, build, train, validation, folder, batch_size, on_change)
    tuner = _Tuner(oracle, setting)
    if tuner.oracle is oracle:  # A worker has the chief's.
        become_chief(folder)
        if _is_chief():
            excuse_running(records)  # Their workers lost the chief, whatever became of them.
        for part in folder.glob("*/.*.part*"):  # Of processes that were killed while they wrote.
            part.unlink(missing_ok=True)
        _warn_of_damage(records)
        restore(oracle, read_trials(records))
    tuner.search(verbose=0)
    return leaderboard(read_trials(records), job.objective)


def describe_winner(job: Job, trials: Sequence[Trial]) -> dict[str, Any]:
    """What the full training needs to know of the first of the trials, and why it was chosen.

    `warnings` say where the search ended before its budget.
    """
    return {
        "hypermodel": job.hypermodel,
        "precision": trials[0].precision,  # A chief may have no GPU where the workers have one.
        "batch_size": trials[0].batch_size,
        **describe_best(trials, job.objective),
        "warnings": _ended_early(job, trials),
    }


def describe_defaults(job: Job, images: int, folder: Path) -> dict[str, Any]:
    """As `describe_winner`, of a job without trials.

    Args:
        job: whose hypermodel's defaults are taken.
        images: of train.
        folder: of the search.
    """
    batch_size = _batch_size(job, images, folder)
    return {
        "hypermodel": job.hypermodel,
        "precision": resolve_precision(job.precision),
        "batch_size": batch_size,
        "values": default_values(_builder(job, images, batch_size)),
        "chosen_by": "defaults: no search was asked for",
        "warnings": [],
    }


def _ended_early(job: Job, trials: Sequence[Trial]) -> list[str]:
    """What a person has to know of an oracle that had no more to propose within the budget."""
    out_of_time = job.minutes is not None and running_seconds(trials) >= 60 * job.minutes
    if out_of_time or len(trials) == job.max_trials:
        return []
    of = f" of {job.max_trials}" if job.max_trials else ""
    why = "it has no values that were not tried"
    if job.oracle == "hyperband":
        why = f"for {job.epochs} epochs it has no more; say more tuner.epochs, or another oracle"
    return [f"{job.oracle} ended after {len(trials)}{of} trials: {why}"]


class _Tuner(BaseTuner):
    """Asks the oracle for trials, has them run, and keeps no files of KerasTuner's."""

    def __init__(self, oracle: Any, setting: Setting) -> None:
        self._setting = setting
        super().__init__(oracle, setting.build, str(setting.folder.parent), setting.folder.name)

    def run_trial(self, trial: Any, **_: Any) -> float:
        return run_trial(self._setting, trial.trial_id, trial.hyperparameters.values)

    def save(self) -> None:
        pass


def _builder(job: Job, images: int, batch_size: int) -> Callable[[Any], Any]:
    task = Task(job.image_shape, job.classes, steps=-(-images // batch_size), epochs=job.epochs)
    build_hypermodel = get_hypermodel(job.hypermodel)
    return with_fixed(lambda hp: build_hypermodel(hp, task), job.fixed)


def _batch_size(job: Job, images: int, folder: Path) -> int:
    """What the job says, else what the first process of the search found to fit on its GPU."""
    if job.batch_size:
        return job.batch_size
    if _is_chief():
        return BATCH_SIZE  # It trains nothing, and may have no GPU where the workers have one.
    found = folder / "batch_size"
    folder.mkdir(parents=True, exist_ok=True)
    # One after the other: of two that measured at once, each would take the other's memory.
    with (folder / "batch_size.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not found.exists():
            part = found.with_suffix(".part")
            part.write_text(str(_measure_batch_size(job, images)))
            part.replace(found)
        return int(found.read_text())


def _is_chief() -> bool:
    return "chief" in os.environ.get("KERASTUNER_TUNER_ID", "")


def _measure_batch_size(job: Job, images: int) -> int:
    build = _builder(job, images, BATCH_SIZE)
    limit = min(_LARGEST_BATCH, images // _STEPS)
    with dtype_policy(job.precision):
        return largest_batch_size(
            lambda: build_with(build, {}), job.image_shape, job.classes, limit=limit
        )


def _warn_of_damage(records: Path) -> None:
    read = {trial.id for trial in read_trials(records)}
    for path in records.glob("*.json"):
        if path.stem not in read:
            log.warning("%s is damaged: trial %s is run again", path, path.stem)
