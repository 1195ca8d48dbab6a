import json
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.tuning.jobs import JOB
from tuning.sweep import workers
from tuning.sweep.job import save_job
from tuning.sweep.trials import Trial, read_trials
from tuning.sweep.workers import DEATHS, WorkerError, gpus, is_worker, search_with_workers
from tuning.training.batches import Arrays


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """Four trials, each long enough to be killed in."""
    rng = np.random.default_rng(0)

    def arrays(count: int) -> Arrays:
        labels = np.arange(count) % 2
        return Arrays(rng.integers(0, 256, (count, 22, 22, 1), dtype=np.uint8), labels)

    said = JOB._replace(max_trials=4, epochs=4)
    save_job(tmp_path / "job", said, arrays(160), arrays(8))
    return tmp_path / "job"


@pytest.mark.timeout(600)
def test_workers_that_are_killed_in_a_trial_are_replaced_and_no_trial_is_lost(job: Path) -> None:
    interrupted: list[Trial] = []

    def kill_them(trial: Trial) -> None:
        if interrupted or trial.status != "RUNNING" or not trial.epochs:
            return
        killed = [p for p in our_processes() if name_of(p).startswith("worker-")]
        for worker in killed:
            worker.kill()
        while any(worker.status() != psutil.STATUS_ZOMBIE for worker in killed):
            pass
        interrupted.extend(t for t in read_trials(job / "trials") if t.status == "RUNNING")

    trials = search_with_workers(job, 2, kill_them)
    assert interrupted
    assert sorted(trial.id for trial in trials) == ["1", "2", "3", "4"]
    assert {trial.status for trial in trials} == {"COMPLETED"}
    assert sum(len(trial.attempts) for trial in trials) == 4 + len(interrupted)
    scores = [trial.score for trial in trials]
    assert scores == sorted(scores)  # type: ignore[type-var]
    assert {path.name for path in (job / "logs").iterdir()} == {
        "chief.log",
        "worker-0.log",
        "worker-1.log",
    }
    assert not our_processes()


def our_processes() -> list[psutil.Process]:
    """The chief and the workers; a test beside this one may have children of its own."""
    return [child for child in psutil.Process().children() if name_of(child)]


def name_of(process: psutil.Process) -> str:
    return process.environ().get("KERASTUNER_TUNER_ID", "")


