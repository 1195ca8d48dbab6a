"""Transformed examples: TFRecord shards with their counts and digests, written and read here only.

A shard that was cut at a record boundary reads short with no error at all, and
`Dataset.ignore_errors()` swallows the rest of a corrupt one: so the reader checks the digest first.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components.common.files import read_json, sha256_file

_FEATURES = {
    "image/encoded": tf.io.FixedLenFeature((), tf.string),
    "image/label": tf.io.FixedLenFeature((), tf.int64),
    "id": tf.io.FixedLenFeature((), tf.string),
    "subject": tf.io.FixedLenFeature((), tf.string),
    "source": tf.io.FixedLenFeature((), tf.string),
}


class CorruptRecordsError(ValueError):
    """A shard is not what was written: names the shard and what differs."""


class Record(NamedTuple):
    """One transformed example; `encoded` is a PNG, `label` an index into the labels."""

    encoded: bytes
    label: int
    id: str
    subject: str
    source: str


class Shard(TypedDict):
    """A written shard, as `shards.json` lists it."""

    file: str
    records: int
    sha256: str


class Split(NamedTuple):
    """A split in memory: images uint8 [n, height, width, channels], labels int64 [n]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    ids: list[str]
    subjects: list[str]
    sources: list[str]

    def __len__(self) -> int:
        """The number of examples, not of fields."""
        return len(self.labels)


def _feature(value: bytes | str | int) -> Any:
    if isinstance(value, int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
    encoded = value.encode() if isinstance(value, str) else value
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded]))


def _serialize(record: Record) -> bytes:
    values: dict[str, Any] = dict(zip(_FEATURES, record, strict=True))
    features = tf.train.Features(feature={key: _feature(value) for key, value in values.items()})
    # Without `deterministic` the map's order, and so the shard's digest, changes between runs.
    return tf.train.Example(features=features).SerializeToString(deterministic=True)


def write_shard(path: Path, records: Iterable[Record]) -> Shard:
    """Writes one TFRecord file and returns its name, count and digest."""
    count = 0
    with tf.io.TFRecordWriter(str(path)) as writer:
        for count, record in enumerate(records, start=1):  # noqa: B007
            writer.write(_serialize(record))
    return Shard(file=path.name, records=count, sha256=sha256_file(path))


def read_shard(path: Path) -> list[Record]:
    """The records of one file, in order."""
    return [_parse(serialized) for serialized in tf.data.TFRecordDataset(str(path))]


def _parse(serialized: Any) -> Record:
    values = tf.io.parse_single_example(serialized, _FEATURES)
    encoded, label, *texts = (values[key].numpy() for key in _FEATURES)
    return Record(encoded, int(label), *(text.decode() for text in texts))


def read_shards(examples: Path) -> dict[str, list[Shard]]:
    """The shards of every split, from `shards.json`."""
    return read_json(examples / "shards.json")


def splits(examples: Path) -> dict[str, int]:
    """The number of records of every split that has any."""
    counts = {
        name: sum(shard["records"] for shard in shards)
        for name, shards in read_shards(examples).items()
    }
    return {name: count for name, count in counts.items() if count}


def load_split(examples: Path, split: str) -> Split:
    """Reads a split into memory, its images decoded, in the order of the shards.

    Raises:
        CorruptRecordsError: a shard's digest is not the one that was written.
        KeyError: there is no such split.
    """
    parts = [_load_shard(examples, shard) for shard in read_shards(examples)[split]]
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    texts = ([text.decode() for text in column.tolist()] for column in columns[2:])
    return Split(columns[0], columns[1], *texts)


def _load_shard(examples: Path, shard: Shard) -> list[NDArray[Any]]:
    path = examples / shard["file"]
    if sha256_file(path) != shard["sha256"]:
        raise CorruptRecordsError(f"{path} is not the file that Transform wrote: remove it")
    batch = next(iter(_decoded(path).batch(shard["records"])))
    return [batch[key].numpy() for key in _FEATURES]


def _decoded(path: Path) -> Any:
    def parse(serialized: Any) -> dict[str, Any]:
        values = tf.io.parse_single_example(serialized, _FEATURES)
        return {**values, "image/encoded": tf.io.decode_png(values["image/encoded"])}

    return tf.data.TFRecordDataset(str(path)).map(parse, num_parallel_calls=tf.data.AUTOTUNE)
