import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from components.common import beam, progress
from components.common.beam import LostShardError, cut_into_shards, map_shards
from tfds_builders.catalog import OptionError

OPTIONS = {"runner": "DirectRunner"}
IN_PROCESSES = {"direct_running_mode": "multi_processing"}


def square(shard: int) -> dict[str, int]:
    return {"square": shard * shard}


def fail(shard: int) -> dict[str, int]:
    if shard == 2:
        raise ValueError("shard two is broken")
    return {}


def test_results_come_in_the_order_of_the_shards(tmp_path: Path) -> None:
    assert map_shards(square, range(12), OPTIONS, tmp_path) == [
        {"square": n * n} for n in range(12)
    ]


def test_no_shards_give_no_results(tmp_path: Path) -> None:
    assert map_shards(square, range(0), OPTIONS, tmp_path) == []


def write_file(folder: Path, shard: int) -> dict[str, str]:
    (folder / str(shard)).touch()
    return {}


def test_work_is_done_once_a_shard(tmp_path: Path) -> None:
    assert map_shards(partial(write_file, tmp_path), range(3), OPTIONS, tmp_path) == [{}, {}, {}]
    assert {path.name for path in tmp_path.iterdir()} == {"0", "1", "2"}


@pytest.mark.parametrize("mode", ["multi_threading", "in_memory", "multi_processing"])
def test_a_failure_is_what_the_work_raised_from_whichever_worker(mode: str, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"shard two is broken") as caught:
        map_shards(fail, range(4), {**OPTIONS, "direct_running_mode": mode}, tmp_path)
    assert isinstance(caught.value, ValueError)
    assert str(caught.value) == "shard two is broken"
    assert list(tmp_path.iterdir()) == []


class TwoWordsError(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


def fail_in_two_words(shard: int) -> dict[str, int]:
    raise TwoWordsError("salt", "pepper")


def test_a_failure_elsewhere_that_wants_more_than_a_text_is_told_all_the_same(
    tmp_path: Path,
) -> None:
    with pytest.raises(RuntimeError, match="TwoWordsError: salt and pepper") as caught:
        map_shards(
            fail_in_two_words,
            range(1),
            {**OPTIONS, "direct_running_mode": "multi_processing"},
            tmp_path,
        )
    assert "fail_in_two_words" in caught.value.__notes__[0]


def die(shard: int) -> dict[str, int]:
    if shard == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return {}


@pytest.mark.timeout(120)
def test_a_worker_process_that_is_killed_ends_the_job_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(LostShardError, match=r"code .*9|137, maybe .*direct_num_workers=1"):
        map_shards(die, range(4), {**OPTIONS, **IN_PROCESSES}, tmp_path)


def fail_everywhere(shard: int) -> dict[str, int]:
    raise ValueError("every shard is broken")


@pytest.mark.parametrize("mode", ["multi_threading", "multi_processing"])
def test_of_workers_that_fail_together_one_is_heard(mode: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="every shard is broken"):
        map_shards(fail_everywhere, range(20), {**OPTIONS, "direct_running_mode": mode}, tmp_path)


def count_ten(shard: int) -> dict[str, int]:
    progress.advance(10)
    return {}


@pytest.mark.parametrize("mode", ["multi_threading", "multi_processing"])
def test_progress_is_counted_in_whichever_worker(mode: str, tmp_path: Path) -> None:
    heard: list[str] = []
    with progress.listening(heard.append):
        progress.start(60, "images")
        map_shards(count_ten, range(6), {**OPTIONS, "direct_running_mode": mode}, tmp_path)
    assert heard[-1] == "60/60 images (100%)"


ELSEWHERE = {"runner": "apache_beam.runners.portability.fn_api_runner.FnApiRunner"}
"""As for a cluster: an element is a shard, and not a worker."""


@pytest.mark.parametrize(("shards_that_run", "there"), [([0, 2], 2), ([0, 1, 1], 2), ([], 0)])
def test_missing_results_are_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shards_that_run: list[int], there: int
) -> None:
    create = beam.beam.Create
    monkeypatch.setattr(beam.beam, "Create", lambda _: create([(n, n) for n in shards_that_run]))
    with pytest.raises(LostShardError, match=f"{there} results for 3 shards"):
        map_shards(square, range(3), ELSEWHERE, tmp_path)


def test_a_cluster_is_given_a_shard_an_element(tmp_path: Path) -> None:
    expected = map_shards(square, range(9), OPTIONS, tmp_path)
    assert map_shards(square, range(9), ELSEWHERE, tmp_path) == expected


def test_a_worker_that_the_local_engine_loses_costs_no_shard(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    create = beam.beam.Create
    monkeypatch.setattr(beam.beam, "Create", lambda workers: create(list(workers)[1:]))
    two = {**OPTIONS, "direct_num_workers": 2}
    assert [r["square"] for r in map_shards(square, range(5), two, tmp_path)] == [0, 1, 4, 9, 16]


THREADS = {
    "runner": "FnApiRunner",
    "direct_running_mode": "multi_threading",
    "direct_num_workers": os.cpu_count(),
}
PROCESSES = {**THREADS, "direct_running_mode": "multi_processing"}
IN_MEMORY = {"direct_num_workers": 3, "direct_running_mode": "in_memory"}


@pytest.fixture
def asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[Mapping[str, Any], int, float], dict[str, Any]]:
    """What Beam is asked for, with these options, for so many shards of so much work."""

    class StoppedError(Exception):
        pass

    def pipeline(options: Any) -> None:
        raise StoppedError(options.get_all_options())

    def ask(options: Mapping[str, Any], shards: int, seconds: float) -> dict[str, Any]:
        with pytest.raises(StoppedError) as stopped:
            map_shards(square, range(shards), options, tmp_path, seconds=seconds)
        return stopped.value.args[0]

    monkeypatch.setattr(beam.beam, "Pipeline", pipeline)
    return ask


