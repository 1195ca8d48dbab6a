from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.common import images, records
from components.common.files import write_json
from components.common.records import CorruptRecordsError, Record, load_split


def record(number: int) -> Record:
    png = images.encode_png(np.full((4, 5, 1), number, np.uint8))
    return Record(png, number % 3, f"id{number}", f"person {number}", f"Bücher/{number}.png")


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """Five records of train in two shards, two of test in one, none of validation."""
    parts = {"train": [range(3), range(3, 5)], "test": [range(5, 7)], "validation": []}
    shards = {
        split: [
            records.write_shard(tmp_path / f"{split}-{n}.tfrecord", map(record, numbers))
            for n, numbers in enumerate(of_split)
        ]
        for split, of_split in parts.items()
    }
    write_json(tmp_path / "shards.json", shards)
    return tmp_path


def test_a_shard_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = [record(number) for number in range(4)]
    shard = records.write_shard(tmp_path / "a.tfrecord", written)
    assert (shard["file"], shard["records"]) == ("a.tfrecord", 4)
    assert records.read_shard(tmp_path / "a.tfrecord") == written


def test_the_same_records_have_the_same_digest(tmp_path: Path) -> None:
    first, second = (
        records.write_shard(tmp_path / name, map(record, range(4))) for name in ("a", "b")
    )
    assert first["sha256"] == second["sha256"]


def test_a_split_is_loaded_in_the_order_of_its_shards(examples: Path) -> None:
    split = load_split(examples, "train")
    assert len(split) == 5
    assert split.ids == [f"id{n}" for n in range(5)]
    assert split.subjects == [f"person {n}" for n in range(5)]
    assert split.sources == [f"Bücher/{n}.png" for n in range(5)]
    np.testing.assert_array_equal(split.labels, [0, 1, 2, 0, 1])
    assert split.images.shape == (5, 4, 5, 1)
    assert split.images.dtype == np.uint8
    np.testing.assert_array_equal(split.images[:, 0, 0, 0], range(5))


def test_splits_names_those_with_records(examples: Path) -> None:
    assert records.splits(examples) == {"train": 5, "test": 2}


def test_an_unknown_split_is_a_key_error(examples: Path) -> None:
    with pytest.raises(KeyError, match="dev"):
        load_split(examples, "dev")


def flip_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def cut_at_record(path: Path) -> None:
    """TensorFlow reads what is left without a word."""
    kept = [each.numpy() for each in tf.data.TFRecordDataset(str(path))][:-1]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for each in kept:
            writer.write(each)


@pytest.mark.parametrize("damage", [flip_byte, truncate, cut_at_record])
def test_a_damaged_shard_is_named(examples: Path, damage: Callable[[Path], None]) -> None:
    damage(examples / "train-1.tfrecord")
    with pytest.raises(CorruptRecordsError, match=r"train-1\.tfrecord"):
        load_split(examples, "train")
    assert len(load_split(examples, "test")) == 2
