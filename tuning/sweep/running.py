"""One trial: built, fitted, recorded after every epoch; what it dies of, in words."""

import contextlib
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import keras_tuner as kt

from tuning.accelerator import compile_for_device, dtype_policy, is_out_of_memory
from tuning.space import build_with
from tuning.sweep.chief import read_chief
from tuning.sweep.job import Job
from tuning.sweep.oracles import trial_number
from tuning.sweep.trials import Trial, process_name, read_trial, write_trial
from tuning.training.batches import Arrays, Batches
from tuning.training.clock import Clock
from tuning.training.rules import direction

KILLS = 3
"""So often the process of a trial is killed before it is not tried again: the kernel kills what
takes more memory than there is. Fewer than `tuning.sweep.workers.DEATHS`, which end the search."""


class Setting(NamedTuple):
    """What all trials of a search have in common.

    Attributes:
        job: what is searched.
        build: from hyperparameters to a compiled model.
        train: what the trials are fitted to.
        validation: what they are judged on.
        folder: of the search: `trials/` and `checkpoints/`.
        batch_size: images a step.
        on_change: is told the trial each time that it changes.
    """

    job: Job
    build: Callable[[Any], Any]
    train: Arrays
    validation: Arrays
    folder: Path
    batch_size: int
    on_change: Callable[[Trial], None]


def run_trial(setting: Setting, trial_id: str, values: Mapping[str, Any]) -> float:
    """Runs a trial and returns its score; one that ended already is not run again.

    Nor is one in which the process was killed KILLS times.

    Args:
        setting: of the search.
        trial_id: KerasTuner's.
        values: of all hyperparameters.

    Raises:
        kt.errors.FailedTrialError: with the reason.
        kt.errors.FatalError: a file cannot be written or read, or another chief hands out the
            trials now: no fault of the hyperparameters.
    """
    number = trial_number(trial_id)
    before = read_trial(setting.folder / "trials" / f"{number}.json")
    # A worker that was killed between the record and its report to the chief.
    if before and before.status == "COMPLETED" and before.score is not None:
        return before.score
    if before and before.status == "FAILED":
        raise kt.errors.FailedTrialError(before.reason)
    first = Trial(number, "RUNNING", None, dict(values), [])
    recorder = _Recorder(setting, before or first)
    try:
        return _attempt(setting, trial_id, recorder)
    except OSError as error:
        recorder.excuse()
        raise kt.errors.FatalError(str(error)) from error
    except (kt.errors.FatalError, KeyboardInterrupt):
        recorder.excuse()
        raise


def _attempt(setting: Setting, trial_id: str, recorder: "_Recorder") -> float:
    recorder.begin()
    try:
        with dtype_policy(setting.job.precision):
            score = _fit(setting, trial_id, recorder)
    except (OSError, kt.errors.FatalError):
        raise
    except Exception as error:  # whatever a model cannot do costs this trial alone
        reason = explain(error)
        recorder.change(status="FAILED", reason=reason)
        raise kt.errors.FailedTrialError(reason) from None
    finally:
        _free_memory()
    recorder.change(status="COMPLETED", score=score)
    return score


def explain(error: Exception) -> str:
    """Why a trial failed, in a line."""
    if isinstance(error, kt.errors.FailedTrialError):
        return str(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = f"{type(error).__name__}: {lines[0] if lines else ''}"[:500]
    return f"out of memory: {text}" if is_out_of_memory(error) else text


def _fit(setting: Setting, trial_id: str, recorder: "_Recorder") -> float:
    job, values = setting.job, recorder.trial.values
    keras.utils.set_random_seed(job.seed)
    model, first_epoch = _model(setting, values)
    recorder.change(
        parameters=model.count_params(),
        batch_size=setting.batch_size,
        precision=keras.config.dtype_policy().name,
    )
    batches = Batches(
        *setting.train,
        job.classes,
        batch_size=setting.batch_size,
        mixup=values.get("mixup", 0.0),
    )
    epochs = values.get("tuner/epochs", job.epochs)
    model.fit(
        batches,
        validation_data=Batches(*setting.validation, job.classes, batch_size=256),
        initial_epoch=first_epoch,
        epochs=epochs,
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_epoch_begin=lambda epoch, logs: batches.shuffle(job.seed, epoch)
            ),
            recorder.clock,
            recorder,
            *_early_stopping(job),
        ],
        shuffle=False,  # Batches shuffles by the seed and the epoch.
        verbose=0,
    )
    if epochs < job.epochs:  # Hyperband may go on with it.
        _save(model, setting.folder / "checkpoints", trial_id)
    return best_score(recorder.trial.epochs, job.objective)