@pytest.mark.parametrize(
    ("options", "shards", "seconds", "wanted"),
    [
        ({}, 2, 1, THREADS),
        (OPTIONS, 2, 1, THREADS),
        (OPTIONS, 2, 1000, PROCESSES),
        ({"runner": "direct"}, 2, 1, THREADS),
        (OPTIONS, 1, 1000, THREADS),
        ({**OPTIONS, **IN_MEMORY}, 2, 1000, {**THREADS, **IN_MEMORY}),
        ({"runner": "FlinkRunner"}, 2, 1000, {"runner": "FlinkRunner", "direct_num_workers": 1}),
    ],
)
def test_direct_runner_downloads_nothing_takes_processes_for_long_work_and_the_user_wins(
    asked: Callable[..., dict[str, Any]],
    options: Mapping[str, Any],
    shards: int,
    seconds: float,
    wanted: dict[str, Any],
) -> None:
    got = asked(options, shards, seconds)
    assert {name: got[name] for name in wanted} == wanted


def test_the_log_says_what_was_chosen(
    asked: Callable[..., dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="components.common.beam")
    asked({**OPTIONS, "direct_num_workers": 2}, 12, 600)
    wanted = "12 shards, about 600 s of work in one thread: multi_processing with 2 workers"
    assert wanted in caplog.messages


@pytest.mark.parametrize(
    ("options", "cure"),
    [
        ({"runer": "FlinkRunner"}, "beam.runer: unknown; did you mean runner?"),
        ({"runner": "DirectRunner", "qqq": 1}, "beam.qqq: unknown; Beam has no option"),
        ({"runner": 7}, "beam.runner: 7 is no name of a runner"),
        ({"runner": "DirectRunner", "direct_num_workers": -1}, "direct_num_workers is -1"),
        ({"runner": "FlnkRunner"}, "Unexpected pipeline runner: FlnkRunner. Valid values are"),
        ({"runner": "FlinkRunner", "flink_version": "0.9"}, "cannot read runner=Fl.*version=0.9"),
        ({"runner": "DataflowRunner"}, "Missing GCS path option: temp_location"),
        ({"runner": "DataflowRunner"}, "required option: project. .*required option: sdk_cont"),
        (
            {"runner": "DataflowRunner", "project": "p-1", "region": "r", "temp_location": "/tmp"},
            "Invalid GCS path",
        ),
        ({"runner": "FlinkRunner", "environment_type": "EXTERNAL"}, "required for environment"),
    ],
)
def test_options_are_checked_before_anything_runs(
    options: Mapping[str, Any], cure: str, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=cure):
        map_shards(square, range(1), options, tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        {
            "runner": "DataflowRunner",
            "project": "faces-1",
            "region": "europe-west4",
            "temp_location": "gs://faces/temp",
            "sdk_container_image": "gcr.io/faces/mien",
        },
        {
            "runner": "FlinkRunner",
            "flink_master": "localhost:8081",
            "environment_type": "EXTERNAL",
            "environment_config": "localhost:50000",
        },
    ],
)
def test_what_a_cluster_wants_passes(options: dict[str, Any]) -> None:
    parsed = beam.parse_options(options).get_all_options()
    assert {name: parsed[name] for name in options} == options


_both = threading.Barrier(2)


def wait_for_another(shard: int) -> dict[str, int]:
    return {"place": _both.wait(timeout=30)}


def test_two_shards_are_worked_on_at_the_same_time(tmp_path: Path) -> None:
    # Neither goes on before the other is there; a barrier cannot be pickled, a function can.
    results = map_shards(wait_for_another, range(2), {**OPTIONS, "direct_num_workers": 2}, tmp_path)
    assert sorted(result["place"] for result in results) == [0, 1]


@pytest.mark.parametrize(
    ("count", "num_bytes", "shards"),
    [
        (0, 0, 1),
        (1, 0, 1),
        (500, 0, 1),
        (501, 0, 2),
        (1300, 1300 * 1000, 3),
        (1300, 1300 * 20_000, 13),
        (1300, 1300 * 10**6, 26),
    ],
)
def test_shards_cover_everything_once_and_evenly(count: int, num_bytes: int, shards: int) -> None:
    cut = cut_into_shards(count, num_bytes)
    assert len(cut) == shards
    assert [index for shard in cut for index in shard] == list(range(count))
    assert max(map(len, cut)) - min(map(len, cut)) <= 1


CTRL_C = """
import pathlib, signal, sys, threading
from components.common.beam import map_shards

def work(shard):
    if shard == 0:  # To the main thread, as from a keyboard: another would not wake it.
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    return {}

try:
    map_shards(work, range(2000), {"runner": "DirectRunner"}, pathlib.Path(sys.argv[1]))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_ctrl_c_is_no_failure_of_the_work_and_the_process_ends(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CTRL_C, tmp_path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            said, _ = process.communicate(timeout=20)
        finally:
            process.kill()
    assert said == b"interrupted\n"
