import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from components.common import beam
from components.common.beam import LostShardError, cut_into_shards, map_shards

OPTIONS = {"runner": "DirectRunner"}


def square(shard: int) -> dict[str, int]:
    return {"square": shard * shard}


def fail(shard: int) -> dict[str, int]:
    if shard == 2:
        raise ValueError("shard two is broken")
    return {}


def test_results_come_in_the_order_of_the_shards() -> None:
    assert map_shards(square, 12, OPTIONS) == [{"square": n * n} for n in range(12)]


def test_no_shards_give_no_results() -> None:
    assert map_shards(square, 0, OPTIONS) == []


def write_file(folder: Path, shard: int) -> dict[str, str]:
    (folder / str(shard)).touch()
    return {}


def test_work_is_done_once_a_shard(tmp_path: Path) -> None:
    assert map_shards(partial(write_file, tmp_path), 3, OPTIONS) == [{}, {}, {}]
    assert {path.name for path in tmp_path.iterdir()} == {"0", "1", "2"}


def test_a_failure_is_what_the_work_raised_and_no_traceback() -> None:
    with pytest.raises(Exception, match=r"shard two is broken") as caught:
        map_shards(fail, 4, OPTIONS)
    assert isinstance(caught.value, ValueError)
    assert str(caught.value) == "shard two is broken"


@pytest.mark.parametrize(("shards_that_run", "there"), [([0, 2], 2), ([0, 1, 1], 2), ([], 0)])
def test_missing_results_are_noticed(
    monkeypatch: pytest.MonkeyPatch, shards_that_run: list[int], there: int
) -> None:
    create = beam.beam.Create
    monkeypatch.setattr(beam.beam, "Create", lambda _: create(shards_that_run))
    with pytest.raises(LostShardError, match=f"{there} results for 3 shards"):
        map_shards(square, 3, OPTIONS)


LOCAL = {
    "runner": "FnApiRunner",
    "direct_running_mode": "multi_threading",
    "direct_num_workers": os.cpu_count(),
}


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, LOCAL),
        (OPTIONS, LOCAL),
        (
            {**OPTIONS, "direct_num_workers": 3, "direct_running_mode": "in_memory"},
            {**LOCAL, "direct_num_workers": 3, "direct_running_mode": "in_memory"},
        ),
        ({"runner": "FlinkRunner"}, {"runner": "FlinkRunner", "direct_num_workers": 1}),
    ],
)
def test_direct_runner_means_threads_and_downloads_nothing_and_the_user_wins(
    monkeypatch: pytest.MonkeyPatch, options: Mapping[str, Any], wanted: dict[str, Any]
) -> None:
    class StoppedError(Exception):
        pass

    def pipeline(options: Any) -> None:
        raise StoppedError(options.get_all_options())

    monkeypatch.setattr(beam.beam, "Pipeline", pipeline)
    with pytest.raises(StoppedError) as stopped:
        map_shards(square, 1, options)
    asked = stopped.value.args[0]
    assert {name: asked[name] for name in wanted} == wanted


_both = threading.Barrier(2)


def wait_for_another(shard: int) -> dict[str, int]:
    return {"place": _both.wait(timeout=30)}


def test_two_shards_are_worked_on_at_the_same_time() -> None:
    # Neither goes on before the other is there; a barrier cannot be pickled, a function can.
    results = map_shards(wait_for_another, 2, {**OPTIONS, "direct_num_workers": 2})
    assert sorted(result["place"] for result in results) == [0, 1]


@pytest.mark.parametrize(("count", "shards"), [(0, 1), (1, 1), (500, 1), (501, 2), (1300, 3)])
def test_shards_cover_everything_once_and_evenly(count: int, shards: int) -> None:
    cut = cut_into_shards(count)
    assert len(cut) == shards
    assert [index for shard in cut for index in shard] == list(range(count))
    assert max(map(len, cut)) - min(map(len, cut)) <= 1


CTRL_C = """
import os, signal
from components.common.beam import map_shards

def work(shard):
    if shard == 0:
        os.kill(os.getpid(), signal.SIGINT)
    return {}

try:
    map_shards(work, 2000, {"runner": "DirectRunner"})
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_ctrl_c_is_no_failure_of_the_work_and_the_process_ends() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CTRL_C], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            said, _ = process.communicate(timeout=20)
        finally:
            process.kill()
    assert said == b"interrupted\n"
