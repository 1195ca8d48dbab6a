"""A search by several processes of this machine: KerasTuner's chief, and workers that it serves.

KerasTuner alone waits for ever for a worker that was killed, and 20 seconds after the last trial.
Here what dies is replaced under the same id: the chief hands a worker the trial that it had, and a
new chief finds all in the trials' records. Those are written whole, so that any process may be
killed at any time, and that is how all of them are ended.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from tuning.sweep.job import load_job
from tuning.sweep.trials import Trial, leaderboard, read_trials
from tuning.sweep.watched import PARENT

CHIEF = "chief"
DEATHS = 5
"""So many of one process, without a trial that ended between them, end the search."""

_POLL_SECONDS = 0.5
_LAST_WORDS = 15
"""Lines of a log."""


class WorkerError(RuntimeError):
    """A process of the search dies again and again; the message has its last words."""


def search_with_workers(
    folder: Path, workers: int, on_change: Callable[[Trial], None]
) -> list[Trial]:
    """Runs a search, or the rest of one, in several processes; returns its trials, the best first.

    Args:
        folder: with a saved job; `logs/` gets what each process says.
        workers: how many; one a GPU where there are GPUs.
        on_change: is told a trial each time that its record changes.

    Raises:
        WorkerError: a process dies again and again.
    """
    records = folder / "trials"
    told = {trial.id: trial for trial in read_trials(records)}
    deaths: Counter[str] = Counter()
    with _Processes(folder, workers) as processes:
        while True:
            over = processes.are_done()  # Asked first: what was written by then is told below.
            for trial in read_trials(records):
                if told.get(trial.id) != trial:
                    told[trial.id] = trial
                    on_change(trial)
                    if trial.status != "RUNNING":
                        deaths.clear()
            if over:
                return leaderboard(told.values(), load_job(folder)[0].objective)
            for name in processes.dead():
                deaths[name] += 1
                if deaths[name] == DEATHS:
                    raise WorkerError(processes.last_words(name))
                processes.replace(name)
            time.sleep(_POLL_SECONDS)


def is_worker(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether KerasTuner's variables make this process one that has a chief."""
    name = environment.get("KERASTUNER_TUNER_ID", CHIEF)
    return "KERASTUNER_ORACLE_IP" in environment and CHIEF not in name


def is_watched(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a process of this machine started this one, and reads what its trials leave."""
    return PARENT in environment


def gpus() -> list[str]:
    """The GPUs that may be used, as CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    asked = subprocess.run(query, capture_output=True, text=True, check=False)
    return asked.stdout.split() if asked.returncode == 0 else []


class _Processes:
    """The chief and the workers; leaving the block ends them all."""

    def __init__(self, folder: Path, workers: int) -> None:
        self._folder = folder
        self._gpus = gpus()
        self._workers = [f"worker-{number}" for number in range(workers)]
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "_Processes":
        self._port = _free_port()
        for name in (CHIEF, *self._workers):
            self._start(name)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in self._running.values():
            process.kill()
        for process in self._running.values():
            process.wait()

    def are_done(self) -> bool:
        """Whether the chief, which lingers, or all workers found no trial left."""
        ended = {name for name, process in self._running.items() if process.poll() == 0}
        return CHIEF in ended or ended.issuperset(self._workers)

    def dead(self) -> list[str]:
        """Those that did not end well."""
        return [name for name, process in self._running.items() if process.poll()]

    def replace(self, name: str) -> None:
        """Starts one anew; with the chief all, since a new one knows no worker's trial."""
        if name == CHIEF:
            self.__exit__(None, None, None)
            self.__enter__()
        elif self._running[name].poll() is not None:  # not if its chief was replaced just now
            self._start(name)

    def last_words(self, name: str) -> str:
        """Why the search ends, and what one of them said at its end."""
        log = self._log(name)
        lines = log.read_text(errors="replace").splitlines()[-_LAST_WORDS:]
        status = self._running[name].returncode
        return "\n".join([f"{name} died {DEATHS} times, with status {status}: {log}", *lines])

    def _start(self, name: str) -> None:
        log = self._log(name)
        log.parent.mkdir(exist_ok=True)
        with log.open("ab") as output:
            self._running[name] = subprocess.Popen(
                # -P: nothing that lies in the working directory is taken for a module.
                [sys.executable, "-P", "-m", "tuning.sweep.watched", str(self._folder.resolve())],
                env=self._environment(name),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Else Ctrl-C would reach it first.
            )

    def _log(self, name: str) -> Path:
        return self._folder / "logs" / f"{name}.log"

    def _environment(self, name: str) -> dict[str, str]:
        return {
            **os.environ,
            **self._device(name),
            "KERASTUNER_TUNER_ID": name,
            "KERASTUNER_ORACLE_IP": "127.0.0.1",
            "KERASTUNER_ORACLE_PORT": str(self._port),
            "PYTHONPATH": _with_this_package(os.environ.get("PYTHONPATH")),
            PARENT: str(os.getpid()),
        }

    def _device(self, name: str) -> dict[str, str]:
        """A GPU each; two workers on one take the memory that they need, not all that is there."""
        if not self._gpus:
            return {"TF_DETERMINISTIC_OPS": "1"}  # as where the Tuner searches alone
        if name == CHIEF:
            return {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
        gpu = self._gpus[self._workers.index(name) % len(self._gpus)]
        if len(self._workers) <= len(self._gpus):
            return {"CUDA_VISIBLE_DEVICES": gpu}
        return {
            "CUDA_VISIBLE_DEVICES": gpu,
            "TF_FORCE_GPU_ALLOW_GROWTH": "true",
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _with_this_package(python_path: str | None) -> str:
    here = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join([here, python_path] if python_path else [here])
