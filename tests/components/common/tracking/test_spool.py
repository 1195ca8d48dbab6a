import json
from pathlib import Path

import pytest
from filelock import Timeout

from components.common.tracking.spool import Spool, left_behind, set_damaged_aside
from tests.components.common.tracking.full_disk import FullDisk


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


def test_a_full_disk_gives_no_run_the_id_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path / "s")
    for run in ("a", "b"):
        spool.append({"op": "start", "run": run})
    with monkeypatch.context() as full:
        full.setattr(spool, "_sent", FullDisk(spool._sent))
        with pytest.raises(OSError, match="No space left on device"):
            spool.mark_sent("id of a")
    for run in ("a", "b"):
        assert spool.next_unsent() == {"op": "start", "run": run}
        spool.mark_sent(f"id of {run}")
    spool.close()
    assert Spool(tmp_path / "s").ids == {"a": "id of a", "b": "id of b"}


def test_the_spool_of_a_living_process_is_not_opened(tmp_path: Path) -> None:
    living, dead = Spool(tmp_path / "2"), Spool(tmp_path / "1")
    dead.close()
    first, second = left_behind(tmp_path)
    Spool(first).close()
    with pytest.raises(Timeout):
        Spool(second)
    assert living.folder == second


@pytest.mark.parametrize("file", ["records.jsonl", "sent.jsonl"])
def test_a_spool_that_a_power_cut_damaged_is_set_aside(tmp_path: Path, file: str) -> None:
    spool = Spool(tmp_path / "s")
    spool.append(records(1)[0])
    spool.close()
    (spool.folder / file).write_bytes(bytes(512) + b"\n")
    with pytest.raises(ValueError, match=r"decode|Expecting value"):
        Spool(spool.folder).next_unsent()
    assert set_damaged_aside(spool.folder).name == "s.damaged"
    assert list(left_behind(tmp_path)) == []


def test_what_is_refused_is_kept_beside_with_its_file_and_the_runs_id(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spools" / "s")
    spool.ids["r"] = "theirs"
    (tmp_path / "plot.png").write_text("pixels")
    record = {"op": "artifact", "run": "r", "path": spool.copy(tmp_path / "plot.png")}
    kept = spool.set_aside(record)
    assert spool.set_aside(record) == kept  # Killed before it was marked.
    spool.remove()
    assert (kept / record["path"]).read_text() == "pixels"
    lines = (kept / "records.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == 2 * [{**record, "run_id": "theirs"}]
    assert list(left_behind(kept.parent)) == []


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
