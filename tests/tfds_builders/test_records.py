"""Records in shards: the same that TFDS itself would write, picture for picture."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tfds_builders import records
from tfds_builders.catalog import make_builder
from tfds_builders.face_builder import Entry, FaceBuilder, Index
from tfds_builders.records import (
    Shard,
    Written,
    entries_in_order,
    plan_shards,
    write_metadata,
    write_shard,
)

OPTIONS = {"images_per_class": 3, "subjects": 2, "size": 32}


@pytest.fixture
def builder(tmp_path: Path) -> FaceBuilder:
    return make_builder("drawn_faces", tmp_path / "tfds", None, OPTIONS)


def indexed(**sizes: int) -> Index:
    """So many pictures in each split."""
    splits = {
        split: [Entry(f"{split}/{number}.png", "happy") for number in range(size)]
        for split, size in sizes.items()
    }
    return Index(splits, ("happy",))


@pytest.mark.parametrize(
    ("size", "lengths"),
    [
        (0, []),
        (1, [1]),
        (999, [999]),
        (1000, [1000]),
        (1001, [500, 501]),
        (2000, [1000, 1000]),
        (35_887, [996] * 5 + [997] * 31),
    ],
)
def test_shards_are_of_near_equal_length_and_none_is_too_long(
    size: int, lengths: list[int]
) -> None:
    shards = plan_shards(indexed(train=size))
    assert sorted(shard.stop - shard.start for shard in shards) == sorted(lengths)
    assert [shard.number for shard in shards] == list(range(len(lengths)))
    assert {shard.of for shard in shards} <= {len(lengths)}
    assert [row for shard in shards for row in range(shard.start, shard.stop)] == list(range(size))


def test_each_split_has_its_own_shards_and_an_empty_one_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(records, "IMAGES_A_SHARD", 2)
    assert plan_shards(indexed(train=3, validation=0, test=1)) == [
        Shard("train", 0, 2, 0, 1),
        Shard("train", 1, 2, 1, 3),
        Shard("test", 0, 1, 0, 1),
    ]


def write(builder: FaceBuilder, index: Index, folder: Path, told: list[int]) -> Written:
    """Writes all shards, the last one first: none knows of another."""
    folder.mkdir()
    shards = plan_shards(index)
    backwards = {
        shard: write_shard(builder, [], index, shard, folder, told.append)
        for shard in reversed(shards)
    }
    written = {shard: backwards[shard] for shard in shards}
    write_metadata(builder, index, written, folder)
    return Written(
        sum(of_shard.num_bytes for of_shard in written.values()),
        [digest for shard in shards for digest in written[shard].contents],
    )


def by_source(builder: Any, split: str = "train") -> dict[str, tuple[int, str, bytes]]:
    undecoded = builder.as_dataset(split=split, decoders={"image": tfds.decode.SkipDecoding()})
    return {
        example["source"].decode(): (
            int(example["label"]),
            example["subject"].decode(),
            example["image"],
        )
        for example in tfds.as_numpy(undecoded)
    }


def test_tfds_reads_what_its_own_preparing_would_have_written(
    builder: FaceBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "IMAGES_A_SHARD", 8)
    index, told = builder.index([]), list[int]()
    written = write(builder, index, tmp_path / "records", told)
    theirs = make_builder("drawn_faces", tmp_path / "theirs", None, OPTIONS)
    theirs.download_and_prepare()

    ours = tfds.builder_from_directory(tmp_path / "records")
    examples = by_source(ours)
    assert examples == by_source(theirs)
    assert len(examples) == sum(told) == 7 * 3
    info = ours.info
    assert info.splits["train"].shard_lengths == [7, 7, 7]
    assert info.splits["train"].num_examples == theirs.info.splits["train"].num_examples
    assert info.splits["train"].num_bytes == theirs.info.splits["train"].num_bytes
    assert written.num_bytes == info.splits["train"].num_bytes
    assert info.features["label"].names == theirs.info.features["label"].names
    assert (info.name, info.version) == (theirs.info.name, theirs.info.version)
    decoded = next(iter(tfds.as_numpy(ours.as_dataset(split="train[:1]"))))
    assert (decoded["image"].shape, decoded["image"].dtype) == ((32, 32, 3), np.uint8)


def test_records_lie_in_the_order_of_the_entries_and_their_digests(
    builder: FaceBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "IMAGES_A_SHARD", 4)
    whole = builder.index([])
    entries, labels = whole.splits["train"], whole.labels
    index = Index({"train": entries[:9], "empty": [], "test": entries[9:10]}, labels)
    written = write(builder, index, tmp_path / "records", [])

    ours = tfds.builder_from_directory(tmp_path / "records")
    assert set(ours.info.splits) == {"train", "test"}
    examples = by_source(ours, "train") | by_source(ours, "test")
    assert list(examples) == [entry.source for entry in entries[:10]]
    digests = [hashlib.sha256(image).hexdigest() for _, _, image in examples.values()]
    assert written.contents == digests
    assert [(split, entry.source) for split, entry in entries_in_order(index)] == [
        ("test", entries[9].source),
        *(("train", entry.source) for entry in entries[:9]),
    ]


def test_the_same_bytes_twice(builder: FaceBuilder, tmp_path: Path) -> None:
    again = make_builder("drawn_faces", tmp_path / "again", None, OPTIONS)
    for name, each in (("one", builder), ("two", again)):
        write(each, each.index([]), tmp_path / name, [])
    one, two = (
        {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()}
        for name in ("one", "two")
    )
    assert one == two
    assert set(one) == {
        "drawn_faces-train.tfrecord-00000-of-00001",
        "dataset_info.json",
        "features.json",
        "label.labels.txt",
    }


@pytest.mark.parametrize("change", [-1, 1], ids=["fewer", "more"])
def test_another_number_of_pictures_than_entries_is_an_error(
    builder: FaceBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: int
) -> None:
    def read(raw_files: Sequence[Path], entries: Sequence[Entry]) -> Iterator[bytes]:
        return iter([b"picture"] * (len(entries) + change))

    monkeypatch.setattr(builder, "read", read)
    index = builder.index([])
    with pytest.raises(ValueError, match="zip"):
        write_shard(builder, [], index, plan_shards(index)[0], tmp_path, lambda number: None)