@pytest.fixture
def act(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a script in the place of a process's Python: it knows `name`, `starts` and `folder`."""

    def write(body: str) -> None:
        script = tmp_path / "python"
        script.write_text(
            f"#!{sys.executable}\n"
            + textwrap.dedent("""\
                import json, os, signal, sys
                from pathlib import Path
                folder, name = Path(sys.argv[-1]), os.environ["KERASTUNER_TUNER_ID"]
                with (folder / f"{name}.starts").open("a") as file:
                    file.write(".")
                def starts_of(other):
                    path = folder / f"{other}.starts"
                    return len(path.read_text()) if path.exists() else 0
                starts = starts_of(name)
                """)
            + textwrap.dedent(body)
        )
        script.chmod(0o755)
        monkeypatch.setattr(workers.sys, "executable", str(script))
        monkeypatch.setattr(workers, "_POLL_SECONDS", 0.01)

    return write


def starts(job: Path, name: str) -> int:
    return len((job / f"{name}.starts").read_text())


def test_the_chief_is_ended_when_all_workers_have_ended_well(
    job: Path, act: Callable[[str], None]
) -> None:
    act("""\
        if name == "chief":
            signal.pause()
        while not starts_of("chief"):
            pass
        """)
    assert search_with_workers(job, 3, lambda trial: None) == []
    assert [starts(job, name) for name in ("chief", "worker-0", "worker-2")] == [1, 1, 1]


def test_every_process_is_watched_from_its_first_moment(
    job: Path, act: Callable[[str], None]
) -> None:
    act("(folder / f'{name}.argv').write_text(' '.join(sys.argv[1:]))")
    search_with_workers(job, 1, lambda trial: None)
    said = {path.read_text() for path in job.glob("*.argv")}
    assert said == {f"-P -m tuning.sweep.watched {job}"}


def test_the_end_of_the_chief_is_the_end(job: Path, act: Callable[[str], None]) -> None:
    act("signal.pause() if name != 'chief' else None")
    assert search_with_workers(job, 2, lambda trial: None) == []
    assert not our_processes()


def test_a_chief_that_is_killed_is_replaced_with_its_workers(
    job: Path, act: Callable[[str], None]
) -> None:
    act("""\
        while name == "chief" and starts == 1:
            if starts_of("worker-0") and starts_of("worker-1"):
                os.kill(os.getpid(), signal.SIGKILL)
        if name == "chief" or starts == 1:
            signal.pause()
        while starts_of("chief") + starts_of("worker-0") + starts_of("worker-1") < 6:
            pass
        """)
    search_with_workers(job, 2, lambda trial: None)
    assert [starts(job, name) for name in ("chief", "worker-0", "worker-1")] == [2, 2, 2]


def test_a_worker_that_dies_again_and_again_ends_the_search_with_its_last_words(
    job: Path, act: Callable[[str], None]
) -> None:
    act("""\
        if name == "worker-1":
            while not starts_of("worker-0"):
                pass
            sys.exit("CUDA is out of order")
        signal.pause()
        """)
    message = rf"worker-1 died {DEATHS} times, with status 1: .*worker-1\.log\nCUDA is out"
    with pytest.raises(WorkerError, match=message):
        search_with_workers(job, 2, lambda trial: None)
    assert starts(job, "worker-1") == DEATHS
    assert starts(job, "worker-0") == 1
    assert not our_processes()


def test_deaths_with_a_finished_trial_between_are_borne(
    job: Path, act: Callable[[str], None]
) -> None:
    first = json.dumps(Trial("NUMBER", "COMPLETED", 0.5, {}, [])._asdict())
    act(f"""\
        if name == "chief":
            signal.pause()
        if starts <= {2 * DEATHS}:
            (folder / "trials").mkdir(exist_ok=True)
            part = folder / "part"
            part.write_text({first!r}.replace("NUMBER", str(starts)))
            part.rename(folder / "trials" / f"{{starts}}.json")
            sys.exit(1)
        """)
    told: list[str] = []
    trials = search_with_workers(job, 1, lambda trial: told.append(trial.id))
    assert len(trials) == 2 * DEATHS
    assert sorted(told, key=int) == [str(n) for n in range(1, 2 * DEATHS + 1)]


@pytest.mark.parametrize("count", [2, 3])
def test_each_worker_has_a_gpu_and_the_chief_has_none(
    job: Path, act: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    act("""\
        (folder / f"{name}.json").write_text(json.dumps(dict(os.environ)))
        signal.pause() if name == "chief" else None
        """)
    search_with_workers(job, count, lambda trial: None)
    said = [json.loads((job / f"worker-{n}.json").read_text()) for n in range(count)]
    assert [one["CUDA_VISIBLE_DEVICES"] for one in said] == ["4", "7", "4"][:count]
    shared = [one.get("XLA_PYTHON_CLIENT_PREALLOCATE") for one in said]
    assert shared == ([None, None] if count == 2 else ["false"] * 3)


@pytest.mark.parametrize(
    ("visible", "found"), [("", []), ("-1", []), ("0", ["0"]), ("1,3", ["1", "3"])]
)
def test_only_visible_gpus_count(
    monkeypatch: pytest.MonkeyPatch, visible: str, found: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus() == found


def test_without_nvidias_tools_there_are_no_gpus(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus() == []


def test_a_worker_is_who_has_a_chief() -> None:
    address = {"KERASTUNER_ORACLE_IP": "127.0.0.1"}
    assert is_worker(address | {"KERASTUNER_TUNER_ID": "worker-0"})
    assert not is_worker(address | {"KERASTUNER_TUNER_ID": "chief"})
    assert not is_worker({})
