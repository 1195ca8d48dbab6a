from pathlib import Path

import pytest

from components.common.files import combined_digest, file_digests, read_json, write_json


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_json(tmp_path / "below" / "b.json", {"x": 1})
    (tmp_path / "a.txt").write_text("abc")
    return tmp_path


def test_json_is_read_as_it_was_written(folder: Path) -> None:
    assert read_json(folder / "below" / "b.json") == {"x": 1}


def test_digests_are_of_every_file_by_relative_path(folder: Path) -> None:
    digests = file_digests(folder)
    assert list(digests) == ["a.txt", "below/b.json"]
    assert digests["a.txt"] == {
        "size": 3,
        "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    }


@pytest.mark.parametrize("change", ["content", "name", "nothing"])
def test_the_combined_digest_follows_names_and_contents(folder: Path, change: str) -> None:
    before = combined_digest(file_digests(folder))
    if change == "content":
        (folder / "a.txt").write_text("abd")
    elif change == "name":
        (folder / "a.txt").rename(folder / "c.txt")
    assert (combined_digest(file_digests(folder)) == before) == (change == "nothing")