def best_score(epochs: Sequence[Mapping[str, float]], objective: str) -> float:
    """The objective's best value over the epochs."""
    best = min if direction(objective) == "min" else max
    return best(row[objective] for row in epochs)


def _early_stopping(job: Job) -> list[Any]:
    if job.patience is None:
        return []
    mode = direction(job.objective)
    return [keras.callbacks.EarlyStopping(job.objective, patience=job.patience, mode=mode)]


def _model(setting: Setting, values: Mapping[str, Any]) -> tuple[Any, int]:
    """A new model, or with Hyperband the one of the trial that goes on; and its first epoch."""
    if past := values.get("tuner/trial_id"):
        try:
            model = keras.models.load_model(setting.folder / "checkpoints" / f"{past}.keras")
            return compile_for_device(model), values["tuner/initial_epoch"]
        except (OSError, ValueError, KeyError):
            pass  # It is gone or damaged: the same model is trained from its first epoch.
    return compile_for_device(build_with(setting.build, values)), 0


def _save(model: Any, folder: Path, trial_id: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{trial_id}.{process_name()}.part.keras"
    model.save(part)
    part.replace(folder / f"{trial_id}.keras")


class _Recorder(keras.callbacks.Callback):
    """Writes the trial's record and tells of it, at every change and after every epoch."""

    def __init__(self, setting: Setting, trial: Trial) -> None:
        super().__init__()
        self.trial = trial
        self.clock = Clock(len(setting.train.labels))
        self._setting = setting

    def begin(self) -> None:
        """A new attempt; of the one before stands when it was, and nothing that it found.

        Raises:
            kt.errors.FailedTrialError: there were too many.
        """
        self._chief = read_chief(self._setting.folder)
        if len(self.trial.attempts) - self.trial.excused >= KILLS:
            reason = f"the process was killed in it {KILLS} times: out of memory?"
            self._write(status="FAILED", reason=reason)
            self._setting.on_change(self.trial)
            raise kt.errors.FailedTrialError(reason)
        self._earlier, self._started = self.trial.attempts, time.time()
        self.change(epochs=[], parameters=0)

    def change(self, **changed: Any) -> None:
        attempts = [*self._earlier, [self._started, time.time()]]
        self._write(**changed, attempts=attempts)
        self._setting.on_change(self.trial)

    def excuse(self) -> None:
        """Says that the attempt ends by no fault of the trial, where the disk has room for it."""
        with contextlib.suppress(OSError, kt.errors.FatalError):
            self._write(excused=self.trial.excused + 1)

    def _write(self, **changed: Any) -> None:
        if read_chief(self._setting.folder) != self._chief:
            # It hands this trial to another worker.
            raise kt.errors.FatalError("another chief hands out the trials: start this one anew")
        self.trial = self.trial._replace(**changed)
        write_trial(self._setting.folder / "trials", self.trial)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        row = {
            "epoch": epoch + 1,
            **{name: value for name, value in metrics.items() if math.isfinite(value)},
            "learning_rate": float(self.model.optimizer.learning_rate),
            **self.clock.times,
        }
        self.change(epochs=[*self.trial.epochs, row])
        for name in ("loss", self._setting.job.objective):
            if not math.isfinite(metrics[name]):
                reason = f"{name} became {metrics[name]} in epoch {epoch + 1}"
                raise kt.errors.FailedTrialError(reason)


def _free_memory() -> None:
    """Lets go of the trial's graphs: the gradients that TensorFlow keeps of them hold them all.

    TensorFlow registers a custom gradient in each graph that it traces, and never forgets it:
    without this 8 MB a trial were lost (a convolution, its normalization and a dense layer).
    """
    if ops := sys.modules.get("tensorflow.python.framework.ops"):
        registry = ops.gradient_registry._registry
        for name in [name for name in registry if name.startswith("CustomGradient-")]:
            del registry[name]
    keras.utils.clear_session()
