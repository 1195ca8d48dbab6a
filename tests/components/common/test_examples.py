from collections.abc import Callable
from pathlib import Path

import pytest

from components.common.examples import (
    Example,
    LostRecordError,
    MisplacedRecordError,
    read_dataset,
    read_images,
    read_table,
    write_examples,
)


def test_the_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = [
        Example("1", "train", "happy", "Ann, the first", 'a "quoted" name.png'),
        Example("2", "test", "sad", "", "Zoë.png"),
    ]
    dataset = {"name": "made", "labels": ["happy", "sad"], "tfds_splits": {"train": 2}}
    write_examples(tmp_path, rows, dataset)
    assert read_table(tmp_path) == rows
    assert read_dataset(tmp_path) == dataset


@pytest.mark.parametrize("indices", [[0, 1, 2, 3, 4], [1, 2], [4], [0, 3], []])
def test_encoded_images_are_those_of_the_archive(
    tmp_path: Path,
    make_examples: Callable[..., Path],
    face_png: Callable[..., bytes],
    indices: list[int],
) -> None:
    members = {f"happy/{n}.png": face_png("happy", n, 32) for n in range(5)}
    examples = make_examples(tmp_path, members)
    table = read_table(examples)
    wanted = [(table[index], members[table[index].source]) for index in indices]
    assert list(read_images(examples, table, indices)) == wanted


def test_a_table_in_another_order_is_noticed(
    tmp_path: Path, make_examples: Callable[..., Path], face_png: Callable[..., bytes]
) -> None:
    members = {f"happy/{n}.png": face_png("happy", n, 32) for n in range(3)}
    examples = make_examples(tmp_path, members)
    table = read_table(examples)
    with pytest.raises(MisplacedRecordError, match=f"record 0 is {table[0].source}, not"):
        list(read_images(examples, table[::-1], [0, 1, 2]))


def test_records_that_end_early_are_noticed(
    tmp_path: Path, make_examples: Callable[..., Path], face_png: Callable[..., bytes]
) -> None:
    members = {f"happy/{n}.png": face_png("happy", n, 32) for n in range(3)}
    examples = make_examples(tmp_path, members)
    (shard,) = (examples / "records").glob("*.tfrecord*")
    length = int.from_bytes(shard.read_bytes()[:8], "little") + 16
    shard.write_bytes(shard.read_bytes()[:length])
    with pytest.raises(LostRecordError, match="ends at record 1 of 3"):
        list(read_images(examples, read_table(examples), [0, 1, 2]))
