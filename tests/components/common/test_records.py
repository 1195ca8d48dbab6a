from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.common import memory, records
from components.common.files import read_json, write_json
from components.common.pictures import images
from components.common.records import Record, load_split
from components.common.tfrecords import CorruptRecordsError


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
    assert records.read_shard(tmp_path, shard) == written


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


def test_a_split_without_records_is_a_key_error(examples: Path) -> None:
    with pytest.raises(KeyError, match="validation: no records"):
        load_split(examples, "validation")


def write_examples(folder: Path, *shards: list[Record]) -> Path:
    """The examples with a train split of these shards, digests and all."""
    written = [
        records.write_shard(folder / f"train-{n}.tfrecord", of_shard)
        for n, of_shard in enumerate(shards)
    ]
    write_json(folder / "shards.json", {"train": written})
    return folder


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_those_that_were_written(tmp_path: Path, channels: int) -> None:
    pixels = np.random.default_rng(0).integers(256, size=(6, 7, channels)).astype(np.uint8)
    written = [
        record(0)._replace(encoded=images.encode_png(each)) for each in (pixels, pixels[:, ::-1])
    ]
    split = load_split(write_examples(tmp_path, written), "train")
    np.testing.assert_array_equal(split.images, [pixels, pixels[:, ::-1]])


def test_landmarks_are_read_as_they_were_written(tmp_path: Path) -> None:
    marked = [record(n)._replace(landmarks=(n + 0.5, -1e9, 0.1)) for n in range(3)]
    examples = write_examples(tmp_path, marked[:2], marked[2:])
    split = load_split(examples, "train")
    assert split.landmarks.dtype == np.float32
    expected = np.array([each.landmarks for each in marked], np.float32)
    np.testing.assert_array_equal(split.landmarks, expected)
    _, second = records.read_shards(examples)["train"]
    assert records.read_shard(examples, second)[0].landmarks == tuple(expected[2])


def test_without_landmarks_there_are_none_for_each(examples: Path) -> None:
    assert load_split(examples, "train").landmarks.shape == (5, 0)


def test_many_shards_are_read_in_their_order(tmp_path: Path) -> None:
    shards = [[record(n) for n in range(start, start + 5)] for start in range(0, 200, 5)]
    split = load_split(write_examples(tmp_path, *shards), "train")
    assert split.ids == [f"id{n}" for n in range(200)]
    np.testing.assert_array_equal(split.images[:, 0, 0, 0], range(200))


def test_what_memory_cannot_hold_is_the_same_from_a_file(
    examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = load_split(examples, "train")
    monkeypatch.setattr(memory, "available_memory", lambda: 2 * held.images.nbytes - 2)
    mapped = load_split(examples, "train")
    assert memory_of(mapped.images) == "file"
    assert memory_of(held.images) == "memory"
    np.testing.assert_array_equal(mapped.images, held.images)
    rows = np.array([4, 0, 3])
    np.testing.assert_array_equal(mapped.images[rows], held.images[rows])
    assert mapped.ids == held.ids


def memory_of(array: np.ndarray) -> str:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return "memory" if array.base is None else "file"


def flip_byte(path: Path) -> None:
    """Of a picture in the middle record."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def cut_at_record(path: Path) -> None:
    """TensorFlow reads what is left without a word."""
    records.write_shard(path, map(record, range(2)))


def exchange(path: Path) -> None:
    """Whole records, but of another run."""
    records.write_shard(path, [record(number)._replace(label=0) for number in range(3)])


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (flip_byte, "record 1 is corrupt"),
        (truncate, "ends inside record 2"),
        (cut_at_record, "has 2 whole records, but not the 3 that were written"),
        (exchange, "has 3 whole records, but not the 3 that were written"),
        (Path.unlink, "is missing"),
    ],
)
def test_a_damaged_shard_is_named_with_record_and_cure(
    examples: Path, damage: Callable[[Path], object], what: str
) -> None:
    shard = examples / "train-0.tfrecord"
    damage(shard)
    with pytest.raises(CorruptRecordsError) as caught:
        load_split(examples, "train")
    assert str(caught.value) == f"{shard}: {what}: run again with --force transform"
    assert len(load_split(examples, "test")) == 2


def test_of_several_damaged_shards_the_first_is_named(examples: Path) -> None:
    for number in (0, 1):
        truncate(examples / f"train-{number}.tfrecord")
    with pytest.raises(CorruptRecordsError, match=r"train-0\.tfrecord: ends"):
        load_split(examples, "train")


def test_a_count_that_is_not_the_files_is_noticed(examples: Path) -> None:
    shards = read_json(examples / "shards.json")
    shards["test"][0]["records"] = 3
    write_json(examples / "shards.json", shards)
    with pytest.raises(CorruptRecordsError, match=r"test-0\.tfrecord: has 2 records, not 3"):
        load_split(examples, "test")


@pytest.mark.parametrize(
    ("odd", "what"),
    [
        ({"encoded": b"no PNG"}, "record 1: no whole PNG"),
        (
            {"encoded": images.encode_png(np.zeros((5, 4, 1), np.uint8))},
            r"record 1 has \(5, 4, 1\) pixels, the first of the split \(4, 5, 1\)",
        ),
        ({"landmarks": (1.0,)}, "record 1 has 1 landmark features, the first of the split 0"),
    ],
)
def test_a_record_that_is_not_like_the_first_is_named(
    tmp_path: Path, odd: dict[str, Any], what: str
) -> None:
    examples = write_examples(tmp_path, [record(0)], [record(1), record(2)._replace(**odd)])
    with pytest.raises(CorruptRecordsError, match=rf"train-1\.tfrecord: {what}"):
        load_split(examples, "train")


def test_a_shard_read_alone_names_its_corrupt_record(examples: Path) -> None:
    truncate(examples / "train-0.tfrecord")
    with pytest.raises(CorruptRecordsError, match=r"train-0\.tfrecord: ends inside record 2"):
        records.read_shard(examples, records.read_shards(examples)["train"][0])
