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


def test_a_failure_carries_its_message() -> None:
    with pytest.raises(Exception, match="shard two is broken"):
        map_shards(fail, 4, OPTIONS)


@pytest.mark.parametrize("shards_that_run", [[0, 2], [0, 1, 1], [0, 1, 2, 2], []])
def test_missing_and_doubled_results_are_noticed(
    monkeypatch: pytest.MonkeyPatch, shards_that_run: list[int]
) -> None:
    create = beam.beam.Create
    monkeypatch.setattr(beam.beam, "Create", lambda _: create(shards_that_run))
    with pytest.raises(LostShardError, match=f"{len(shards_that_run)} results for 3 shards"):
        map_shards(square, 3, OPTIONS)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, "FnApiRunner"),
        ({"runner": "DirectRunner"}, "FnApiRunner"),
        ({"runner": "FlinkRunner"}, "FlinkRunner"),
    ],
)
def test_direct_runner_means_the_engine_that_downloads_nothing(
    monkeypatch: pytest.MonkeyPatch, options: Mapping[str, Any], wanted: str
) -> None:
    class StoppedError(Exception):
        pass

    def pipeline(options: Any) -> None:
        raise StoppedError(options.get_all_options()["runner"])

    monkeypatch.setattr(beam.beam, "Pipeline", pipeline)
    with pytest.raises(StoppedError, match=wanted):
        map_shards(square, 1, options)


@pytest.mark.parametrize(("count", "shards"), [(0, 1), (1, 1), (500, 1), (501, 2), (1300, 3)])
def test_shards_cover_everything_once_and_evenly(count: int, shards: int) -> None:
    cut = cut_into_shards(count)
    assert len(cut) == shards
    assert [index for shard in cut for index in shard] == list(range(count))
    assert max(map(len, cut)) - min(map(len, cut)) <= 1


def interrupted(shard: int) -> dict[str, int]:
    raise KeyboardInterrupt


def test_ctrl_c_is_no_failure_of_the_work() -> None:
    with pytest.raises(KeyboardInterrupt):
        map_shards(interrupted, 1, {"runner": "DirectRunner"})
