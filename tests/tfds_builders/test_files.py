from pathlib import Path

import pytest

from tfds_builders.files import remove_parts, written_whole


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with written_whole(path) as part:
        part.write_text("one")
        assert not path.exists()
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("before")

    def write_half() -> None:
        with written_whole(path) as part:
            part.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_half()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with written_whole(path) as first, written_whole(path) as second:
        first.write_text("the same")
        second.write_text("the")
        second.write_text("the same")
    assert path.read_text() == "the same"


def test_what_killed_writers_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    writer = written_whole(tmp_path / "a")
    writer.__enter__().write_text("half")
    remove_parts(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
