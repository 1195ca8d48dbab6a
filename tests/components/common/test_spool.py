import json
from pathlib import Path

import pytest
from filelock import Timeout

from components.common.spool import Spool, left_behind


def records(count: int) -> list[dict[str, str | int]]:
    return [{"op": "metrics", "run": "r", "number": number} for number in range(count)]


def read_all(spool: Spool) -> list[int]:
    numbers = []
    while record := spool.next_unsent():
        numbers.append(record["number"])
        spool.mark_sent(None)
    return numbers


def test_records_come_in_their_order_and_stay_until_they_are_sent(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    assert spool.next_unsent() is None
    for record in records(3):
        spool.append(record)
    assert spool.next_unsent() == spool.next_unsent() == records(1)[0]
    assert read_all(spool) == [0, 1, 2]
    spool.append(records(4)[3])
    assert read_all(spool) == [3]


def test_another_process_goes_on_where_one_ended(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    spool.append({"op": "start", "run": "local", "number": 0})
    for record in records(3):
        spool.append(record)
    spool.mark_sent("theirs")
    spool.mark_sent(None)
    spool.close()
    again = Spool(tmp_path / "s")
    assert again.ids == {"local": "theirs"}
    assert read_all(again) == [1, 2]


def test_lines_that_a_kill_tore_are_left_out(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    for record in records(3):
        spool.append(record)
    spool.mark_sent(None)
    spool.close()
    with (tmp_path / "s" / "records.jsonl").open("a") as file:
        file.write(json.dumps(records(4)[3])[:-5])
    with (tmp_path / "s" / "sent.jsonl").open("a") as file:
        file.write("nul")
    assert read_all(Spool(tmp_path / "s")) == [1, 2]


def test_only_what_no_living_process_writes_is_left_behind(tmp_path: Path) -> None:
    living, dead = Spool(tmp_path / "2"), Spool(tmp_path / "1")
    dead.close()
    assert [spool.folder.name for spool in left_behind(tmp_path)] == ["1"]
    with pytest.raises(Timeout):
        Spool(living.folder)


def test_what_was_sent_is_removed_with_its_files(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    (tmp_path / "plot.png").write_text("pixels")
    copy = spool.copy(tmp_path / "plot.png")
    (tmp_path / "plot.png").unlink()
    assert (spool.folder / copy).read_text() == "pixels"
    spool.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_half_removed_by_a_kill_is_not_sent_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    spool.append(records(1)[0])
    spool.close()
    (tmp_path / "s").rename(tmp_path / ".s")
    assert list(left_behind(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []
